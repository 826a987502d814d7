// SPDX-License-Identifier: Apache-2.0
import CLinux
import Foundation
import ImageStore
import JSON
import LayerArchive
import LinuxSystem
import OCISpec
import Testing

/// A store beside a directory that no archive may touch.
final class ArchiveFixture {
    let directory: String
    let outside: String
    let store: ImageStore
    private var before = ""
    private let log = Log()

    private final class Log { var lines: [String] = [] }

    init() throws {
        directory = FileManager.default.temporaryDirectory.path + "/samara-layers-" + UUID().uuidString
        outside = directory + "/outside"
        store = ImageStore(root: directory + "/store")
        try Directory.makeAll(outside + "/dir")
        try File.write(outside + "/file", Array("untouched".utf8))
        try File.write(outside + "/dir/inner", Array("untouched".utf8))
        try File.symlink("file", outside + "/link")
        before = try snapshot(outside)
    }

    deinit { try? FileTree.remove(directory) }

    /// Everything about the files below a directory.
    func snapshot(_ directory: String) throws -> String {
        var lines: [String] = []
        func walk(_ path: String) throws {
            let status = try File.status(path, follow: false)
            lines.append(
                "\(path) \(status.mode) \(status.owner) \(status.links) \(status.modifiedSeconds) \(status.inode)")
            if status.isRegular { lines.append(String(decoding: try File.read(path), as: UTF8.self)) }
            if status.isSymbolicLink { lines.append(try File.readLink(path)) }
            if status.isDirectory { for name in try Directory.names(path).sorted() { try walk(path + "/" + name) } }
        }
        try walk(directory)
        return lines.joined(separator: "\n")
    }

    /// Checks that nothing outside the store changed and that nothing lies about in the directory around it.
    func expectOutsideUntouched(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try snapshot(outside) == before, sourceLocation: sourceLocation)
        #expect(
            try Set(Directory.names(directory)).isSubset(of: ["outside", "store", "archive"]),
            sourceLocation: sourceLocation)
    }

    // MARK: Images

    var warnings: [String] { log.lines }

    func options(_ limits: ExtractionLimits = ExtractionLimits()) -> LayerOptions {
        let log = log
        // Files belong to whoever runs the tests: no test here needs a user namespace.
        return LayerOptions(ownership: .unpacking, limits: limits, warnings: WarningLog { log.lines.append($0) })
    }

    func load(_ archive: [UInt8], limits: ExtractionLimits = ExtractionLimits()) throws -> [ImageLoader.LoadedImage] {
        try ImageLoader(store: store, options: options(limits)).load(BytesSource(archive), name: "the archive")
    }

    /// Loads an image with these layers, lowest first, and returns its record.
    func load(layers: [[UInt8]], compression: Compression = .none) throws -> ImageRecord {
        let loaded = try load(OCIArchive(layers: layers, compression: compression).bytes)
        return try store.resolve(try #require(loaded.first).id.hex)
    }

    /// Where the highest layer of an image made of `layers` is unpacked.
    func unpack(_ layers: [[UInt8]]) throws -> String {
        try #require(store.layerPaths(of: try load(layers: layers)).first)
    }

    func unpack(_ body: (inout TarBuilder) -> Void) throws -> String { try unpack([TarBuilder.build(body)]) }

    /// The text of the error that loading one layer gives; checks that nothing was stored.
    func refusal(
        limits: ExtractionLimits = ExtractionLimits(), sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (inout TarBuilder) -> Void
    ) throws -> String {
        try refusal(
            of: OCIArchive(layers: [TarBuilder.build(body)]).bytes, limits: limits, sourceLocation: sourceLocation)
    }

    func refusal(
        of archive: [UInt8], limits: ExtractionLimits = ExtractionLimits(),
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        var text = ""
        do {
            let loaded = try load(archive, limits: limits)
            Issue.record("the archive was loaded: \(loaded)", sourceLocation: sourceLocation)
        } catch let error as LayerArchiveError {
            text = error.description
        }
        for name in ["images", "tags", "layers", "blobs/sha256", "tmp"] {
            #expect(
                try Directory.names(store.root + "/" + name).isEmpty, "\(name) is not empty",
                sourceLocation: sourceLocation)
        }
        try expectOutsideUntouched(sourceLocation: sourceLocation)
        return text
    }
}

/// An OCI archive of one image; every part can be falsified.
struct OCIArchive {
    var layers: [(tar: [UInt8], blob: [UInt8])]
    var compression: Compression
    var name: String? = "example.com/image:1"
    var architecture = Platform.host.architecture
    /// Falsifies the diff id of the first layer.
    var wrongDiffID = false
    /// Falsifies the declared size of the first layer by this many bytes.
    var sizeError = 0
    /// Falsifies the content of the first layer's blob file.
    var editBlob: (inout [UInt8]) -> Void = { _ in }

    init(layers: [[UInt8]], compression: Compression = .none) {
        self.layers = layers.map { ($0, compression.compress($0)) }
        self.compression = compression
    }

    static func digest(_ bytes: [UInt8]) throws -> Digest { try SHA256.digest(bytes) }

    var bytes: [UInt8] {
        get throws {
            var tar = TarBuilder()
            func blob(_ digest: Digest, _ content: [UInt8]) {
                tar.add(Array("blobs/sha256/\(digest.hex)".utf8), content: content)
            }
            var diffIDs = try layers.map { try OCIArchive.digest($0.tar).description }
            if wrongDiffID { diffIDs[0] = try OCIArchive.digest([1, 2, 3]).description }
            let config = JSON.object([
                "os": "linux", "architecture": .string(architecture), "created": "2026-01-01T00:00:00Z",
                "config": ["Cmd": ["sh"]], "rootfs": ["type": "layers", "diff_ids": .strings(diffIDs)],
            ]).serialized()
            let type = [Compression.none: MediaType.layer, .gzip: MediaType.layerGzip, .zstd: MediaType.layerZstd]
            var descriptors: [Descriptor] = []
            for (index, layer) in layers.enumerated() {
                let digest = try OCIArchive.digest(layer.blob)
                var content = layer.blob
                if index == 0 { editBlob(&content) }
                blob(digest, content)
                descriptors.append(
                    Descriptor(
                        mediaType: type[compression] ?? "", digest: digest,
                        size: Int64(layer.blob.count + (index == 0 ? sizeError : 0))))
            }
            let configDigest = try OCIArchive.digest(config)
            blob(configDigest, config)
            let manifest = ImageManifest(
                config: Descriptor(mediaType: MediaType.config, digest: configDigest, size: Int64(config.count)),
                layers: descriptors
            ).json.serialized()
            let manifestDigest = try OCIArchive.digest(manifest)
            blob(manifestDigest, manifest)
            var descriptor = Descriptor(
                mediaType: MediaType.manifest, digest: manifestDigest, size: Int64(manifest.count))
            if let name { descriptor.annotations["org.opencontainers.image.ref.name"] = name }
            tar.add("oci-layout", content: "{\"imageLayoutVersion\":\"1.0.0\"}")
            tar.add(Array("index.json".utf8), content: ImageIndex(manifests: [descriptor]).json.serialized())
            return tar.finished
        }
    }
}
