// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// How an attach session ended.
public enum AttachOutcome: Equatable, Sendable {
    /// The process ended; its code in the shell's convention.
    case exited(Int32)
    /// The user typed the detach keys; the container runs on.
    case detached
    /// The monitor could not start the process: the command's exit code and what to tell the user.
    case failed(code: Int32, text: String)
    /// A signal ended the session (only without `proxiesSignals`, or while output waited for its reader at the end).
    case interrupted(signal: Int32)
    /// The monitor is gone.
    case connectionLost
}

/// Whether a container's process was started.
public enum StartOutcome: Equatable, Sendable {
    case started
    case failed(code: Int32, text: String)
    /// The monitor died before it could say.
    case connectionLost
}

/// The command's end of an attach connection: couples its standard streams with a `Relay`.
public final class AttachClient {
    private let socket: OwnedFD
    private let local: LocalStreams
    private var polls = PollSet()
    private var outgoing = FrameQueue()
    private var outcome: AttachOutcome?
    private let onStart: () -> Void
    private let frame = UnsafeMutableRawBufferPointer.allocate(byteCount: AttachProtocol.frameSize, alignment: 16)
    /// Bytes of input sent and not yet taken by the process.
    private var inputUnderWay = 0

    /// Waits until the monitor says whether the process runs; for `run --detach` and `start`.
    public static func waitForStart(_ socket: borrowing OwnedFD) -> StartOutcome {
        var polls = PollSet()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: AttachProtocol.frameSize, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            switch NonBlockingIO.receive(socket.raw, into: buffer) {
            case .bytes(let count):
                let frame = AttachProtocol.Frame(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                guard let frame else { return .connectionLost }
                if let failure = AttachClient.failure(frame) { return failure }
                if frame.kind == .started { return .started }
            case .wouldBlock:
                polls.removeAll()
                polls.add(socket.raw, .readable)
                do throws(Errno) { try polls.wait(timeoutMilliseconds: nil) } catch { return .connectionLost }
            case .endOfFile, .failed: return .connectionLost
            }
        }
    }

    /// Runs a session until the process has ended and its output is written, or the user detached. `onStart` is called
    /// when the process runs. The terminal has its former settings when this returns or throws.
    public static func run(
        _ socket: consuming OwnedFD, _ options: SessionOptions, onStart: @escaping () -> Void = {}
    ) throws(MonitorError) -> AttachOutcome {
        let client = AttachClient(socket, try LocalStreams(options), onStart)
        let outcome = try client.run()
        if case .exited = outcome { client.local.keepSignalsBlocked() }
        try client.local.checkOutput()
        return outcome
    }

    private init(_ socket: consuming OwnedFD, _ local: LocalStreams, _ onStart: @escaping () -> Void) {
        self.socket = consume socket
        self.local = local
        self.onStart = onStart
    }

    deinit { frame.deallocate() }

    private func run() throws(MonitorError) -> AttachOutcome {
        if !local.inputEnded { send(AttachProtocol.frame(.stdinBegin)) }
        while true {
            if let outcome, !local.isBlocked { return outcome }
            serveSignals()
            if case .interrupted(let signal) = outcome { return .interrupted(signal: signal) }
            polls.removeAll()
            let room = AttachProtocol.stdinWindow - inputUnderWay
            local.add(to: &polls, wantsInput: outcome == nil && room > 0 && outgoing.isEmpty)
            let socketIndex = addSocket()
            do throws(Errno) { try polls.wait(timeoutMilliseconds: nil) } catch {
                throw MonitorError("wait for the container", "", error)
            }
            local.flush(polls)
            let events = polls.events(socketIndex)
            if events.contains(.writable) { _ = outgoing.flush(to: socket.raw) }
            if !events.isDisjoint(with: [.readable, .hangUp, .failed]) { receive() }
            if outcome == nil { forwardInput(room) }
        }
    }

    /// With output waiting for its reader nothing more is read, which in turn holds the process back.
    private func addSocket() -> Int? {
        var events: PollSet.Events = []
        if outcome == nil, !local.isBlocked { events.insert(.readable) }
        if !outgoing.isEmpty { events.insert(.writable) }
        return events.isEmpty ? nil : polls.add(socket.raw, events)
    }

    private func serveSignals() {
        while let request = local.nextRequest() {
            switch request {
            case .windowSize(let size): send(AttachProtocol.frame(size))
            case .proxy(let signal):
                if outcome == nil {
                    send(AttachProtocol.frame(.signal, number: signal))
                } else if ProxiedSignals.ending.contains(signal) {
                    outcome = .interrupted(signal: signal)
                }
            case .end(let signal): outcome = .interrupted(signal: signal)
            }
        }
    }

    private func forwardInput(_ room: Int) {
        var bytes: [UInt8] = AttachProtocol.frame(.stdin)
        let result = local.readInput(polls, limit: min(room, AttachProtocol.inputChunkSize), into: &bytes)
        if bytes.count > 1 {
            send(bytes)
            inputUnderWay += bytes.count - 1
        }
        switch result {
        case .nothing: break
        case .end: send(AttachProtocol.frame(.stdinEnd))
        case .detach:
            send(AttachProtocol.frame(.detach))
            outcome = .detached
        }
    }

    private func send(_ frame: [UInt8]) {
        // A broken connection shows when everything the monitor has sent is read.
        outgoing.send(frame, to: socket.raw)
    }

    private func receive() {
        // A bound, so that a process that never pauses cannot keep signals waiting.
        for _ in 0..<16 where outcome == nil && !local.isBlocked {
            switch NonBlockingIO.receive(socket.raw, into: frame) {
            case .bytes(let count):
                let message = UnsafeRawBufferPointer(rebasing: frame[..<count])
                guard let frame = AttachProtocol.Frame(message), handle(frame) else {
                    outcome = .connectionLost
                    return
                }
            case .wouldBlock: return
            case .endOfFile, .failed: outcome = .connectionLost
            }
        }
    }

    /// False if the frame breaks the protocol.
    private func handle(_ frame: AttachProtocol.Frame) -> Bool {
        switch frame.kind {
        case .stdout: local.output.write(frame.payload)
        case .stderr: local.errorOutput.write(frame.payload)
        case .started: onStart()
        case .failed:
            guard case .failed(let code, let text) = AttachClient.failure(frame) else { return false }
            outcome = .failed(code: code, text: text)
        case .exited:
            guard let code = frame.number else { return false }
            outcome = .exited(code)
        case .stdinConsumed:
            guard let count = frame.number, count >= 0 else { return false }
            inputUnderWay = max(0, inputUnderWay - Int(count))
        case .stdinClosed: local.dropInput()
        case .stdin, .stdinBegin, .stdinEnd, .windowSize, .signal, .detach: return false
        }
        return true
    }

    private static func failure(_ frame: AttachProtocol.Frame) -> StartOutcome? {
        guard frame.kind == .failed, let code = frame.number else { return nil }
        return .failed(code: code, text: String(decoding: frame.payload[4...], as: UTF8.self))
    }
}
