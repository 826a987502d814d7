// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// What the relay does with frames from clients.
extension Relay {
    /// The first frames to a client.
    func greet(_ client: RelayClient) {
        if !client.wasToldStart {
            client.wasToldStart = true
            client.send(AttachProtocol.started())
        }
        tellInputState(client)
    }

    private func tellInputState(_ client: RelayClient) {
        if !input.isOpen, !client.wasToldInputClosed {
            client.wasToldInputClosed = true
            client.send(AttachProtocol.frame(.stdinClosed))
        }
    }

    /// Handles every frame that `client` has sent.
    func receive(from client: RelayClient, _ pidfd: borrowing OwnedFD) {
        while !client.isGone {
            switch NonBlockingIO.receive(client.raw, into: frame) {
            case .wouldBlock: return
            case .endOfFile, .failed: client.drop()
            case .bytes(let count):
                let message = UnsafeRawBufferPointer(rebasing: frame[..<count])
                // A peer that speaks another language is not heard further: half of a conversation is worse than none.
                guard let frame = AttachProtocol.Frame(message), handle(frame, from: client, pidfd) else {
                    client.drop()
                    return
                }
            }
        }
    }

    /// Reads and forgets what a client says after the end.
    func discard(from client: RelayClient) {
        while true {
            switch NonBlockingIO.receive(client.raw, into: frame) {
            case .bytes: continue
            case .wouldBlock: return
            case .endOfFile, .failed:
                client.drop()
                return
            }
        }
    }

    /// False if the frame breaks the protocol.
    private func handle(
        _ frame: AttachProtocol.Frame, from client: RelayClient, _ pidfd: borrowing OwnedFD
    ) -> Bool {
        switch frame.kind {
        case .stdin:
            if frame.payload.isEmpty { return false }
            client.feedsInput = true
            input.append(frame.payload, from: client)
            flushInput()
        case .stdinBegin: client.feedsInput = true
        case .stdinEnd:
            client.hasEndedInput = true
            if case .openForOneClient = options.input {
                input.appendEnd()
                flushInput()
            }
        case .windowSize:
            guard let size = frame.size else { return false }
            // EIO: the terminal is gone, and with it the interest in its size.
            if let terminal { try? Terminal.setWindowSize(terminal.raw, size) }
        case .signal:
            guard let signal = frame.number, signal > 0, signal <= 64 else { return false }
            try? Process.signal(pidfd, signal)
        case .detach:
            client.hasDetached = true
            client.drop()
        case .stdout, .stderr, .started, .failed, .exited, .stdinConsumed, .stdinClosed: return false
        }
        return true
    }

    func flushInput() {
        input.flush { client, count in consumed(client, count) }
        for client in clients where !client.isGone { tellInputState(client) }
    }

    func consumed(_ client: RelayClient, _ count: Int) {
        if !client.isGone { client.send(AttachProtocol.frame(.stdinConsumed, number: Int32(count))) }
    }

    /// The end of a client's connection, expected or not.
    func forget(_ client: RelayClient) {
        // A killed `samara run -i` ends the input like a killed writer of a pipe; leaving by the detach keys does not.
        // One that only waited for the start or watches the output (`run --detach`, `wait`) has no part in it.
        guard case .openForOneClient = options.input, client.feedsInput, !client.hasDetached, !client.hasEndedInput
        else { return }
        input.appendEnd()
        flushInput()
    }
}
