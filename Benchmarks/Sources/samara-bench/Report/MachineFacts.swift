// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation
import Glibc

/// What a reader needs to know about the machine before comparing its figures with others.
struct MachineFacts: Codable, Sendable {
    var date: String
    var kernel: String
    var distribution: String
    var processor: String
    var cores: Int
    var memoryMiB: Int
    var cgroups: String
    var fileSystem: String
    var user: String
    var loadAverageBefore: String
    var loadAverageAfter = ""
    /// Of all cores, in the second before the benchmark began. Absent in earlier reports.
    var busyShareBefore: Double?
    var congestionControl: String
    /// By engine: what its containers are made of, seen from inside.
    var containers: [String: String] = [:]
    var notes: [String] = []

    static func gather(workspace: String) -> MachineFacts {
        func read(_ path: String) -> String {
            ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
        }
        func field(_ text: String, _ name: String, _ separator: Character) -> String {
            let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
            let value = line?.split(separator: separator, maxSplits: 1).last.map(String.init) ?? "unknown"
            return value.trimmingCharacters(in: CharacterSet(charactersIn: " \t\""))
        }
        let memory = Int(field(read("/proc/meminfo"), "MemTotal", ":").split(separator: " ").first ?? "0") ?? 0
        let isUnified = FileManager.default.fileExists(atPath: "/sys/fs/cgroup/cgroup.controllers")
        let format = ISO8601DateFormatter()
        return MachineFacts(
            date: format.string(from: Date()), kernel: read("/proc/sys/kernel/osrelease"),
            distribution: field(read("/etc/os-release"), "PRETTY_NAME", "="),
            processor: field(read("/proc/cpuinfo"), "model name", ":"),
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryMiB: memory / 1024, cgroups: isUnified ? "v2" : "v1 or hybrid", fileSystem: fileSystemName(workspace),
            user: "uid \(getuid())", loadAverageBefore: read("/proc/loadavg"),
            busyShareBefore: MachineTime.busyShare(seconds: 1, cores: ProcessInfo.processInfo.activeProcessorCount),
            congestionControl: read("/proc/sys/net/ipv4/tcp_congestion_control"))
    }

    /// Of the folder in which images and containers are: statfs(2).
    private static func fileSystemName(_ path: String) -> String {
        switch cbench_filesystem(path) {
        case 0xEF53: "ext4"
        case 0x5846_5342: "xfs"
        case 0x9123_683E: "btrfs"
        case 0x0102_1994: "tmpfs"
        case 0x794C_7630: "overlay"
        case let magic: "0x" + String(magic, radix: 16)
        }
    }

    /// Whether something else ran when the benchmark began. The load average alone would blame what ended a minute ago:
    /// usually the build.
    var wasBusy: Bool {
        if let busyShareBefore { return busyShareBefore > 0.1 }
        return Double(loadAverageBefore.split(separator: " ").first ?? "").map { $0 > 0.3 * Double(cores) } ?? false
    }

    var text: String {
        var lines = [
            "\(date), kernel \(kernel), \(distribution), \(cores) x \(processor), \(memoryMiB) MiB, cgroups \(cgroups), \(fileSystem), \(user)",
            "load average before: \(loadAverageBefore); after: \(loadAverageAfter)"
                + (busyShareBefore.map { "; busy before: \(Int(($0 * 100).rounded())) %" } ?? ""),
        ]
        if wasBusy {
            lines.append("**The machine was busy: compare ratios only, and those with care.**")
        }
        for (engine, text) in containers.sorted(by: { $0.key < $1.key }) { lines.append("\(engine): \(text)") }
        return (lines + notes).map { "* " + $0 }.joined(separator: "\n")
    }
}
