// SPDX-License-Identifier: Apache-2.0
import Testing

extension Integration {
    /// One container by itself: its output, input, terminal and exit code.
    @Suite struct ContainerTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        @Test func outputAndErrorsAreSeparate() throws {
            let result = try samara.run("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
            #expect(result.status == 0)
            #expect(result.stdout == "out\n")
            #expect(result.stderr == "err\n")
        }

        static let commands: [(command: [String], status: Int32)] = [
            (["true"], 0), (["sh", "-c", "exit 7"], 7), (["nosuchcmd"], 127), (["/etc"], 126),
            (["sh", "-c", "sleep 100 & kill -9 $!; wait $!"], 137),
        ]

        @Test(arguments: commands)
        func exitCodes(command: [String], status: Int32) throws {
            let result = try samara.run(["run", "--rm", "busybox"] + command)
            #expect(result.status == status, "\(result)")
        }

        @Test func inputIsPassedOnWhenAsked() throws {
            let text = String(repeating: "a line of input\n", count: 20_000)
            let result = try samara.run("run", "--rm", "-i", "busybox", "cat", stdin: text)
            #expect(result.status == 0)
            #expect(result.stdout == text)
            #expect(try samara.run("run", "--rm", "busybox", "cat", stdin: text).stdout.isEmpty)
        }

        @Test func detachedContainerIsListedLoggedAndStopped() throws {
            let id = try samara.succeed("run", "-d", "--name", "talker", "busybox", "sh", "-c", "echo hello; sleep 100")
            try eventually("the log has the line") { try samara.run("logs", "talker").stdout == "hello\n" }
            #expect(try samara.succeed("ps", "-q", "--no-trunc") == id)
            try samara.succeed("stop", "-t", "0", "talker")
            #expect(try samara.succeed("ps", "-a", "--format", "{{.Names}} {{.State}}") == "talker exited")
            #expect(try samara.run("ps", "-a", "--format", "{{.Status}}").stdout.hasPrefix("Exited (137) "))
            try samara.succeed("rm", "talker")
            #expect(try samara.succeed("ps", "-a", "--noheading").isEmpty)
        }

        @Test func refusedBeforeAnythingStarts() throws {
            let pod = try samara.run("run", "--pod", "nosuch", "busybox", "true")
            #expect(pod.status == 125)
            #expect(pod.stderr.contains("no pod with name or ID nosuch found: no such pod"), "\(pod)")
            try samara.succeed("create", "--name", "taken", "busybox", "true")
            let name = try samara.run("create", "--name", "taken", "busybox", "true")
            #expect(name.status == 125)
            #expect(name.stderr.contains("the container name \"taken\" is already in use by"), "\(name)")
            #expect(try samara.run("ps", "-aq").lines.count == 1)
        }

        @Test func execRunsInTheContainer() throws {
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "100")
            #expect(
                try samara.succeed("exec", "-e", "WHO=me", "-w", "/tmp", "box", "sh", "-c", "echo $WHO; pwd")
                    == "me\n/tmp")
            #expect(try samara.run("exec", "box", "sh", "-c", "exit 9").status == 9)
            #expect(try samara.run("exec", "box", "nosuchcmd").status == 127)
            #expect(try samara.run("exec", "box", "/etc").status == 126)
        }
    }
}
