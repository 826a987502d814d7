// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// `--init`: somebody reaps, forwards signals, and ends as the program ends.
    @Suite struct InitTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func run(_ arguments: String...) throws -> CommandResult {
            try samara.run(["run", "--rm", "--init", "--network", "none", "busybox"] + arguments)
        }

        @Test func reapsWhatIsLeftToIt() throws {
            // The shell's child ends at once and leaves a grandchild, which ends too: nobody but PID 1 can reap that.
            let script = """
                sh -c '(sleep 0.1 & echo $! >/pid)'
                pid=$(cat /pid)
                while grep -qs sleep /proc/$pid/cmdline; do :; done
                while [ -e /proc/$pid ]; do :; done
                cat /proc/1/cmdline
                """
            let result = try run("timeout", "10", "sh", "-c", script)
            #expect(result.status == 0 && result.stdout.hasPrefix("samara: init"), "\(result)")
        }

        @Test(arguments: [("exit 7", 7), ("kill -KILL $$", 137), ("nosuchprogram", 127)])
        func endsAsTheProgramEnds(script: String, status: Int32) throws {
            #expect(try run("sh", "-c", script).status == status)
        }

        @Test func programThatIsNotThere() throws {
            let result = try run("nosuchprogram")
            #expect(result.status == 127 && result.stderr.contains("`nosuchprogram` not found"), "\(result)")
            #expect(try run("/etc").status == 126)
        }

        @Test func passesSignalsOn() throws {
            try samara.succeed(
                "run", "-d", "--init", "--name", "box", "busybox", "sh", "-c",
                "trap 'echo terminated; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
            try eventually("the trap is set") { try samara.succeed("logs", "box") == "ready" }
            try samara.succeed("stop", "-t", "10", "box")
            #expect(try samara.succeed("logs", "box") == "ready\nterminated")
            #expect(try samara.inspect("box")["State"]["ExitCode"].number == 3)
        }

        /// What the container can read of its first process is the container's.
        @Test func showsNothingOfTheUser() throws {
            let result = try run("sh", "-c", "tr '\\0' '\\n' </proc/1/environ; readlink /proc/1/exe")
            #expect(result.status == 0 && result.stdout.contains("container="), "\(result)")
            #expect(!result.stdout.contains(samara.root) && !result.stdout.contains("SAMARA"), "\(result)")
        }
    }
}
