// SPDX-License-Identifier: Apache-2.0
import Testing

extension Integration {
    /// `run -it` and `exec -it` on a real terminal.
    @Suite struct TerminalTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        enum Kind: String, CaseIterable { case run, exec }

        /// The shell's prompt; busybox then asks the terminal where the cursor is, or clears the line's rest.
        private static let prompt = "# (\u{1b}\\[(6n|J))*$"

        /// A shell in busybox, at its prompt.
        private func shell(_ kind: Kind, rows: UInt16 = 24, columns: UInt16 = 80) throws -> Terminal {
            let terminal: Terminal
            switch kind {
            case .run:
                terminal = try samara.terminal(
                    "run", "-it", "--name", "box", "busybox", "sh", rows: rows, columns: columns)
            case .exec:
                try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
                terminal = try samara.terminal("exec", "-it", "box", "sh", rows: rows, columns: columns)
            }
            try terminal.expect(Self.prompt)
            return terminal
        }

        @Test(arguments: Kind.allCases)
        func sizeFollowsTheWindow(kind: Kind) throws {
            let terminal = try shell(kind, rows: 33, columns: 111)
            terminal.type("stty size\r")
            try terminal.expect("[\r\n]33 111[\r\n]")
            try terminal.expect(Self.prompt)
            terminal.type(
                "trap 'echo win''dow' WINCH; until test \"$(stty size)\" = '44 122'; do sleep 0.05; done; echo re''sized\r"
            )
            try terminal.expect("sized\r?\n")
            terminal.resize(rows: 44, columns: 122)
            try terminal.expect("resized[\r\n]")
            terminal.type("exit 6\r")
            #expect(try terminal.waitForExit() == 6)
        }

        @Test(arguments: Kind.allCases)
        func interruptReachesTheProgramAlone(kind: Kind) throws {
            let terminal = try shell(kind)
            terminal.type("sleep 1234; echo sta''tus $?\r")
            try terminal.expect("\n")
            // The container's own program may be another sleep.
            try eventually("sleep runs") { try samara.run("exec", "box", "ps").stdout.contains("sleep 1234") }
            terminal.type("\u{3}")
            // The shell drops the rest of the line and prompts again.
            try terminal.expect("\\^C[\r\n]+[^#]*" + Self.prompt)
            terminal.type("cat\r")
            try terminal.expect("\n")
            try eventually("cat runs") { try samara.run("exec", "box", "pidof", "cat").status == 0 }
            terminal.type("echoed\r")
            try terminal.expect("echoed\r\nechoed\r\n")
            terminal.type("\u{4}")
            try terminal.expect(Self.prompt)
            terminal.type("echo al''ive; exit\r")
            try terminal.expect("alive[\r\n]")
            #expect(try terminal.waitForExit() == 0)
        }

        @Test func detachKeysLeaveTheProgramRunning() throws {
            let terminal = try shell(.run)
            terminal.type("\u{10}\u{11}")
            #expect(try terminal.waitForExit() == 0)
            #expect(try samara.succeed("ps", "--format", "{{.Names}} {{.State}}") == "box running")
            // A single ctrl-p is the program's.
            let again = try samara.terminal("exec", "-it", "--detach-keys", "ctrl-x,x", "box", "sh")
            try again.expect(Self.prompt)
            again.type("echo one\r")
            try again.expect("[\r\n]one[\r\n][^#]*" + Self.prompt)
            again.type("\u{10}\u{7f}")
            again.type("\r")
            try again.expect(Self.prompt)
            again.type("\u{18}x")
            #expect(try again.waitForExit() == 0)
        }

        @Test func terminalIsRestored() throws {
            // The outer shell's settings before and after are compared by that shell.
            let shell = try Terminal(["/bin/sh"], environment: samara.environment)
            try shell.expect("[$#] $")
            let command = samara.command(["run", "--rm", "-it", "busybox", "true"]).joined(separator: " ")
            shell.type(
                "a=$(stty -g); \(command); echo \"code $?\"; test \"$a\" = \"$(stty -g)\" && echo same || echo different\r"
            )
            let answer = try shell.expect("[\r\n](same|different)[\r\n]")
            #expect(answer.contains("\ncode 0") && answer.contains("\nsame"), "\(answer)")
            shell.type("exit\r")
            _ = try shell.waitForExit()
        }

        @Test func variablesOfATerminal() throws {
            let terminal = try samara.terminal(
                "run", "--rm", "-t", "busybox", "sh", "-c",
                "echo term=$TERM; tty; test -t 0 -a -t 1 -a -t 2 && echo all")
            #expect(try terminal.waitForExit() == 0)
            let lines = terminal.screen.split(whereSeparator: \.isNewline)
            #expect(lines.count == 3 && lines.first == "term=xterm" && lines.last == "all", "\(lines)")
            #expect(lines.contains("/dev/pts/0") || lines.contains("/dev/console"), "\(lines)")
            #expect(try samara.run("run", "--rm", "busybox", "test", "-t", "1").status == 1)
        }

        @Test func attachedContainerEndsWithItsCode() throws {
            let terminal = try shell(.run)
            terminal.type("exit 42\r")
            #expect(try terminal.waitForExit() == 42)
            #expect(try samara.inspect("box")["State"]["ExitCode"].number == 42)
            let again = try samara.terminal("start", "-ai", "box")
            try again.expect(Self.prompt)
            again.type("exit 43\r")
            #expect(try again.waitForExit() == 43)
        }

        @Test func signalsAreForwardedWithoutATerminal() throws {
            let command = try samara.start(
                "run", "--name", "box", "busybox", "sh", "-c",
                "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
            eventually("the program is ready") { command.stdout == "ready\n" }
            command.signal(15)
            let result = try command.waitForExit()
            #expect(result.status == 9, "\(result)")
            #expect(result.stdout == "ready\ngot it\n")
        }
    }
}
