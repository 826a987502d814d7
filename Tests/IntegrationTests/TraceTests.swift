// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// SAMARA_TRACE: the points of a start.
    @Suite struct TraceTests {
        let samara: Samara
        private var file: String { samara.home + "/trace" }

        init() throws { samara = try Samara.shared() }

        private func trace(_ arguments: String...) throws -> (points: [String], output: String) {
            defer { try? FileManager.default.removeItem(atPath: file) }
            let result = try samara.run(arguments, environment: ["SAMARA_TRACE": file])
            try #require(result.status == 0, "\(result)")
            // The monitor of a container with --rm goes on when the command has ended.
            eventually("the monitor's last point") {
                let text = try? String(contentsOfFile: file, encoding: .utf8)
                return arguments.contains("-d") || text?.contains("removed") == true
            }
            let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map {
                $0.split(separator: " ", maxSplits: 1)
            }
            let sorted = lines.sorted { (UInt64($0[0]) ?? 0) < (UInt64($1[0]) ?? 0) }
            return (sorted.map { String($0[1]) }, result.stdout)
        }

        @Test func everyProcessOfAStartSaysWhereItIs() throws {
            let (points, output) = try trace("run", "--rm", "--network", "none", "busybox", "ls", "-l", "/proc/self/fd")
            // Output is recorded before it is passed on; when the end is known, both go on for themselves.
            let chain = points.filter { !["monitor recorded", "monitor removed", "command ended"].contains($0) }
            #expect(
                chain == [
                    "command begun", "command arguments", "command image", "command record", "command namespaces",
                    "command plan", "monitor begun", "monitor ready", "container begun", "container root",
                    "container directory", "monitor executed", "monitor exited", "monitor cleaned",
                ])
            #expect(points.contains("monitor recorded") && points.contains("command ended"), "\(points)")
            // The container does not get it.
            #expect(!output.contains("trace"), "\(output)")
        }

        @Test func aContainerThatLivesOnIsRecorded() throws {
            let (points, _) = try trace("run", "-d", "--name", "traced", "--network", "none", "busybox", "sleep", "100")
            #expect(points.contains("monitor recorded") && points.contains("command ended"), "\(points)")
            try samara.succeed("rm", "--force", "--time", "0", "traced")
        }

        @Test func aFileThatCannotBeWrittenIsAnError() throws {
            let result = try samara.run("ps", environment: ["SAMARA_TRACE": samara.home + "/none/trace"])
            #expect(result.status == 125)
            #expect(
                result.stderr == "Error: cannot write the file that SAMARA_TRACE names: No such file or directory\n",
                "\(result)")
        }
    }
}
