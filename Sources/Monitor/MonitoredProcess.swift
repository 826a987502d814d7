// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// This process's ends of a child's standard streams: either a terminal, or up to three pipes.
public struct ProcessStreams: ~Copyable {
    var terminal: OwnedFD?
    var stdin: OwnedFD?
    var stdout: OwnedFD?
    var stderr: OwnedFD?

    /// The master of the pseudo-terminal that is the child's standard input, output and error.
    public static func terminal(_ master: consuming OwnedFD) -> ProcessStreams {
        ProcessStreams(terminal: consume master, stdin: nil, stdout: nil, stderr: nil)
    }

    /// The write end of the child's input and the read ends of its output; nil where the child has something else.
    public static func pipes(
        stdin: consuming OwnedFD?, stdout: consuming OwnedFD?, stderr: consuming OwnedFD?
    ) -> ProcessStreams {
        ProcessStreams(terminal: nil, stdin: consume stdin, stdout: consume stdout, stderr: consume stderr)
    }
}

/// A child of this process, to be relayed and waited for.
public struct MonitoredProcess: ~Copyable {
    let pidfd: OwnedFD
    var streams: ProcessStreams

    /// The calling process must be the parent: only a parent learns an exit status (`waitid(2)`).
    public init(pidfd: consuming OwnedFD, streams: consuming ProcessStreams) {
        self.pidfd = consume pidfd
        self.streams = consume streams
    }
}

/// A descriptor that several parts of a relay use: a terminal's master is both source and destination.
final class Channel {
    private let fd: OwnedFD

    /// Makes the descriptor non-blocking. Its open file description is this process's alone: a pipe's two ends have one
    /// each, as have a terminal's master and slave.
    init(_ fd: consuming OwnedFD, isNonBlocking: Bool = false) throws(MonitorError) {
        self.fd = consume fd
        if isNonBlocking { return }
        do throws(Errno) { try NonBlockingIO.enable(self.fd.raw) } catch {
            throw MonitorError("prepare a stream for relaying", "", error)
        }
    }

    var raw: Int32 { fd.raw }
}

/// One output stream of the process.
final class Source {
    let channel: Channel
    let stream: OutputStream
    let isTerminal: Bool
    /// Nothing will come any more.
    private(set) var ended = false
    /// Bytes that were there when the process ended and have not been read yet.
    private(set) var owed = 0
    /// Bytes that may be read after the process ended even if a client is slow.
    private(set) var allowance = 0
    /// Monotonic milliseconds before which reading is pointless: no process has the terminal open.
    private(set) var quietUntil: Int64?
    var pollIndex: Int?

    /// Bytes that a terminal may hold without FIONREAD counting them: tty_buffer.c moves them later, by a kernel thread.
    private static let unseenLimit = 64 << 10
    /// How often a terminal that no process has open is looked at again, in milliseconds.
    static let hangUpInterval: Int64 = 100

    init(_ channel: Channel, _ stream: OutputStream, isTerminal: Bool) {
        self.channel = channel
        self.stream = stream
        self.isTerminal = isTerminal
    }

    /// Reads once. The result is only ever `bytes`, `wouldBlock` or `endOfFile`.
    func read(into buffer: UnsafeMutableRawBufferPointer, processEnded: Bool) -> TransferOutcome {
        let result = NonBlockingIO.read(channel.raw, into: buffer)
        switch result {
        case .bytes(let count):
            owed -= count
            allowance -= count
            quietUntil = nil
            return result
        case .wouldBlock: return result
        case .failed(.ioError) where isTerminal && !processEnded:
            // EIO from a master: no slave is open now. A process may open the container's console again.
            quietUntil = MonotonicClock.signedMilliseconds + Source.hangUpInterval
            return .wouldBlock
        case .endOfFile, .failed:
            ended = true
            return .endOfFile
        }
    }

    /// The process has ended: what is in the pipe now is its output and will be read.
    func processEnded() {
        owed = NonBlockingIO.available(channel.raw)
        allowance = owed + Source.unseenLimit
        quietUntil = nil
    }

    func isQuiet(at now: Int64) -> Bool { quietUntil.map { now < $0 } ?? false }
}
