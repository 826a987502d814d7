// SPDX-License-Identifier: Apache-2.0
import CLinux
import Foundation
import LinuxSystem
import SystemPackage
import Testing

@testable import Monitor

@Suite(.timeLimit(.minutes(2))) struct RelayTests {
    @Test func bothStreamsArriveInOrder() throws {
        let relay = try RelayUnderTest([], shell: "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 7")
        #expect(try relay.client.receive() == .started)
        try relay.client.receiveAll()
        #expect(relay.client.output == "out 1\nout 2\nout 3\n")
        #expect(String(decoding: relay.client.stderr, as: UTF8.self) == "err 1\nerr 2\nerr 3\n")
        #expect(relay.client.exitCode == 7)
        #expect(try relay.probe.wait() == 7)
    }

    @Test func deathBySignalIs128PlusTheSignal() throws {
        let relay = try RelayUnderTest([], shell: "kill -KILL $$")
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == 128 + SIGKILL)
    }

    @Test func fiftyMegabytesReachASlowClientAndTheLog() throws {
        let scratch = try Scratch()
        let relay = try RelayUnderTest(
            ["log=\(scratch.file("log"))"], shell: "head -c 50000000 /dev/zero | tr '\\0' 'x' | fold -w 9999")
        // Slow: the relay has filled the socket and waits long before the client takes anything.
        try relay.client.receive { !relay.client.stdout.isEmpty }
        var polls = PollSet()
        polls.add(relay.client.socket.raw, .readable)
        try polls.wait(timeoutMilliseconds: 1000)
        try relay.client.receiveAll()
        // fold ends the last of the 5,001 lines without a newline.
        #expect(relay.client.stdout.count == 50_000_000 + 5000)
        #expect(relay.client.exitCode == 0)
        let printed = try printLog(scratch.file("log"))
        #expect(Array(printed.out.utf8) == relay.client.stdout)
    }

    @Test func aKilledClientDoesNotDisturbTheContainer() throws {
        let scratch = try Scratch()
        let null = try File.open("/dev/null", O_RDWR)
        let pair = try AttachSocket.pair()
        let probe = try Probe(
            ["relay", "client", "log=\(scratch.file("log"))", "--", "/bin/sh", "-c", "seq 1 100000; exit 3"],
            descriptors: [null.raw, null.raw, 2, pair.second.raw])
        func readALittle(_ socket: consuming OwnedFD) throws {
            let client = TestClient(socket)
            try client.receive { !client.stdout.isEmpty }
        }
        try readALittle(pair.keepingFirst())
        #expect(try probe.wait() == 3)
        #expect(try printLog(scratch.file("log")).out == (1...100_000).map { "\($0)\n" }.joined())
    }

    @Test func aSlowClientDoesNotDelayTheExitRecord() throws {
        // Through a pipe of the smallest size come small messages, of which the socket takes fewer bytes; and other tests
        // use up the user's pipe pages for moments (pipe(7)). So one attempt of three must do.
        let recorded = try (0..<3).contains { _ in try recordsBeforeTheClientReads() }
        #expect(recorded)
    }

    private func recordsBeforeTheClientReads() throws -> Bool {
        let scratch = try Scratch()
        // More than the socket takes, less than the socket, a chunk in the relay and the smallest pipe (pipe(7)).
        let relay = try RelayUnderTest(
            ["record=\(scratch.file("exit"))", "log=\(scratch.file("log"))"],
            shell: "head -c 220000 /dev/zero; exit 5")
        let limit = MonotonicClock.milliseconds + 10_000
        var recorded = ""
        while recorded != "5", MonotonicClock.milliseconds < limit {
            recorded = (try? text(scratch.file("exit"))) ?? ""
            usleep(1000)
        }
        try relay.client.receiveAll()
        #expect(relay.client.stdout.count == 220_000)
        #expect(relay.client.exitCode == 5)
        return recorded == "5"
    }

    @Test func aGrandchildHoldingThePipeDoesNotHoldTheExit() throws {
        let relay = try RelayUnderTest([], shell: "sleep 1000 & echo $!; exit 4")
        let start = MonotonicClock.signedMilliseconds
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == 4)
        #expect(MonotonicClock.signedMilliseconds - start < 5000)
        let pid = try #require(Int32(relay.client.output.trimmingCharacters(in: .newlines)))
        kill(pid, SIGKILL)
    }

    @Test func inputReachesTheProcessAndEnds() throws {
        let relay = try RelayUnderTest(["input=once"], ["/bin/cat"])
        try relay.client.type("one\n")
        try relay.client.receive { relay.client.output == "one\n" }
        try relay.client.type("two")
        try relay.client.send(AttachProtocol.frame(.stdinEnd))
        try relay.client.receiveAll()
        #expect(relay.client.output == "one\ntwo")
        #expect(relay.client.consumed == 7)
        #expect(relay.client.exitCode == 0)
    }

    /// Connects to a relay, says `frames` and goes.
    private func visit(_ path: String, _ kinds: [AttachProtocol.Kind]) throws {
        let visitor = TestClient(try UnixSocket.connect(path: path))
        #expect(try visitor.receive() == .started)
        for kind in kinds { try visitor.send(AttachProtocol.frame(kind)) }
    }

    @Test func aKilledClientWithInputEndsIt() throws {
        let scratch = try Scratch()
        let relay = try RelayUnderTest(["input=once", "listen=\(scratch.file("s"))"], ["/bin/cat"])
        #expect(try relay.client.receive() == .started)
        try visit(scratch.file("s"), [.stdinBegin])
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == 0)
    }

    @Test(arguments: [[], [AttachProtocol.Kind.stdinBegin, .detach]])
    func aClientThatWatchesOrDetachesDoesNotEndTheInput(_ kinds: [AttachProtocol.Kind]) throws {
        let scratch = try Scratch()
        let relay = try RelayUnderTest(["input=once", "listen=\(scratch.file("s"))"], ["/bin/cat"])
        #expect(try relay.client.receive() == .started)
        try visit(scratch.file("s"), kinds)
        // The relay looks at its clients before it accepts another one: with this one greeted, it knows of the loss.
        try visit(scratch.file("s"), [])
        try relay.client.type("after\n")
        try relay.client.receive { relay.client.output == "after\n" }
        try relay.client.send(AttachProtocol.frame(.stdinEnd))
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == 0)
    }

    @Test func aSignalOvertakesInputThatIsNotRead() throws {
        let relay = try RelayUnderTest(["input=once"], ["/bin/sleep", "1000"])
        #expect(try relay.client.receive() == .started)
        let chunk = [UInt8](repeating: 120, count: AttachProtocol.inputChunkSize)
        // A pipe takes 64 KiB or less; the rest waits in the relay.
        for _ in 0..<8 { try relay.client.send(AttachProtocol.frame(.stdin, chunk)) }
        try relay.client.receive { relay.client.consumed > 0 }
        try relay.client.send(AttachProtocol.frame(.signal, number: SIGTERM))
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == 128 + SIGTERM)
    }

    @Test func closedInputIsSaid() throws {
        let relay = try RelayUnderTest(["input=closed"], ["/bin/cat"])
        try relay.client.receiveAll()
        #expect(relay.client.inputClosed)
        #expect(relay.client.exitCode == 0)
    }

    @Test func signalsToTheMonitorGoToTheProcess() throws {
        let relay = try RelayUnderTest(
            [], shell: "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.01; done")
        try relay.client.receive { relay.client.output == "ready\n" }
        relay.probe.signal(SIGTERM)
        try relay.client.receiveAll()
        #expect(relay.client.output == "ready\ngot it\n")
        #expect(relay.client.exitCode == 9)
    }

    @Test func windowSizesReachTheTerminal() throws {
        let relay = try RelayUnderTest(
            ["tty", "input=open"], shell: "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done")
        try relay.client.receive { relay.client.output.contains("ready") }
        try relay.client.send(AttachProtocol.frame(WindowSize(rows: 33, columns: 77)))
        try relay.client.receiveAll()
        #expect(relay.client.output == "ready\r\n33 77\r\n")
        #expect(relay.client.exitCode == 0)
    }

    @Test func theEndOfInputIsATerminalsEndOfFileKey() throws {
        let relay = try RelayUnderTest(["tty", "input=once"], shell: "stty -echo; echo ready; cat; echo end")
        try relay.client.receive { relay.client.output.contains("ready") }
        try relay.client.type("half a line")
        try relay.client.send(AttachProtocol.frame(.stdinEnd))
        try relay.client.receiveAll()
        #expect(relay.client.output == "ready\r\nhalf a lineend\r\n")
    }

    @Test func aTerminalThatNobodyHasOpenMayComeBack() throws {
        let relay = try RelayUnderTest(
            ["tty"], shell: "t=$(tty); exec <&- >&- 2>&-; sleep 0.3; exec >$t; echo back; exit 6")
        try relay.client.receiveAll()
        #expect(relay.client.output == "back\r\n")
        #expect(relay.client.exitCode == 6)
    }

    @Test func oneRelayServesTheProcessesOfRestarts() throws {
        let scratch = try Scratch()
        let relay = try RelayUnderTest(["times=3", "log=\(scratch.file("log"))"], shell: "echo run; printf part")
        try relay.client.receiveAll()
        #expect(relay.client.output == "run\npartrun\npartrun\npart")
        #expect(relay.client.exitCode == 0)
    }

    @Test func laterClientsSeeWhatComesAfterThem() throws {
        let scratch = try Scratch()
        let relay = try RelayUnderTest(["input=open", "listen=\(scratch.file("s"))"], ["/bin/cat"])
        try relay.client.type("first\n")
        try relay.client.receive { relay.client.output == "first\n" }
        let second = TestClient(try UnixSocket.connect(path: scratch.file("s")))
        #expect(try second.receive() == .started)
        try second.type("second\n")
        try relay.client.receive { relay.client.output == "first\nsecond\n" }
        try second.receive { second.output == "second\n" }
        try second.send(AttachProtocol.frame(.detach))
        try relay.client.send(AttachProtocol.frame(.signal, number: SIGTERM))
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == 128 + SIGTERM)
    }

    @Test func aLaterClientThatTakesNothingIsDropped() throws {
        let scratch = try Scratch()
        let relay = try RelayUnderTest(
            ["input=open", "stall=200", "listen=\(scratch.file("s"))"], shell: "read line; seq 1 200000")
        #expect(try relay.client.receive() == .started)
        let stuck = TestClient(try UnixSocket.connect(path: scratch.file("s")))
        #expect(try stuck.receive() == .started)
        try relay.client.type("go\n")
        try relay.client.receiveAll()
        #expect(relay.client.output.hasSuffix("\n200000\n"))
        #expect(relay.client.exitCode == 0)
    }

    @Test func aPeerThatBreaksTheProtocolIsDropped() throws {
        let relay = try RelayUnderTest([], ["/bin/sleep", "1000"])
        #expect(try relay.client.receive() == .started)
        try relay.client.send([99, 1, 2, 3])
        try relay.client.receiveAll()
        #expect(relay.client.exitCode == nil)
        relay.probe.signal(SIGTERM)
        #expect(try relay.probe.wait() == 128 + SIGTERM)
    }
}

/// What `samara logs` prints for one log.
func printLog(_ path: String, _ query: LogQuery = LogQuery()) throws -> (out: String, err: String) {
    try printLogs([LogSource(path: path, id: "0123456789abcdef", name: "one") { false }], query)
}

func printLogs(_ sources: [LogSource], _ query: LogQuery) throws -> (out: String, err: String) {
    let scratch = try Scratch()
    let out = try File.open(scratch.file("out"), O_WRONLY | O_CREAT, mode: 0o600)
    let err = try File.open(scratch.file("err"), O_WRONLY | O_CREAT, mode: 0o600)
    try LogReader.run(sources, query, output: out.raw, errorOutput: err.raw)
    return (try text(scratch.file("out")), try text(scratch.file("err")))
}
