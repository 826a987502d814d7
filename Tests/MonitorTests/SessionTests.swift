// SPDX-License-Identifier: Apache-2.0
import CLinux
import Foundation
import LinuxSystem
import SystemPackage
import Testing

@testable import Monitor

/// `AttachClient` against a `Relay`, and `LocalSession`, each with a real terminal or pipes.
@Suite(.timeLimit(.minutes(2))) struct SessionTests {
    /// Starts a relay and an attach client on `terminal`.
    private func attached(
        _ terminal: borrowing TestTerminal, relay: [String], client: [String], shell: String
    ) throws -> (relay: Probe, client: Probe) {
        let null = try File.open("/dev/null", O_RDWR)
        let pair = try AttachSocket.pair()
        let relay = try Probe(
            ["relay", "client"] + relay + ["--", "/bin/sh", "-c", shell],
            descriptors: [null.raw, null.raw, 2, pair.second.raw])
        let slave = terminal.slave.raw
        let client = try Probe(["attach"] + client, descriptors: [slave, slave, slave, pair.first.raw])
        return (relay, client)
    }

    @Test func aTerminalIsRawForTheSessionAndRestoredAfterIt() throws {
        let terminal = try TestTerminal()
        let (relay, client) = try attached(
            terminal, relay: ["tty", "input=once"], client: ["tty"], shell: "echo ready; read x; echo \"<$x>\"; exit 5")
        try terminal.expect("ready\r\n")
        #expect(try !terminal.isCooked)
        try terminal.type("hello\r")
        try terminal.expect("<hello>\r\n")
        #expect(try client.wait() == 5)
        #expect(try relay.wait() == 5)
        #expect(try terminal.isCooked)
    }

    @Test func theTerminalIsRestoredAfterASignal() throws {
        let scratch = try Scratch()
        let terminal = try TestTerminal()
        let (relay, client) = try attached(
            terminal, relay: ["tty", "input=open"], client: ["tty", "no-proxy", "outcome=\(scratch.file("o"))"],
            shell: "echo ready; read x; exit 5")
        try terminal.expect("ready\r\n")
        #expect(try !terminal.isCooked)
        client.signal(SIGTERM)
        _ = try client.wait()
        #expect(try text(scratch.file("o")) == "interrupted(signal: 15)")
        #expect(try terminal.isCooked)
        relay.signal(SIGHUP)
        #expect(try relay.wait() == 128 + SIGHUP)
    }

    @Test func aProxiedSignalReachesTheProcess() throws {
        let terminal = try TestTerminal()
        let (relay, client) = try attached(
            terminal, relay: ["tty", "input=open"], client: ["tty"],
            shell: "trap 'exit 42' USR1; echo ready; while :; do sleep 0.01; done")
        try terminal.expect("ready\r\n")
        client.signal(SIGUSR1)
        #expect(try client.wait() == 42)
        #expect(try relay.wait() == 42)
        #expect(try terminal.isCooked)
    }

    @Test func theWindowSizeFollows() throws {
        let terminal = try TestTerminal()
        try Terminal.setWindowSize(terminal.master.raw, WindowSize(rows: 11, columns: 22))
        let (relay, client) = try attached(
            terminal, relay: ["tty", "input=open"], client: ["tty"],
            shell: "trap 'stty size' WINCH; while :; do stty size; sleep 0.01; done")
        try terminal.expect("11 22\r\n")
        try Terminal.setWindowSize(terminal.master.raw, WindowSize(rows: 44, columns: 55))
        client.signal(SIGWINCH)
        try terminal.expect("44 55\r\n")
        client.signal(SIGTERM)
        #expect(try client.wait() == 128 + SIGTERM)
        #expect(try relay.wait() == 128 + SIGTERM)
    }

    @Test func theDetachKeysWorkOneByOne() throws {
        let scratch = try Scratch()
        let terminal = try TestTerminal()
        let (relay, client) = try attached(
            terminal, relay: ["tty", "input=once"], client: ["tty", "keys=ctrl-a,b", "outcome=\(scratch.file("o"))"],
            shell: "stty -icanon -echo; echo ready; dd bs=1 count=3 2>/dev/null; echo; read x")
        try terminal.expect("ready\r\n")
        try terminal.type("x\u{1}")
        try terminal.type("\u{1}c")
        // The first ctrl-a is passed on when the second came, which is passed on when c came.
        try terminal.expect("x\u{1}\u{1}")
        try terminal.type("\u{1}")
        try terminal.type("b")
        _ = try client.wait()
        #expect(try text(scratch.file("o")) == "detached")
        #expect(try terminal.isCooked)
        // Leaving by the keys does not end the input.
        relay.signal(SIGHUP)
        #expect(try relay.wait() == 128 + SIGHUP)
    }

    @Test func aLostMonitorIsNoticed() throws {
        let scratch = try Scratch()
        let terminal = try TestTerminal()
        let (relay, client) = try attached(
            terminal, relay: ["tty", "input=open"], client: ["tty", "outcome=\(scratch.file("o"))"],
            shell: "echo ready; read x")
        try terminal.expect("ready\r\n")
        relay.signal(SIGKILL)
        _ = try client.wait()
        #expect(try text(scratch.file("o")) == "connectionLost")
        #expect(try terminal.isCooked)
    }

    /// Runs `relay` and `attach` with pipes; gives the input and returns what came out.
    private func piped(_ relayOptions: [String], _ options: [String], shell: String, input: [UInt8]) throws -> (
        code: Int32, out: [UInt8]
    ) {
        let null = try File.open("/dev/null", O_RDWR)
        let pair = try AttachSocket.pair()
        let relay = try Probe(
            ["relay", "client"] + relayOptions + ["--", "/bin/sh", "-c", shell],
            descriptors: [null.raw, null.raw, 2, pair.second.raw])
        func start(_ socket: consuming OwnedFD, _ stdin: Int32, _ stdout: Int32) throws -> Probe {
            try Probe(["attach"] + options, descriptors: [stdin, stdout, 2, socket.raw])
        }
        let stdin = try PipePair.make()
        let stdout = try PipePair.make()
        let client = try start(pair.keepingFirst(), stdin.readEnd.raw, stdout.writeEnd.raw)
        let reading = stdout.keepingReadEnd()
        let writing = FileHandle(fileDescriptor: stdin.keepingWriteEnd().release(), closeOnDealloc: true)
        let writer = Thread { [input] in
            try? writing.write(contentsOf: Data(input))
            try? writing.close()
        }
        writer.start()
        let out = try File.readAll(reading)
        let code = try client.wait()
        _ = try relay.wait()
        return (code, out)
    }

    @Test func bulkInputComesBack() throws {
        var generator = SeededGenerator()
        let input = (0..<5_000_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let result = try piped(["input=once"], [], shell: "cat; exit 8", input: input)
        #expect(result.code == 8)
        #expect(result.out == input)
    }

    @Test func detachKeysInPipedInputAreData() throws {
        let result = try piped(["input=once"], [], shell: "cat", input: [0x10, 0x11, 0x10])
        #expect(result.out == [0x10, 0x11, 0x10])
    }

    @Test func aTerminalWithoutALocalOneWorks() throws {
        let result = try piped(
            ["tty", "input=once"], ["tty"], shell: "stty -echo; cat; exit 3", input: Array("a\nb\n".utf8))
        #expect(result.code == 3)
        #expect(String(decoding: result.out, as: UTF8.self).hasSuffix("a\r\nb\r\n"))
    }

    @Test func aReaderThatLeavesDoesNotEndTheSession() throws {
        let null = try File.open("/dev/null", O_RDWR)
        let pair = try AttachSocket.pair()
        let relay = try Probe(
            ["relay", "client", "--", "/bin/sh", "-c", "seq 1 100000; exit 9"],
            descriptors: [null.raw, null.raw, 2, pair.second.raw])
        let stdout = try PipePair.make()
        let writing = stdout.keepingWriteEnd()
        let client = try Probe(["attach", "no-input"], descriptors: [null.raw, writing.raw, 2, pair.first.raw])
        #expect(try client.wait() == 9)
        #expect(try relay.wait() == 9)
    }

    @Test func aLocalSessionOnATerminal() throws {
        let terminal = try TestTerminal()
        try Terminal.setWindowSize(terminal.master.raw, WindowSize(rows: 11, columns: 22))
        let slave = terminal.slave.raw
        let session = try Probe(
            [
                "local", "tty", "--", "/bin/sh", "-c",
                "while [ \"$(stty size)\" != '11 22' ]; do :; done; echo ready; read x; echo \"<$x>\"; exit 6",
            ],
            descriptors: [slave, slave, slave])
        try terminal.expect("ready\r\n")
        #expect(try !terminal.isCooked)
        try terminal.type("hello\r")
        try terminal.expect("<hello>\r\n")
        #expect(try session.wait() == 6)
        #expect(try terminal.isCooked)
    }

    @Test func aLocalSessionThatIsDetached() throws {
        let terminal = try TestTerminal()
        let slave = terminal.slave.raw
        let session = try Probe(
            ["local", "tty", "--", "/bin/sh", "-c", "echo ready; read x"], descriptors: [slave, slave, slave])
        try terminal.expect("ready\r\n")
        try terminal.type("\u{10}")
        try terminal.type("\u{11}")
        let limit = MonotonicClock.signedMilliseconds + 20_000
        while try !terminal.isCooked, MonotonicClock.signedMilliseconds < limit { usleep(1000) }
        #expect(try terminal.isCooked)
        session.signal(SIGTERM)
        #expect(try session.wait() == 128 + SIGTERM)
    }

    @Test func aLocalSessionWithPipes() throws {
        let null = try File.open("/dev/null", O_RDWR)
        let stdout = try PipePair.make()
        let session = try Probe(
            ["local", "no-input", "--", "/bin/sh", "-c", "cat; seq 1 50000; kill -INT $$"],
            descriptors: [null.raw, stdout.writeEnd.raw, 2])
        let reading = stdout.keepingReadEnd()
        let out = try File.readAll(reading)
        #expect(try session.wait() == 128 + SIGINT)
        #expect(String(decoding: out, as: UTF8.self) == (1...50000).map { "\($0)\n" }.joined())
    }

    @Test func detachKeysAreParsed() throws {
        #expect(try DetachKeys("ctrl-p,ctrl-q").bytes == [0x10, 0x11])
        #expect(try DetachKeys("").bytes == [])
        #expect(
            try DetachKeys("a,Z,ctrl-@,ctrl-[,ctrl-_,ctrl-\\,DEL").bytes == [0x61, 0x5A, 0, 0x1B, 0x1F, 0x1C, 0x7F])
        for wrong in ["ctrl-A", "ctrl-", "ab", "a,,b", "ctrl-1", "ctrl-p,"] {
            #expect(throws: MonitorError.self) { try DetachKeys(wrong) }
        }
    }

    @Test func detachKeysAreFoundWhereverChunksAreSplit() throws {
        var generator = SeededGenerator()
        let keys = try DetachKeys("a,a,b")
        for _ in 0..<500 {
            let input = (0..<40).map { _ in "abc".utf8.randomElement(using: &generator) ?? 0 }
            var matcher = DetachMatcher(keys)
            var passed: [UInt8] = []
            var detached = false
            var rest = input[...]
            while !rest.isEmpty, !detached {
                let chunk = Array(rest.prefix(.random(in: 1...5, using: &generator)))
                rest = rest.dropFirst(chunk.count)
                detached = chunk.withUnsafeBytes { matcher.filter($0, into: &passed) }
            }
            let text = String(decoding: input, as: UTF8.self)
            if let range = text.range(of: "aab") {
                #expect(detached)
                #expect(String(decoding: passed, as: UTF8.self) == text[..<range.lowerBound])
            } else {
                #expect(!detached)
                matcher.finish(into: &passed)
                #expect(passed == input)
            }
        }
    }
}
