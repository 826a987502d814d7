// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Stop, kill, wait, restart, removal, and the codes they end with.
    @Suite struct LifecycleTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        @Test func everyExitCodeIsPassedOn() throws {
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            for code: Int32 in 0...255 {
                let result = try samara.run("exec", "box", "sh", "-c", "exit \(code)")
                #expect(result.status == code && result.stderr.isEmpty, "\(result)")
            }
            for code: Int32 in [0, 1, 2, 124, 125, 126, 127, 128, 255] {
                let result = try samara.run("run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit \(code)")
                #expect(result.status == code && result.stderr.isEmpty, "\(result)")
            }
        }

        @Test(arguments: [1, 6, 9, 11, 15] as [Int32])
        func deathBySignalIs128AndItsNumber(signal: Int32) throws {
            // As PID 1 a program gets no signal that it does not handle, but for SIGKILL from outside.
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            let inside = try samara.run("exec", "box", "sh", "-c", "kill -\(signal) $$")
            #expect(inside.status == 128 + signal, "\(inside)")
            let command = try samara.start(
                "run", "--name", "victim", "busybox", "sh", "-c", "sleep 1000 & kill -\(signal) $!; wait $!")
            #expect(try command.waitForExit().status == 128 + signal)
        }

        @Test func stopAsksThenKills() throws {
            try samara.succeed(
                "run", "-d", "--name", "polite", "busybox", "sh", "-c",
                "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
            try samara.succeed(
                "run", "-d", "--name", "deaf", "busybox", "sh", "-c",
                "trap '' TERM; echo ready; while :; do sleep 0.05; done")
            for name in ["polite", "deaf"] {
                try eventually("\(name) is ready") { try samara.run("logs", name).stdout == "ready\n" }
            }
            var start = ContinuousClock.now
            try samara.succeed("stop", "polite")
            #expect(ContinuousClock.now - start < .seconds(3))
            #expect(try samara.inspect("polite")["State"]["ExitCode"].number == 5)
            start = ContinuousClock.now
            let result = try samara.run("stop", "-t", "1", "deaf")
            let duration = ContinuousClock.now - start
            #expect(duration > .milliseconds(900) && duration < .seconds(4), "\(duration)")
            #expect(result.status == 0 && result.stderr.contains("resorting to SIGKILL"), "\(result)")
            #expect(try samara.inspect("deaf")["State"]["ExitCode"].number == 137)
            // Stopping what does not run is no error.
            #expect(try samara.run("stop", "polite").status == 0)
        }

        @Test func stopUsesTheContainersOwnSignal() throws {
            try samara.succeed(
                "run", "-d", "--name", "box", "--stop-signal", "USR1", "busybox", "sh", "-c",
                "trap 'exit 7' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done")
            try eventually("it is ready") { try samara.run("logs", "box").stdout == "ready\n" }
            try samara.succeed("stop", "-t", "5", "box")
            #expect(try samara.inspect("box")["State"]["ExitCode"].number == 7)
        }

        @Test func killSendsTheSignalAsked() throws {
            try samara.succeed(
                "run", "-d", "--name", "box", "busybox", "sh", "-c",
                "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done")
            try eventually("it is ready") { try samara.run("logs", "box").stdout == "ready\n" }
            try samara.succeed("kill", "-s", "USR1", "box")
            try eventually("the handler ran") { try samara.run("logs", "box").stdout == "ready\nusr1\n" }
            let unknown = try samara.run("kill", "-s", "NOSUCH", "box")
            #expect(unknown.status == 125 && unknown.stderr.contains("NOSUCH"), "\(unknown)")
            try samara.succeed("kill", "box")
            #expect(try samara.succeed("ps", "-a", "--format", "{{.State}}") == "exited")
            #expect(try samara.inspect("box")["State"]["ExitCode"].number == 137)
            let ended = try samara.run("kill", "box")
            #expect(ended.status == 125 && ended.stderr.contains("can only kill running containers"), "\(ended)")
        }

        @Test func waitTellsTheCode() throws {
            let folder = try samara.folder("go")
            for name in ["one", "two"] {
                try samara.succeed(
                    "run", "-d", "--name", name, "-v", "\(folder):/go", "busybox", "sh", "-c",
                    "until test -e /go/now; do sleep 0.05; done; exit \(name == "one" ? 11 : 12)")
            }
            let waiter = try samara.start("wait", "one", "two")
            #expect(waiter.stdout.isEmpty)
            try touch(folder + "/now")
            let result = try waiter.waitForExit()
            #expect(result.status == 0 && result.stdout == "11\n12\n", "\(result)")
            #expect(try samara.succeed("wait", "one") == "11", "the end may be long ago")
        }

        @Test func waitSeesAContainerThatRemovesItself() throws {
            let folder = try samara.folder("go")
            try samara.succeed(
                "run", "-d", "--rm", "--name", "brief", "-v", "\(folder):/go", "busybox", "sh", "-c",
                "until test -e /go/now; do sleep 0.05; done; exit 3")
            let waiter = try samara.start("wait", "brief")
            // The waiter attaches before the container may end; its socket shows that.
            eventually("the waiter sleeps") {
                (FileManager.default.contents(atPath: "/proc/\(waiter.pid)/stat").map {
                    String(decoding: $0, as: UTF8.self)
                } ?? "")
                .contains(") S ")
            }
            try touch(folder + "/now")
            let result = try waiter.waitForExit()
            #expect(result.stdout == "3\n", "\(result)")
            eventually("it is gone") { (try? samara.succeed("ps", "-aq").isEmpty) == true }
        }

        @Test func failingContainersAreRestartedAsOftenAsAsked() throws {
            let folder = try samara.folder("runs")
            try samara.succeed(
                "run", "-d", "--name", "again", "--restart", "on-failure:2", "-v", "\(folder):/runs", "busybox", "sh",
                "-c",
                "echo x >>/runs/count; exit 3")
            #expect(try samara.succeed("wait", "again") == "3")
            let count = FileManager.default.contents(atPath: folder + "/count").map { $0.filter { $0 == 0x78 }.count }
            #expect(count == 3)
            let inspected = try samara.inspect("again")
            #expect(inspected["RestartCount"].number == 2)
            #expect(inspected["HostConfig"]["RestartPolicy"]["Name"].text == "on-failure")
            // Success ends it at once.
            try samara.succeed("run", "--name", "fine", "--restart", "on-failure:2", "busybox", "true")
            #expect(try samara.inspect("fine")["RestartCount"].number == 0)
        }

        @Test func runningContainersAreNotRemovedUnasked() throws {
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            let refused = try samara.run("rm", "box")
            #expect(refused.status == 2, "\(refused)")
            #expect(
                refused.stderr.contains(
                    "as it is running - running or paused containers cannot be removed without force"), "\(refused)")
            try samara.succeed("run", "-d", "--pod", "new:mypod", "busybox", "sleep", "1000")
            let pod = try samara.run("pod", "rm", "mypod")
            #expect(pod.status == 125 && pod.stderr.contains("not all containers could be removed from pod"), "\(pod)")
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}}") == "Running")
            try samara.succeed("rm", "-f", "-t", "0", "box")
        }

        @Test func removedAfterUse() throws {
            let id = try samara.run(
                "run", "--rm", "-v", "/scratch", "-v", "named:/kept", "busybox", "sh", "-c",
                "touch /scratch/x /kept/y; hostname")
            #expect(id.status == 0)
            #expect(try samara.succeed("ps", "-aq").isEmpty)
            #expect(try samara.succeed("volume", "ls", "-q") == "named")
            // Without --rm the anonymous volume stays until `rm -v`.
            try samara.succeed("run", "--name", "box", "-v", "/scratch", "busybox", "true")
            #expect(try samara.run("volume", "ls", "-q").lines.count == 2)
            try samara.succeed("rm", "-v", "box")
            #expect(try samara.succeed("volume", "ls", "-q") == "named")
        }

        @Test func idsAreWrittenToFiles() throws {
            let folder = try samara.folder("ids")
            let pod = try samara.succeed("pod", "create", "--pod-id-file", "\(folder)/pod", "--name", "mypod")
            let id = try samara.succeed(
                "run", "-d", "--cidfile", "\(folder)/ctr", "--pod-id-file", "\(folder)/pod", "busybox", "sleep", "1000")
            func contents(_ name: String) -> String? {
                FileManager.default.contents(atPath: "\(folder)/\(name)").map { String(decoding: $0, as: UTF8.self) }
            }
            #expect(contents("pod") == pod)
            #expect(contents("ctr") == id)
            #expect(try samara.succeed("ps", "--format", "{{.Names}}", "--filter", "id=\(id)") == "mypod-busybox")
            let taken = try samara.run("run", "--cidfile", "\(folder)/ctr", "busybox", "true")
            #expect(taken.status == 125 && taken.stderr.contains("id file exists"), "\(taken)")
            #expect(try samara.run("ps", "-aq").lines.count == 2)
            try samara.succeed("rm", "-f", "-t", "0", "--cidfile", "\(folder)/ctr")
            try samara.succeed("pod", "rm", "-f", "-t", "0", "--pod-id-file", "\(folder)/pod")
            #expect(try samara.succeed("pod", "ps", "-q").isEmpty)
        }

        @Test func replacingTakesTheName() throws {
            let first = try samara.succeed(
                "run", "-d", "--stop-timeout", "0", "--name", "box", "busybox", "sleep", "1000")
            let second = try samara.succeed("run", "-d", "--replace", "--name", "box", "busybox", "sleep", "1000")
            #expect(first != second)
            #expect(try samara.succeed("ps", "-aq", "--no-trunc") == second)
            let pod = try samara.succeed("pod", "create", "--name", "mypod")
            try samara.succeed("run", "-d", "--stop-timeout", "0", "--pod", "mypod", "busybox", "sleep", "1000")
            let again = try samara.succeed("pod", "create", "--replace", "--name", "mypod")
            #expect(pod != again)
            #expect(try samara.succeed("pod", "ps", "-q", "--no-trunc") == again)
        }

        @Test func idPrefixesName() throws {
            let id = try samara.succeed("create", "--name", "box", "busybox", "true")
            #expect(try samara.succeed("inspect", "--format", "{{.Name}}", String(id.prefix(12))) == "box")
            try samara.succeed("rm", String(id.prefix(20)))
            #expect(try samara.succeed("ps", "-aq").isEmpty)
        }
    }
}
