// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A tar archive built entry by entry, also as no tar program would.
struct Tar {
    private var entries: [UInt8] = []

    /// - Parameter type: '0' file, '1' hard link, '2' symbolic link, '5' directory: tar(5).
    mutating func add(
        _ name: String, type: Character = "0", link: String = "", mode: Int = 0o644, owner: Int = 0,
        device: (Int, Int) = (0, 0), _ content: [UInt8] = []
    ) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int) {
            header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
        }
        func octal(_ value: Int, _ width: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: width - 1 - digits.count) + digits
        }
        put(name, 0)
        put(octal(mode, 8), 100)
        put(octal(owner, 8), 108)
        put(octal(owner, 8), 116)
        put(octal(content.count, 12), 124)
        put(octal(1_000_000_000, 12), 136)
        put("        ", 148)
        put(String(type), 156)
        put(link, 157)
        put("ustar\u{0}00", 257)
        put(octal(device.0, 8), 329)
        put(octal(device.1, 8), 337)
        put(octal(header.reduce(0) { $0 + Int($1) }, 7) + "\u{0} ", 148)
        entries += header + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    /// An extended header for the next entry: POSIX pax, "pax Extended Header".
    mutating func extend(_ records: [(key: String, value: [UInt8])]) {
        var content: [UInt8] = []
        for (key, value) in records {
            let rest = Array(" \(key)=".utf8) + value + [0x0a]
            // The number counts its own digits.
            var length = rest.count
            while length != rest.count + String(length).utf8.count { length = rest.count + String(length).utf8.count }
            content += Array(String(length).utf8) + rest
        }
        add("pax", type: "x", content)
    }

    /// With the two empty blocks at the end.
    var bytes: [UInt8] { entries + [UInt8](repeating: 0, count: 1024) }
}

/// A small image as `docker save` writes it, whole or wrong on purpose.
struct ImageArchive {
    var layer = Tar()
    /// The tar of a layer below.
    var base: [UInt8]?
    /// Replaces the layer's digest in the configuration.
    var diffID: String?
    /// Replaces the path of the layer in the manifest.
    var layerPath: String?
    var name = "localhost/small:latest"

    func bytes() throws -> [UInt8] {
        let diffID = try self.diffID ?? Self.digest(layer.bytes)
        let config = """
            {"architecture":"\(Self.architecture)","os":"linux","config":{"Cmd":["/bin/sh"]},
            "rootfs":{"type":"layers","diff_ids":[\(try baseDiffID())"sha256:\(diffID)"]}}
            """
        var archive = Tar()
        archive.add("config.json", Array(config.utf8))
        archive.add("layer.tar", layer.bytes)
        if let base { archive.add("base.tar", base) }
        let layers = (base == nil ? "" : "\"base.tar\",") + "\"\(layerPath ?? "layer.tar")\""
        let manifest = "[{\"Config\":\"config.json\",\"RepoTags\":[\"\(name)\"],\"Layers\":[\(layers)]}]"
        archive.add("manifest.json", Array(manifest.utf8))
        return archive.bytes
    }

    private func baseDiffID() throws -> String { try base.map { "\"sha256:\(try Self.digest($0))\"," } ?? "" }

    func write(to path: String) throws { try Data(bytes()).write(to: URL(fileURLWithPath: path)) }

    static func digest(_ bytes: [UInt8]) throws -> String {
        String(try runCommand(["/usr/bin/sha256sum"], environment: [:], stdin: bytes).stdout.prefix(64))
    }

    #if arch(arm64)
        private static let architecture = "arm64"
    #else
        private static let architecture = "amd64"
    #endif
}
