// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What a start costs, in numbers that do not depend on the machine's speed.
    @Suite struct StartCostTests {
        let samara: Samara

        init() throws { samara = try Samara.shared() }

        /// System calls of the command, the monitor and the container's program together: 299 to 301 for one that ends within
        /// 5 ms, and 30 more for one that lives long enough to be recorded, which under strace is the usual case here.
        @Test func aContainerAloneTakesFewSystemCalls() throws {
            // The first one makes the holder and compiles the filter.
            try samara.succeed("run", "--rm", "--network", "none", "busybox", "true")
            var fewest = (total: Int.max, table: "")
            for _ in 0..<5 {
                let counts = try systemCalls("run", "--rm", "--network", "none", "busybox", "true")
                if counts.total < fewest.total { fewest = counts }
            }
            #expect(fewest.total > 100 && fewest.total <= 332, "\(fewest.table)")
        }

        private func systemCalls(_ arguments: String...) throws -> (total: Int, table: String) {
            let report = samara.home + "/calls"
            defer { try? FileManager.default.removeItem(atPath: report) }
            let result = try runCommand(
                ["/usr/bin/strace", "-f", "-c", "-o", report] + samara.command(arguments),
                environment: samara.environment, stdin: nil, timeout: .seconds(30))
            try #require(result.status == 0, "\(result)")
            let table = try String(contentsOfFile: report, encoding: .utf8)
            let total = try #require(table.split(separator: "\n").last { $0.hasSuffix("total") }, "\(table)")
            // % time, seconds, usecs/call, calls, errors, syscall: the total has no value where a column has none.
            let numbers = total.split(separator: " ").compactMap { Int($0) }
            return (try #require(numbers.dropFirst(numbers.count > 2 ? 1 : 0).first), table)
        }

        /// A container's share of the memory of all of Samara's processes, in KiB: proc_pid_smaps(5), Pss. 232 to 239 is what
        /// is measured, most of it pages of the Swift runtime's and of libc's data; what else a command needs to start it
        /// does not stay in the monitor.
        @Test func aRunningContainerTakesLittleMemory() throws {
            let count = 20
            try samara.succeed("run", "-d", "--network", "none", "busybox", "sleep", "1000")
            let before = try proportionalSize()
            for _ in 0..<count { try samara.succeed("run", "-d", "--network", "none", "busybox", "sleep", "1000") }
            let each = (try proportionalSize() - before) / count
            // sleep(1) as a first process ignores SIGTERM.
            try samara.succeed("rm", "--force", "--all", "--time", "0")
            #expect(each <= 300, "\(each) KiB each")
        }

        private func proportionalSize() throws -> Int {
            var total = 0
            for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
                guard let pid = Int32(entry),
                    let name = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8),
                    name.hasPrefix("samara"),
                    let link = try? FileManager.default.attributesOfItem(atPath: "/proc/\(pid)"),
                    link[.ownerAccountID] as? NSNumber == NSNumber(value: getuid()),
                    let text = try? String(contentsOfFile: "/proc/\(pid)/smaps_rollup", encoding: .utf8)
                else { continue }
                for line in text.split(separator: "\n") where line.hasPrefix("Pss:") {
                    total += line.split(separator: " ").compactMap { Int($0) }.first ?? 0
                }
            }
            return total
        }

        /// Created containers must not slow a start, a list or a look-up down.
        @Test func hundredsOfCreatedContainersDoNotSlowAStart() throws {
            let samara = try Samara.fresh()
            defer { try? samara.destroy() }
            try samara.succeed("load", "-i", samara.images + "/busybox.tar", timeout: .seconds(60))
            func start() throws -> Duration {
                let clock = ContinuousClock()
                var durations: [Duration] = []
                for _ in 0..<15 {
                    durations.append(
                        try clock.measure { try samara.succeed("run", "--rm", "--network", "none", "busybox", "true") })
                }
                return durations.sorted()[durations.count / 2]
            }
            let alone = try start()
            for _ in 0..<300 { try samara.succeed("create", "--network", "none", "busybox", "true") }
            let crowded = try start()
            // Loose, because the machine may be busy with something else; the benchmark has the tight figure.
            #expect(crowded < alone * 2, "\(alone) alone, \(crowded) beside 300")
            let listed = try ContinuousClock().measure {
                let lines = try samara.run("ps", "-aq").lines
                #expect(lines.count == 300)
            }
            #expect(listed < .milliseconds(200), "\(listed)")
        }
    }
}
