// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What all cores together have worked: proc_stat(5).
enum MachineTime {
    /// Nanoseconds so far, of 10 ms resolution.
    static func busy() -> UInt64 {
        let text = (try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? ""
        let fields =
            text.split(separator: "\n").first?.split(separator: " ").dropFirst().compactMap { UInt64($0) } ?? []
        guard fields.count >= 8 else { return 0 }
        // user nice system irq softirq steal; not idle and iowait
        return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]) * 10_000_000
    }

    /// Watches for that long. 1 is every core all the time.
    static func busyShare(seconds: UInt32, cores: Int) -> Double {
        let before = busy()
        sleep(seconds)
        return Double(busy() - before) / 1e9 / Double(seconds) / Double(cores)
    }
}
