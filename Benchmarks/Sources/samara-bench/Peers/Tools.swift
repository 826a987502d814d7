// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Where programs are: in PATH, in the folder of newer peers, beside the benchmark, beside Samara.
struct Tools {
    /// The folder that hack/bench-peers wrote.
    let newerFolder: String?
    /// The folder with samara, samara-net and samara-image.
    let samaraFolder: String?
    /// The folder with floor-start and the load generators.
    let programFolder: String
    /// The iperf3 to use instead of the newest.
    let chosenIperf: String?
    /// docker-archive with `true`, `sh`, `sleep` and `cat`.
    let image: String?

    init(_ environment: [String: String]) {
        newerFolder = environment["SAMARA_PEERS"].flatMap { $0.isEmpty ? nil : $0 }
        samaraFolder = environment["SAMARA_EXECUTABLES"]
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/"
        programFolder =
            environment["SAMARA_BENCH_PROGRAMS"] ?? String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
        chosenIperf = environment["SAMARA_IPERF3"].flatMap { $0.isEmpty ? nil : $0 }
        image = environment["SAMARA_IMAGES"].map { $0 + "/busybox.tar" }
    }

    /// The installed program and, where there is one, the newer one beside it.
    func versions(of name: String) -> [String] { [installed(name), newer(name)].compactMap { $0 } }

    func installed(_ name: String) -> String? {
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return folders.map { $0 + "/" + name }.first(where: FileManager.default.isExecutableFile(atPath:))
    }

    func newer(_ name: String) -> String? {
        newerFolder.map { $0 + "/bin/" + name }.flatMap { FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil }
    }

    /// The load generator of everybody's bulk: the newest there is, unless one is chosen. Since 3.16 each stream of iperf3
    /// has a thread of its own; with the select loop of before, one stream over loopback takes 12 Gbit/s in one second and
    /// 37 in the next.
    func iperf() throws -> String {
        if let chosenIperf {
            guard FileManager.default.isExecutableFile(atPath: chosenIperf) else {
                throw BenchError("SAMARA_IPERF3 names \(chosenIperf), which is not an executable file")
            }
            return chosenIperf
        }
        guard let path = newer("iperf3") ?? installed("iperf3") else { throw BenchError("iperf3 is not installed") }
        return path
    }

    func samara(_ name: String) -> String? {
        samaraFolder.map { $0 + "/" + name }.flatMap { FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil }
    }

    func program(_ name: String) throws -> String {
        let path = programFolder + "/" + name
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw BenchError("\(path) is missing: hack/bench builds it; SAMARA_BENCH_PROGRAMS names its folder")
        }
        return path
    }
}

extension ProcessRunner {
    static let unknownVersion = "of unknown version"

    /// The version number in the first line of `PROGRAM --version`: "crun version 1.8.1" is "1.8.1".
    func version(of path: String, _ environment: [String: String]) throws -> String {
        let text = try output(Command(path: path, arguments: ["--version"], environment: environment))
        let words = text.split(separator: "\n").first?.split(separator: " ") ?? []
        return words.dropFirst().first { $0.contains(where: \.isNumber) }.map(String.init) ?? Self.unknownVersion
    }
}
