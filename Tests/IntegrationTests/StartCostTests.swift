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

        /// Created containers must not slow a start, a list or a look-up down. By turns beside an installation without any,
        /// so that what else the machine does slows both.
        @Test func hundredsOfCreatedContainersDoNotSlowAStart() throws {
            let (alone, crowded) = (try Samara.fresh(), try Samara.fresh())
            defer { for samara in [alone, crowded] { try? samara.destroy() } }
            for samara in [alone, crowded] {
                try samara.succeed("load", "-i", samara.images + "/busybox.tar", timeout: .seconds(60))
            }
            for _ in 0..<300 { try crowded.succeed("create", "--network", "none", "busybox", "true") }
            let clock = ContinuousClock()
            func start(_ samara: Samara) throws -> Duration {
                try clock.measure { try samara.succeed("run", "--rm", "--network", "none", "busybox", "true") }
            }
            var ratios: [Double] = []
            for _ in 0..<15 { ratios.append(try start(crowded) / start(alone)) }
            let ratio = ratios.sorted()[ratios.count / 2]
            #expect(ratio < 2, "\(ratios)")
            var listed: [Duration] = []
            for _ in 0..<5 {
                listed.append(
                    try clock.measure {
                        let lines = try crowded.run("ps", "-aq").lines
                        #expect(lines.count == 300)
                    })
            }
            #expect(listed.min().map { $0 < .milliseconds(200) } == true, "\(listed)")
        }
    }
}
