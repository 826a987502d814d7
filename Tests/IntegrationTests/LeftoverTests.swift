// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// After the last pod and container nothing of Samara is left; many at once change nothing about that.
    @Suite struct LeftoverTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// Fails unless the host is as it was, right now: the commands have returned.
        private func expectNothing(since before: HostSnapshot, sourceLocation: SourceLocation = #_sourceLocation) {
            let left = HostSnapshot(of: samara).added(since: before)
            #expect(left.isEmpty, "left behind:\n\(left.joined(separator: "\n"))", sourceLocation: sourceLocation)
        }

        @Test func nothingIsLeftAfterRemovingAll() throws {
            let before = HostSnapshot(of: samara)
            try samara.succeed(
                "pod", "create", "--name", "one", "-p", "\(try freePort()):80", "-p", "\(try freePort()):53/udp")
            try samara.succeed("run", "-d", "--pod", "one", "nginx")
            try samara.succeed("run", "-d", "--pod", "one", "-v", "/scratch", "redis")
            try samara.succeed("pod", "create", "--name", "two", "--share", "pid")
            try samara.succeed("run", "-d", "--pod", "two", "busybox", "sh", "-c", "sleep 1000 & sleep 1000")
            try samara.succeed("run", "-d", "--name", "alone", "-p", "80", "busybox", "sleep", "1000")
            try samara.succeed("run", "-d", "--name", "loop", "--restart", "always", "busybox", "sleep", "1000")
            try samara.succeed("run", "--name", "ended", "busybox", "true")
            try samara.succeed("create", "--name", "waiting", "busybox", "true")
            try samara.succeed("exec", "-d", "alone", "sleep", "1000")
            #expect(!HostSnapshot(of: samara).added(since: before).isEmpty)

            try samara.succeed("pod", "rm", "-f", "-a", "-t", "0")
            #expect(try samara.run("ps", "-aq").lines.count == 4)
            try samara.succeed("rm", "-f", "-a", "-t", "0")
            expectNothing(since: before)
            #expect(HostProcess.all(titled: "samara").isEmpty, "\(HostProcess.all(titled: "samara"))")
            #expect(try FileManager.default.contentsOfDirectory(atPath: samara.runroot + "/locks").isEmpty)
        }

        @Test func aFailedStartLeavesNothing() throws {
            let port = try freePort()
            let blocker = try Socket.bind("0.0.0.0", port)
            let before = HostSnapshot(of: samara)
            let result = try samara.run("run", "--rm", "-p", "\(port):80", "busybox", "true")
            #expect(result.status == 126 || result.status == 125, "\(result)")
            #expect(try samara.run("run", "--rm", "busybox", "nosuchcmd").status == 127)
            #expect(try samara.succeed("ps", "-aq").isEmpty)
            // The monitor deletes files after it has told the command.
            eventually("the monitor ends") { HostProcess.all(titled: "samara: monitor").isEmpty }
            try samara.succeed("rm", "-f", "-a")
            expectNothing(since: before)
            withExtendedLifetime(blocker) {}
        }

        @Test func fiftyPodsOneAfterTheOther() throws {
            let before = HostSnapshot(of: samara)
            for number in 1...50 {
                try samara.succeed("pod", "create", "--name", "pod\(number)", "-p", "80")
                try samara.succeed("run", "-d", "--pod", "pod\(number)", "busybox", "sleep", "1000")
                #expect(try samara.succeed("exec", "pod\(number)-busybox", "echo", "\(number)") == "\(number)")
                try samara.succeed("pod", "rm", "-f", "-t", "0", "pod\(number)")
            }
            // The holder of the user namespace goes with `--all`, when nothing is left to need it.
            try samara.succeed("pod", "rm", "-f", "-a")
            expectNothing(since: before)
        }

        @Test func twentyPodsAtOnce() throws {
            let before = HostSnapshot(of: samara)
            func all(_ command: (String) -> [String]) throws -> [CommandResult] {
                let results = try samara.runAtOnce((1...20).map { command("pod\($0)") })
                for result in results where result.status != 0 { Issue.record("\(result)") }
                return results
            }
            _ = try all { ["pod", "create", "--name", $0, "-p", "80"] }
            _ = try all {
                [
                    "run", "-d", "--pod", $0, "busybox", "sh", "-c",
                    "mkdir /w; echo I am \($0) >/w/index.html; exec httpd -f -p 80 -h /w",
                ]
            }
            var ports: Set<UInt16> = []
            for number in 1...20 {
                let shown = try samara.succeed("port", "pod\(number)-busybox", "80")
                let port = try #require(shown.split(separator: ":").last.flatMap { UInt16($0) }, "\(shown)")
                ports.insert(port)
                #expect(try samara.waitForPage(port) == "I am pod\(number)\n")
            }
            #expect(ports.count == 20)
            #expect(
                try samara.run("pod", "ps", "--format", "{{.Status}}").lines == Array(repeating: "Running", count: 20))
            _ = try all { ["pod", "rm", "-f", "-t", "0", $0] }
            try samara.succeed("pod", "rm", "-f", "-a")
            expectNothing(since: before)
        }

        @Test func oneNameIsGivenOnce() throws {
            let results = try samara.runAtOnce(
                Array(repeating: ["create", "--name", "only", "busybox", "true"], count: 10))
            #expect(results.filter { $0.status == 0 }.count == 1, "\(results)")
            #expect(
                results.allSatisfy { $0.status == 0 || $0.stderr.contains("\"only\" is already in use") }, "\(results)")
            let pods = try samara.runAtOnce(Array(repeating: ["pod", "create", "--name", "pair"], count: 10))
            #expect(pods.filter { $0.status == 0 }.count == 1, "\(pods)")
            // Ten starts of one pod: it runs once, and none of them fails.
            try samara.succeed("create", "--pod", "pair", "busybox", "sleep", "1000")
            let starts = try samara.runAtOnce(Array(repeating: ["pod", "start", "pair"], count: 10))
            #expect(starts.contains { $0.status == 0 })
            #expect(HostProcess.all(titled: "samara: keeper pair").count == 1)
            #expect(HostProcess.all(titled: "samara: monitor pair-busybox").count == 1)
        }
    }
}
