// SPDX-License-Identifier: Apache-2.0
import Foundation
import ImageStore
import JSON
import LayerArchive
import LinuxSystem
import OCISpec
import Testing

/// Whole archives: their documents, digests, names and forms; loading and saving against each other.
@Suite struct ImageArchiveTests {
    let fixture: ArchiveFixture

    init() throws { fixture = try ArchiveFixture() }

    static let base = TarBuilder.build {
        $0.directory("etc")
        $0.add("etc/hostname", content: "base")
    }
    static let top = TarBuilder.build { $0.add("etc/motd", content: "top") }

    // MARK: Digests

    @Test func aWrongBlobDigestIsRefused() throws {
        var archive = OCIArchive(layers: [Self.base], compression: .gzip)
        archive.editBlob = { $0[$0.count - 1] ^= 1 }
        let text = try fixture.refusal(of: archive.bytes)
        #expect(text.contains("has the digest sha256:") && text.contains("the archive is damaged"), "\(text)")
    }

    @Test(arguments: Compression.allCases)
    func aWrongDiffIDIsRefused(_ compression: Compression) throws {
        var archive = OCIArchive(layers: [Self.base], compression: compression)
        archive.wrongDiffID = true
        let text = try fixture.refusal(of: archive.bytes)
        #expect(text.contains("layer 1 of 1 of example.com/image:1 unpacks to sha256:"), "\(text)")
    }

    @Test(arguments: [-1, 1])
    func aWrongSizeIsRefused(_ error: Int) throws {
        var archive = OCIArchive(layers: [Self.base])
        archive.sizeError = error
        #expect(try fixture.refusal(of: archive.bytes).contains("but its descriptor says"))
    }

    @Test func aBlobThatDoesNotMatchAnUnpackedLayerIsRefused() throws {
        _ = try fixture.load(OCIArchive(layers: [Self.base]).bytes)
        // The layer is there already, so it is not unpacked; what claims to be it is looked at all the same.
        var archive = OCIArchive(layers: [Self.base], compression: .gzip)
        archive.name = "example.com/other:1"
        archive.layers[0].blob = Compression.gzip.compress(Self.top)
        #expect(throws: LayerArchiveError.self) { try fixture.load(archive.bytes) }
        #expect(try fixture.store.list().count == 1)
    }

    @Test func whatIsNotAnArchiveIsRefused() throws {
        #expect(try fixture.refusal(of: Array("hello, this is no archive".utf8)).contains("the archive"))
        #expect(try fixture.refusal(of: []).contains("the archive"))
        #expect(try fixture.refusal(of: TarBuilder.build { $0.add("x") }).contains("neither an OCI archive"))
        #expect(
            try fixture.refusal(of: TarBuilder.build { $0.add("index.json", content: "{}") }).contains(
                "no \"oci-layout\""))
        #expect(
            try fixture.refusal(of: TarBuilder.build { $0.add("manifest.json", content: "[") }).contains(
                "manifest.json"))
        let whole = try OCIArchive(layers: [Self.base]).bytes
        #expect(try fixture.refusal(of: Array(whole[..<(whole.count / 2)])).contains("the archive"))
    }

    @Test func anImageForAnotherMachineIsLoadedWithAWarning() throws {
        var archive = OCIArchive(layers: [Self.base])
        archive.architecture = "pdp11"
        _ = try fixture.load(archive.bytes)
        #expect(fixture.warnings == ["example.com/image:1 is for linux/pdp11, and this machine is \(Platform.host)"])
    }

    @Test func indexesChooseTheMachine() throws {
        let image = try OCIArchive(layers: [Self.base]).bytes
        let loaded = try #require(try fixture.load(image).first)
        let record = try fixture.store.resolve(loaded.id.hex)
        func archive(_ platforms: [Platform]) throws -> [UInt8] {
            var manifests: [Descriptor] = []
            for platform in platforms {
                // Only the one for this machine is in the archive; others need not be.
                let digest =
                    platform == .host ? record.manifestDigest : try OCIArchive.digest(Array("\(platform)".utf8))
                let size = platform == .host ? try File.status(fixture.store.blobPath(digest)).size : 1
                manifests.append(
                    Descriptor(mediaType: MediaType.manifest, digest: digest, size: size, platform: platform))
            }
            let index = ImageIndex(manifests: manifests).json.serialized()
            let digest = try OCIArchive.digest(index)
            let outer = Descriptor(
                mediaType: MediaType.index, digest: digest, size: Int64(index.count),
                annotations: ["io.containerd.image.name": "quay.io/multi/arch:1"])
            return TarBuilder.build { tar in
                tar.add(Array("blobs/sha256/\(digest.hex)".utf8), content: index)
                for blob in record.blobs {
                    tar.add(
                        Array("blobs/sha256/\(blob.hex)".utf8),
                        content: (try? File.read(fixture.store.blobPath(blob))) ?? [])
                }
                tar.add("oci-layout", content: "{\"imageLayoutVersion\":\"1.0.0\"}")
                tar.add(Array("index.json".utf8), content: ImageIndex(manifests: [outer]).json.serialized())
            }
        }
        let pdp11 = Platform(os: "linux", architecture: "pdp11")
        #expect(try fixture.load(archive([pdp11, .host])).map(\.names) == [["quay.io/multi/arch:1"]])
        #expect(throws: LayerArchiveError("the archive has no image for \(Platform.host); it has linux/pdp11")) {
            try fixture.load(archive([pdp11]))
        }
    }

    // MARK: Forms

    func dockerArchive(_ layers: [[UInt8]], tags: [String], linked: Bool = false) throws -> [UInt8] {
        let diffIDs = try layers.map { try OCIArchive.digest($0).description }
        let config = JSON.object([
            "os": "linux", "architecture": .string(Platform.host.architecture),
            "rootfs": ["type": "layers", "diff_ids": .strings(diffIDs)],
        ]).serialized()
        var names: [String] = []
        return TarBuilder.build { tar in
            for (index, layer) in layers.enumerated() {
                tar.directory("\(index)/")
                if linked, index > 0, layer == layers[index - 1] {
                    tar.link("\(index)/layer.tar", to: "../\(index - 1)/layer.tar")
                } else {
                    tar.add(Array("\(index)/layer.tar".utf8), content: layer)
                }
                names.append("\(index)/layer.tar")
            }
            tar.add(Array("c.json".utf8), content: config)
            tar.add(
                Array("manifest.json".utf8),
                content: JSON.array([
                    .object(["Config": "c.json", "RepoTags": .strings(tags), "Layers": .strings(names)])
                ]).serialized())
        }
    }

    @Test(arguments: Compression.allCases)
    func dockerArchivesLoad(_ compression: Compression) throws {
        let archive = compression.compress(
            try dockerArchive([Self.base, Self.top, Self.top], tags: ["nginx:1", "quay.io/a/b"], linked: true))
        let loaded = try fixture.load(archive)
        #expect(loaded.map(\.names) == [["docker.io/library/nginx:1", "quay.io/a/b:latest"]])
        let record = try fixture.store.resolve("nginx:1")
        #expect(record.layers.count == 3)
        // The same content above another layer is another layer.
        #expect(Set(record.layers.map(\.chainID)).count == 3)
        #expect(record.size > 0 && record.manifestMediaType == MediaType.manifest)
    }

    @Test func anArchiveWithoutNamesIsKnownByItsID() throws {
        let loaded = try fixture.load(try dockerArchive([Self.base], tags: []))
        #expect(loaded.map(\.names) == [[]])
        #expect(try fixture.store.list().map(\.names) == [[]])
    }

    @Test func dockerArchivesThatLieAreRefused() throws {
        func archive(_ item: JSONObject) -> [UInt8] {
            TarBuilder.build {
                $0.add(
                    "c.json",
                    content:
                        "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"
                )
                $0.link("loop", to: "loop")
                $0.add(Array("manifest.json".utf8), content: JSON.array([.object(item)]).serialized())
            }
        }
        #expect(
            try fixture.refusal(of: archive(["Config": "no.json"])).contains("\"no.json\", which is not in the archive")
        )
        #expect(try fixture.refusal(of: archive(["Config": "loop"])).contains("circle"))
        #expect(
            try fixture.refusal(of: archive(["Config": "c.json", "Layers": ["../outside/file"]])).contains(
                "not in the archive"))
        #expect(
            try fixture.refusal(of: archive(["Config": "c.json", "Layers": ["c.json"]])).contains(
                "1 layers and its config 0"))
        #expect(
            try fixture.refusal(of: archive(["Config": "c.json", "RepoTags": ["No:!"]])).contains("invalid image name"))
        #expect(
            try fixture.refusal(of: TarBuilder.build { $0.link("x", to: "../../etc/passwd") }).contains(
                "leads out of the archive"))
    }

    @Test func layersAreUnpackedOnce() throws {
        _ = try fixture.load(OCIArchive(layers: [Self.base], compression: .gzip).bytes)
        let first = try #require(fixture.store.layerPaths(of: fixture.store.resolve("example.com/image:1")).first)
        let inode = try File.status(first).inode
        var second = OCIArchive(layers: [Self.base, Self.top], compression: .zstd)
        second.name = "example.com/second:1"
        _ = try fixture.load(second.bytes)
        let record = try fixture.store.resolve("example.com/second:1")
        #expect(try File.status(try #require(fixture.store.layerPaths(of: record).last)).inode == inode)
        #expect(record.layers[0].mediaType == MediaType.layerZstd)
        #expect(try Directory.names(fixture.store.root + "/layers").count == 2)
    }

    @Test func aLayoutDirectoryLoads() throws {
        let archive = try OCIArchive(layers: [Self.base, Self.top], compression: .gzip).bytes
        try Directory.make(fixture.directory + "/archive")
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/tar")
        process.arguments = ["-C", fixture.directory + "/archive", "-xf", "-"]
        let pipe = Pipe()
        process.standardInput = pipe
        try process.run()
        try pipe.fileHandleForWriting.write(contentsOf: Data(archive))
        try pipe.fileHandleForWriting.close()
        process.waitUntilExit()
        let loader = ImageLoader(store: fixture.store, options: fixture.options())
        #expect(try loader.load(path: fixture.directory + "/archive").map(\.names) == [["example.com/image:1"]])
        // Again: everything is there.
        #expect(try loader.load(path: fixture.directory + "/archive").map(\.names) == [["example.com/image:1"]])
        // A blob that is not what its name says.
        let victim = try #require(try Directory.names(fixture.directory + "/archive/blobs/sha256").first)
        try File.write(fixture.directory + "/archive/blobs/sha256/" + victim, [1])
        let other = ImageStore(root: fixture.directory + "/store/other")
        #expect(throws: LayerArchiveError.self) {
            try ImageLoader(store: other, options: fixture.options()).load(path: fixture.directory + "/archive")
        }
        #expect(try other.list().isEmpty)
    }

    // MARK: Saving

    func save(_ names: [String], _ format: ImageSaver.Format, from store: ImageStore) throws -> [UInt8] {
        let path = fixture.directory + "/archive"
        let saver = try ImageSaver(store: store)
        let file = try OutputFile.open(path)
        try file.write { (fd) throws(LayerArchiveError) in
            try saver.save(names, format: format, to: fd, output: path)
        }
        let bytes = try File.read(path)
        try File.unlink(path)
        return bytes
    }

    @Test(arguments: Compression.allCases)
    func savedOCIArchivesLoadByteForByte(_ compression: Compression) throws {
        _ = try fixture.load(OCIArchive(layers: [Self.base, Self.top], compression: compression).bytes)
        let saved = try save(["example.com/image:1"], .oci, from: fixture.store)
        #expect(try save(["example.com/image:1"], .oci, from: fixture.store) == saved)
        let other = try ArchiveFixture()
        #expect(try other.load(saved).map(\.names) == [["example.com/image:1"]])
        #expect(try other.store.resolve("example.com/image:1") == fixture.store.resolve("example.com/image:1"))
        let blobs = try Set(Directory.names(fixture.store.root + "/blobs/sha256"))
        #expect(try Set(Directory.names(other.store.root + "/blobs/sha256")) == blobs)
        for blob in blobs {
            #expect(
                try File.read(other.store.root + "/blobs/sha256/" + blob)
                    == File.read(fixture.store.root + "/blobs/sha256/" + blob))
        }
    }

    @Test(arguments: Compression.allCases)
    func savedDockerArchivesLoadWithTheSameLayers(_ compression: Compression) throws {
        _ = try fixture.load(OCIArchive(layers: [Self.base, Self.top], compression: compression).bytes)
        var second = OCIArchive(layers: [Self.base])
        second.name = "example.com/second:2"
        _ = try fixture.load(second.bytes)
        try fixture.store.tag("example.com/image:1", as: "also")
        let saved = try save(["example.com/image:1", "also", "example.com/second:2"], .docker, from: fixture.store)
        let other = try ArchiveFixture()
        let loaded = try other.load(saved)
        #expect(loaded.map(\.names) == [["example.com/image:1", "localhost/also:latest"], ["example.com/second:2"]])
        let (before, after) = (try fixture.store.resolve("also"), try other.store.resolve("also"))
        #expect(before.id == after.id)
        #expect(before.layers.map(\.chainID) == after.layers.map(\.chainID))
    }

    @Test func savingByIDGivesNoName() throws {
        let id = try #require(try fixture.load(OCIArchive(layers: [Self.base]).bytes).first).id
        for format in ImageSaver.Format.allCases where !format.isDirectory {
            let other = try ArchiveFixture()
            #expect(try other.load(save([id.hex], format, from: fixture.store)).map(\.names) == [[]])
        }
    }

    @Test func aFailedSaveLeavesTheOldFile() throws {
        let record = try fixture.load(layers: [Self.base])
        let path = fixture.directory + "/archive"
        try File.write(path, Array("old".utf8))
        try File.write(fixture.store.blobPath(record.layers[0].blob), [1, 2, 3])
        #expect(throws: LayerArchiveError.self) {
            let saver = try ImageSaver(store: fixture.store)
            let file = try OutputFile.open(path)
            try file.write { (fd) throws(LayerArchiveError) in
                try saver.save(["example.com/image:1"], format: .docker, to: fd, output: path)
            }
        }
        #expect(try File.read(path) == Array("old".utf8))
        #expect(try Set(Directory.names(fixture.directory)) == ["outside", "store", "archive"])
        #expect(try Directory.names(fixture.store.root + "/tmp").isEmpty)
        #expect(throws: LayerArchiveError("nosuch: image not known")) {
            try save(["nosuch"], .oci, from: fixture.store)
        }
    }

    @Test func aFailedLoadLeavesTheStoreAsItWas() throws {
        _ = try fixture.load(OCIArchive(layers: [Self.base]).bytes)
        let before =
            try fixture.snapshot(fixture.store.root + "/images") + fixture.snapshot(fixture.store.root + "/layers")
        var bad = OCIArchive(layers: [Self.base, TarBuilder.build { $0.add("../x") }])
        bad.name = "example.com/image:1"
        #expect(throws: LayerArchiveError.self) { try fixture.load(bad.bytes) }
        #expect(
            try fixture.snapshot(fixture.store.root + "/images") + fixture.snapshot(fixture.store.root + "/layers")
                == before)
        #expect(try Directory.names(fixture.store.root + "/tmp").isEmpty)
        #expect(try Directory.names(fixture.store.root + "/blobs/sha256").count == 3)
    }
}
