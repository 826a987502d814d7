// SPDX-License-Identifier: Apache-2.0
import Foundation
import JSON
import LayerArchive
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// `save` into directories and `load` from them.
@Suite struct ImageDirectoryTests {
    let fixture: ArchiveFixture
    private var path: String { fixture.directory + "/archive" }

    init() throws { fixture = try ArchiveFixture() }

    private func tar(_ text: String) -> [UInt8] { TarBuilder.build { $0.add("file", content: text) } }

    private func load(_ text: String, name: String, _ compression: Compression = .gzip) throws {
        var archive = OCIArchive(layers: [tar("base"), tar(text)], compression: compression)
        archive.name = name
        _ = try fixture.load(archive.bytes)
    }

    private func save(_ names: [String], _ format: ImageSaver.Format, compresses: Bool = false) throws {
        try ImageSaver(store: fixture.store).save(names, format: format, directory: path, compresses: compresses)
    }

    private func loaded() throws -> (ArchiveFixture, [ImageLoader.LoadedImage]) {
        let other = try ArchiveFixture()
        return (other, try ImageLoader(store: other.store, options: other.options()).load(path: path))
    }

    private func failure(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch { return String(describing: error) }
    }

    @Test(arguments: Compression.allCases)
    func layoutsHaveTheVeryBlobs(_ compression: Compression) throws {
        try load("one", name: "example.com/one:1", compression)
        try save(["example.com/one:1"], .ociDirectory)
        #expect(try Set(Directory.names(path)) == ["oci-layout", "index.json", "blobs"])
        let (other, images) = try loaded()
        #expect(images.map(\.names) == [["example.com/one:1"]])
        #expect(try other.store.resolve("example.com/one:1") == fixture.store.resolve("example.com/one:1"))
    }

    @Test func aLayoutKeepsItsOtherImages() throws {
        try load("one", name: "example.com/one:1")
        try load("two", name: "example.com/two:1")
        try save(["example.com/one:1"], .ociDirectory)
        try save(["example.com/two:1"], .ociDirectory)
        #expect(try loaded().1.map(\.names) == [["example.com/one:1"], ["example.com/two:1"]])
        // The name's image changes: the old one is not called so any more.
        try fixture.store.tag("example.com/two:1", as: "example.com/one:1")
        try save(["example.com/one:1"], .ociDirectory)
        #expect(try loaded().1.map(\.names) == [["example.com/two:1", "example.com/one:1"]])
    }

    @Test(arguments: Compression.allCases)
    func directoriesHaveDockersManifest(_ compression: Compression) throws {
        try load("one", name: "example.com/one:1", compression)
        let before = try fixture.store.resolve("example.com/one:1")
        try save(["example.com/one:1"], .dockerDirectory)
        let manifest = try ImageManifest(try JSON.parse(try File.read(path + "/manifest.json")))
        #expect(manifest.mediaType == MediaType.dockerManifest && manifest.config.mediaType == MediaType.dockerConfig)
        // zstd has no type there.
        let type = compression == .none ? MediaType.dockerLayer : MediaType.dockerLayerGzip
        #expect(manifest.layers.map(\.mediaType) == [type, type])
        #expect(try File.read(path + "/version") == Array("Directory Transport Version: 1.1\n".utf8))
        let (other, images) = try loaded()
        #expect(images.map(\.names) == [[]])
        let after = try other.store.resolve(before.id.hex)
        #expect(after.id == before.id && after.layers.map(\.chainID) == before.layers.map(\.chainID))
        // A second image takes the place of the first, whole.
        try load("two", name: "example.com/two:1", compression)
        try save(["example.com/two:1"], .dockerDirectory)
        #expect(try loaded().1.map(\.id) == [fixture.store.resolve("example.com/two:1").id])
        #expect(try Directory.names(path).count == 5)
    }

    @Test func layersAreCompressedOnRequest() throws {
        try load("one", name: "example.com/one:1", .none)
        try save(["example.com/one:1"], .dockerDirectory, compresses: true)
        let manifest = try ImageManifest(try JSON.parse(try File.read(path + "/manifest.json")))
        #expect(manifest.layers.map(\.mediaType) == [MediaType.dockerLayerGzip, MediaType.dockerLayerGzip])
        let id = try fixture.store.resolve("example.com/one:1").id
        #expect(try loaded().1.map(\.id) == [id])
        #expect(try Directory.names(fixture.store.root + "/tmp").isEmpty)
    }

    @Test func whatIsNotSuchADirectoryIsLeftAlone() throws {
        try load("one", name: "example.com/one:1")
        try Directory.make(path, mode: 0o755)
        try File.write(path + "/letter", Array("mine".utf8))
        for format in [ImageSaver.Format.ociDirectory, .dockerDirectory] {
            let text = failure { try save(["example.com/one:1"], format) }
            #expect(text.contains("the directory is not empty and has no"), "\(text)")
        }
        #expect(try Directory.names(path) == ["letter"])
        try FileTree.remove(path)
        try File.write(path, Array("a file".utf8))
        #expect(failure { try save(["example.com/one:1"], .ociDirectory) }.contains("Not a directory"))
        #expect(try File.read(path) == Array("a file".utf8))
    }

    @Test func aFailedSaveLeavesNothing() throws {
        try load("one", name: "example.com/one:1")
        try load("two", name: "example.com/two:1")
        #expect(
            failure { try save(["example.com/one:1", "example.com/two:1"], .dockerDirectory) }
                .contains("holds one image, not 2"))
        let blob = try #require(try fixture.store.resolve("example.com/one:1").layers.last).blob
        try save(["example.com/two:1"], .ociDirectory)
        let before = try fixture.snapshot(path)
        try File.unlink(fixture.store.blobPath(blob))
        for format in [ImageSaver.Format.ociDirectory, .dockerDirectory] {
            #expect(failure { try save(["example.com/one:1"], format) }.contains("lacks its content"))
        }
        #expect(try fixture.snapshot(path) == before)
        try FileTree.remove(path)
        try File.write(fixture.store.blobPath(blob), [1])
        for format in [ImageSaver.Format.ociDirectory, .dockerDirectory] {
            #expect(failure { try save(["example.com/one:1"], format) }.contains("has 1 bytes instead of"))
        }
        // Another content of the same size shows when the layer is converted, with files written already.
        try load("plain", name: "example.com/plain:1", .none)
        let layer = try #require(try fixture.store.resolve("example.com/plain:1").layers.last)
        try File.write(
            fixture.store.blobPath(layer.blob), [UInt8](repeating: 0, count: Int(layer.blobSize)))
        #expect(
            failure { try save(["example.com/plain:1"], .dockerDirectory, compresses: true) }
                .contains("does not unpack to"))
        #expect(try !Directory.names(fixture.directory).contains("archive"))
        #expect(try Directory.names(fixture.store.root + "/tmp").isEmpty)
    }

    @Test func directoriesThatLieAreRefused() throws {
        try load("one", name: "example.com/one:1")
        try save(["example.com/one:1"], .dockerDirectory)
        let manifest = try File.read(path + "/manifest.json")
        let layer = try ImageManifest(try JSON.parse(manifest)).layers[1].digest.hex
        let content = try File.read(path + "/" + layer)
        try File.write(path + "/" + layer, content + [0])
        #expect(failure { _ = try loaded() }.contains("larger than its declared"))
        try File.write(path + "/" + layer, content.dropLast() + [content[content.count - 1] ^ 1])
        #expect(failure { _ = try loaded() }.contains("has the digest"))
        try File.unlink(path + "/" + layer)
        #expect(failure { _ = try loaded() }.contains("No such file"))
        try File.write(path + "/" + layer, content)
        for text in [
            "{}", "{\"schemaVersion\":2,\"mediaType\":\"text/plain\"}", "7", "{\"schemaVersion\":2,\"manifests\":[]}",
        ] {
            try File.write(path + "/manifest.json", Array(text.utf8))
            #expect(failure { _ = try loaded() } != "no error", "\(text)")
        }
        try File.write(path + "/manifest.json", manifest)
        #expect(failure { _ = try loaded() } == "no error")
    }
}
