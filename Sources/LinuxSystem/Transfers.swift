// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Moving bytes of non-blocking descriptors. Nothing here allocates, and nothing raises SIGPIPE except `splice`,
/// for which the process must ignore that signal.
public enum Transfer {
    /// `recv(2)`; with `peek` the bytes stay queued.
    public static func receive(
        _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, peek: Bool = false
    ) -> TransferOutcome {
        let flags = Int32(samara_msg_dontwait) | (peek ? Int32(samara_msg_peek) : 0)
        while true {
            let count = CLinux.recv(socket, buffer.baseAddress, buffer.count, flags)
            if let outcome = outcome(count) { return outcome }
        }
    }

    /// Takes up to `count` queued bytes off a TCP socket without copying them: MSG_TRUNC, tcp(7).
    public static func discard(_ socket: Int32, _ count: Int) -> TransferOutcome {
        let flags = Int32(samara_msg_dontwait | samara_msg_trunc)
        while true {
            // The kernel does not touch the buffer, it only counts.
            var nothing: UInt8 = 0
            let discarded = CLinux.recv(socket, &nothing, count, flags)
            if let outcome = outcome(discarded) { return outcome }
        }
    }

    /// `send(2)`. Never reports end of file. `moreFollows`: TCP keeps a last incomplete segment back for what the caller is
    /// about to add at once, MSG_MORE.
    public static func send(
        _ socket: Int32, _ bytes: UnsafeRawBufferPointer, moreFollows: Bool = false
    ) -> TransferOutcome {
        let flags = Int32(samara_msg_dontwait | samara_msg_nosignal) | (moreFollows ? Int32(samara_msg_more) : 0)
        while true {
            let count = CLinux.send(socket, bytes.baseAddress, bytes.count, flags)
            if count >= 0 { return .bytes(count) }
            if let outcome = outcome(count) { return outcome }
        }
    }

    /// Moves up to `count` bytes between a pipe and a socket without copying them: `splice(2)`.
    public static func splice(from source: Int32, to sink: Int32, _ count: Int) -> TransferOutcome {
        while true {
            let moved = samara_splice(source, sink, count)
            if let outcome = outcome(moved) { return outcome }
        }
    }

    /// `read(2)`, for descriptors that are not sockets.
    public static func read(_ fd: Int32, into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        while true {
            let count = CLinux.read(fd, buffer.baseAddress, buffer.count)
            if let outcome = outcome(count) { return outcome }
        }
    }

    /// Nil to try again after a signal.
    @inline(__always)
    private static func outcome(_ count: Int) -> TransferOutcome? {
        if count > 0 { return .bytes(count) }
        if count == 0 { return .endOfFile }
        let error = lastErrno()
        if error == .wouldBlock { return .wouldBlock }
        return error == .interrupted ? nil : .failed(error)
    }
}

/// A pipe for splicing, non-blocking and close-on-exec: pipe(7).
public struct Pipe: ~Copyable {
    public let readEnd: OwnedFD
    public let writeEnd: OwnedFD
    /// Bytes it was granted (F_GETPIPE_SZ): 8 KiB or one page where the user's budget of pipe pages is used up.
    public let capacity: Int

    /// `pipe2(2)` with a wish for `wanted` bytes.
    public init(wanted: Int) throws(Errno) {
        var ends: (Int32, Int32) = (-1, -1)
        var size: Int32 = 0
        let made = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { samara_pipe($0, Int32(wanted), &size) }
        }
        _ = try checked(made)
        readEnd = OwnedFD(ends.0)
        writeEnd = OwnedFD(ends.1)
        capacity = Int(max(0, size))
    }
}
