// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What processes keep while they only wait: memory, descriptors, wake-ups.
struct ProcessFootprint {
    var processes = 0
    /// Proportional set size, smaps_rollup in proc_pid_smaps(5).
    var proportionalKiB = 0
    /// Resident memory of those whose smaps may not be read: an upper bound of their proportional share.
    var residentKiB = 0
    /// Of the processes whose table may be read.
    var descriptors = 0
    var unreadable: Set<String> = []

    init(_ pids: some Sequence<Int32>) {
        for pid in pids {
            guard let status = Self.fields("/proc/\(pid)/status") else { continue }
            processes += 1
            if let share = Self.fields("/proc/\(pid)/smaps_rollup")?["Pss"] {
                proportionalKiB += share
            } else {
                residentKiB += ["RssAnon", "RssFile", "RssShmem"].reduce(0) { $0 + (status[$1] ?? 0) }
                unreadable.insert(Self.name(pid))
            }
            descriptors += (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd"))?.count ?? 0
        }
    }

    var mebibytes: Double { Double(proportionalKiB + residentKiB) / 1024 }

    static func name(_ pid: Int32) -> String {
        ((try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) ?? "").trimmingCharacters(in: .newlines)
    }

    /// How often the threads of these processes have gone to sleep, which each wake-up ends with.
    static func sleeps(_ pids: some Sequence<Int32>) -> Int {
        pids.reduce(0) { sum, pid in
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
            return threads.reduce(sum) {
                $0 + (fields("/proc/\(pid)/task/\($1)/status")?["voluntary_ctxt_switches"] ?? 0)
            }
        }
    }

    /// "Name:   123 kB" by name; nil when it cannot be read or says nothing.
    private static func fields(_ path: String) -> [String: Int]? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8), !text.isEmpty else { return nil }
        var fields: [String: Int] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            if let value = parts[1].split(whereSeparator: { $0 == " " || $0 == "\t" }).first.flatMap({ Int($0) }) {
                fields[String(parts[0])] = value
            }
        }
        return fields
    }
}
