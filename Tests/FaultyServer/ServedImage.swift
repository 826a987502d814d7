// SPDX-License-Identifier: Apache-2.0
import Foundation
import JSON
import LayerArchive
import OCISpec

/// A small image as a registry serves it, for a `FaultyServer`.
public struct ServedImage: Sendable {
    public let manifest: [UInt8]
    public let manifestDigest: String
    public let configDigest: String
    /// By digest; config included.
    public let blobs: [String: [UInt8]]
    /// Lowest first.
    public let layers: [String]
    public static let manifestType = MediaType.manifest

    /// - Parameter contents: one layer with one file for each.
    public init(_ contents: [[UInt8]], architecture: String = Platform.host.architecture) throws {
        try self.init(
            layers: contents.enumerated().map { index, content in
                let tar = ServedImage.tar("file\(index)", content)
                return (MediaType.layer, tar, try SHA256.digest(tar).description)
            }, architecture: architecture)
    }

    /// - Parameter contents: media type, blob and diff id of each layer, lowest first.
    public init(
        layers contents: [(type: String, blob: [UInt8], diffID: String)],
        architecture: String = Platform.host.architecture
    ) throws {
        var blobs: [String: [UInt8]] = [:]
        var layers: [JSON] = []
        var diffIDs: [JSON] = []
        var digests: [String] = []
        for (type, blob, diffID) in contents {
            let digest = try SHA256.digest(blob).description
            blobs[digest] = blob
            digests.append(digest)
            diffIDs.append(.string(diffID))
            layers.append([
                "mediaType": .string(type), "digest": .string(digest), "size": .int(Int64(blob.count)),
            ])
        }
        let config = JSON.object([
            "os": "linux", "architecture": .string(architecture), "config": [:],
            "rootfs": ["type": "layers", "diff_ids": .array(diffIDs)],
        ]).serialized()
        configDigest = try SHA256.digest(config).description
        blobs[configDigest] = config
        manifest = JSON.object([
            "schemaVersion": 2, "mediaType": .string(MediaType.manifest),
            "config": [
                "mediaType": .string(MediaType.config), "digest": .string(configDigest),
                "size": .int(Int64(config.count)),
            ],
            "layers": .array(layers),
        ]).serialized()
        manifestDigest = try SHA256.digest(manifest).description
        self.blobs = blobs
        self.layers = digests
    }

    /// What a correct registry answers; ranges of the form `bytes=N-` are served.
    public func reply(_ request: FaultyServer.Request) -> FaultyServer.Reply {
        let parts = request.path.split(separator: "/").map(String.init)
        if request.path == "/v2/" { return FaultyServer.Reply(200, body: Array("{}".utf8)) }
        guard parts.count >= 3, let last = parts.last else { return .notFound }
        if parts[parts.count - 2] == "manifests" {
            return FaultyServer.Reply(200, headers: [("Content-Type", MediaType.manifest)], body: manifest)
        }
        guard parts[parts.count - 2] == "blobs", let blob = blobs[last] else { return .notFound }
        if let range = request.headers["range"], let first = Int(range.dropFirst(6).dropLast()), first < blob.count {
            return FaultyServer.Reply(
                206, headers: [("Content-Range", "bytes \(first)-\(blob.count - 1)/\(blob.count)")],
                body: Array(blob[first...]))
        }
        return FaultyServer.Reply(200, body: blob)
    }

    /// POSIX.1-2017, pax, "ustar Interchange Format".
    private static func tar(_ name: String, _ content: [UInt8]) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int) {
            header.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
        }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: digits - text.count) + text
        }
        put(name, 0)
        put(octal(0o644, 7), 100)
        put(octal(0, 7), 108)
        put(octal(0, 7), 116)
        put(octal(content.count, 11), 124)
        put(octal(0, 11), 136)
        put("        ", 148)
        put("0", 156)
        put("ustar\u{0}00", 257)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(octal(sum, 6) + "\u{0} ", 148)
        let padding = (512 - content.count % 512) % 512
        return header + content + [UInt8](repeating: 0, count: padding + 1024)
    }
}

extension FaultyServer.Reply {
    public static var notFound: FaultyServer.Reply {
        FaultyServer.Reply(
            404, headers: [("Content-Type", "application/json")],
            body: Array(#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.utf8))
    }
}
