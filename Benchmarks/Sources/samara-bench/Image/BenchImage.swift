// SPDX-License-Identifier: Apache-2.0
import Foundation

/// An image made on the spot: gzip layers in an OCI archive. Both kinds begin with a layer that has a static /bin/true.
struct BenchImage {
    /// "large" or "small".
    let name: String
    let title: String
    /// The OCI archive's path.
    let archive: String
    /// The layers' files, lowest first.
    private(set) var layers: [String] = []

    private let folder: String
    private let bench: Bench
    private let environment: [String: String]

    init(_ name: String, _ bench: Bench) throws {
        self.name = name
        self.bench = bench
        folder = try bench.workspace.directory("image-" + name)
        environment = try bench.workspace.environment(home: "tools")
        archive = folder + ".tar"
        title =
            name == "large"
            ? "150 MB of this machine's programs, libraries and data in three layers" : "100,000 small files in one layer"
        var base = BenchTar()
        for directory in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] { base.directory(directory) }
        base.file(
            "bin/true", try Data(contentsOf: URL(fileURLWithPath: try bench.tools.program("floor-true"))), mode: 0o755)
        var tars = [base.finished]
        if name == "large" {
            tars += try [["/usr/bin"], ["/usr/lib"], ["/usr/share"]].map { try Self.machine($0, bytes: 50_000_000) }
        } else {
            tars.append(Self.smallFiles(100_000))
        }
        try write(tars)
    }

    /// What a JavaScript project's dependencies look like.
    private static func smallFiles(_ count: Int) -> Data {
        var generator = SeededGenerator(seed: 7)
        var tar = BenchTar()
        let words = (0..<500).map { _ in
            String((0..<Int.random(in: 3...8, using: &generator)).map { _ in
                Character(UnicodeScalar(UInt8.random(in: 97...122, using: &generator)))
            })
        }
        for index in 0..<count {
            let folder = "modules/p\(index / 200)/lib"
            if index % 200 == 0 {
                tar.directory("modules/p\(index / 200)")
                tar.directory(folder)
            }
            let text = (0..<Int.random(in: 5...150, using: &generator)).map { _ in words[Int.random(in: 0..<500, using: &generator)] }
            tar.file("\(folder)/f\(index).js", Data(text.joined(separator: " ").utf8), mode: 0o644)
        }
        return tar.finished
    }

    /// Files of this machine up to `bytes`, in the order of their names.
    private static func machine(_ folders: [String], bytes: Int) throws -> Data {
        var tar = BenchTar()
        var total = 0
        var made: Set<String> = []
        for folder in folders {
            let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String }.sorted() ?? []
            for name in names where total < bytes {
                let path = folder + "/" + name
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                guard attributes?[.type] as? FileAttributeType == .typeRegular, path.utf8.count < 100,
                    let size = attributes?[.size] as? Int, size < 20_000_000,
                    let content = FileManager.default.contents(atPath: path)
                else { continue }
                var parent = ""
                for component in path.dropFirst().split(separator: "/").dropLast() {
                    parent += (parent.isEmpty ? "" : "/") + component
                    if made.insert(parent).inserted { tar.directory(parent) }
                }
                tar.file(String(path.dropFirst()), content, mode: 0o755)
                total += content.count
            }
        }
        return tar.finished
    }

    // MARK: The archive

    private mutating func write(_ tars: [Data]) throws {
        let blobs = try bench.workspace.directory("image-\(name)/blobs/sha256")
        var descriptors: [String] = []
        var diffIDs: [String] = []
        for tar in tars {
            let plain = folder + "/layer"
            try tar.write(to: URL(fileURLWithPath: plain))
            diffIDs.append("\"sha256:\(try digest(plain))\"")
            try tool("gzip", "-n", "-6", plain)
            descriptors.append(try keep(plain + ".gz", in: blobs, "layer.v1.tar+gzip"))
            layers.append(blobs + "/" + descriptors[descriptors.count - 1].dropFirst(18).prefix(64))
        }
        let config = try keep(
            document: """
            {"os":"linux","architecture":"\(Self.architecture)","created":"2026-01-01T00:00:00Z",
            "config":{"Cmd":["/bin/true"]},"rootfs":{"type":"layers","diff_ids":[\(diffIDs.joined(separator: ","))]}}
            """, in: blobs, "config.v1+json")
        let manifest = try keep(
            document: #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":\#(config),"layers":[\#(descriptors.joined(separator: ","))]}"#,
            in: blobs, "manifest.v1+json")
        try #"{"imageLayoutVersion":"1.0.0"}"#.write(toFile: folder + "/oci-layout", atomically: false, encoding: .utf8)
        let named = manifest.dropLast() + #","annotations":{"org.opencontainers.image.ref.name":"localhost/\#(name):1"}}"#
        try #"{"schemaVersion":2,"manifests":[\#(named)]}"#
            .write(toFile: folder + "/index.json", atomically: false, encoding: .utf8)
        try tool("tar", "-C", folder, "-cf", archive, "oci-layout", "index.json", "blobs")
    }

    private func keep(document text: String, in blobs: String, _ type: String) throws -> String {
        let file = folder + "/document"
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        return try keep(file, in: blobs, type)
    }

    /// Moves a file to its digest's place and returns its descriptor.
    private func keep(_ file: String, in blobs: String, _ type: String) throws -> String {
        let hex = try digest(file)
        let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
        try? FileManager.default.removeItem(atPath: blobs + "/" + hex)
        try FileManager.default.moveItem(atPath: file, toPath: blobs + "/" + hex)
        return #"{"digest":"sha256:\#(hex)","size":\#(size),"mediaType":"application/vnd.oci.image.\#(type)"}"#
    }

    private func digest(_ file: String) throws -> String { String(try tool("sha256sum", file).prefix(64)) }

    @discardableResult
    private func tool(_ name: String, _ arguments: String...) throws -> String {
        guard let path = bench.tools.installed(name) else { throw BenchError("\(name) is not installed") }
        return try bench.runner.output(
            Command(path: path, arguments: arguments, environment: environment, timeLimitSeconds: 120))
    }

    private static var architecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }
}

/// A tar of plain files: POSIX.1-2017, pax, "ustar Interchange Format".
struct BenchTar {
    private var bytes = Data()

    var finished: Data { bytes + Data(count: 1024) }

    mutating func directory(_ name: String) { header(name + "/", "5", 0o755, 0) }

    mutating func file(_ name: String, _ content: Data, mode: Int) {
        header(name, "0", mode, content.count)
        bytes += content
        bytes += Data(count: (512 - content.count % 512) % 512)
    }

    private mutating func header(_ name: String, _ type: String, _ mode: Int, _ size: Int) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int) {
            header.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
        }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: digits - text.count) + text
        }
        put(name, 0)
        put(octal(mode, 7), 100)
        put(octal(0, 7), 108)
        put(octal(0, 7), 116)
        put(octal(size, 11), 124)
        put(octal(1_700_000_000, 11), 136)
        put("        ", 148)
        put(type, 156)
        put("ustar\u{0}00", 257)
        put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", 148)
        bytes += header
    }
}
