// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

extension TransferOutcome {
    fileprivate init(reading count: Int) {
        if count > 0 { self = .bytes(count) } else if count == 0 { self = .endOfFile } else { self.init(lastErrno()) }
    }

    fileprivate init(writing count: Int) {
        if count >= 0 { self = .bytes(count) } else { self.init(lastErrno()) }
    }

    private init(_ error: Errno) {
        self = error == .wouldBlock || error == .interrupted ? .wouldBlock : .failed(error)
    }
}

/// Byte streams without waiting.
public enum NonBlockingIO {
    /// Sets O_NONBLOCK on the open file description, for this process's own ends only: `ioctl(2)` FIONBIO, which leaves the
    /// other flags as they are.
    public static func enable(_ descriptor: Int32) throws(Errno) {
        var on: Int32 = 1
        _ = try checked(samara_ioctl_pointer(descriptor, UInt(FIONBIO), &on))
    }

    /// `read(2)`.
    public static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        TransferOutcome(reading: CLinux.read(descriptor, buffer.baseAddress, buffer.count))
    }

    /// `write(2)`. EPIPE also raises SIGPIPE, which the caller blocks.
    public static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        TransferOutcome(writing: CLinux.write(descriptor, bytes.baseAddress, bytes.count))
    }

    /// `pwritev2(2)` RWF_NOWAIT: does not wait even on a blocking descriptor. EOPNOTSUPP: this file cannot do that.
    public static func writeNoWait(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        TransferOutcome(writing: samara_write_nowait(descriptor, bytes.baseAddress, bytes.count))
    }

    /// `send(2)` MSG_DONTWAIT; on a SOCK_SEQPACKET socket the whole message or nothing. Never raises SIGPIPE.
    public static func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        TransferOutcome(writing: samara_send_message(socket, bytes.baseAddress, bytes.count))
    }

    /// One message of a SOCK_SEQPACKET socket: `recv(2)` MSG_DONTWAIT. A message longer than `buffer` is EMSGSIZE.
    public static func receive(_ socket: Int32, into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        var result = TransferOutcome(reading: samara_receive_message(socket, buffer.baseAddress, buffer.count))
        if result == .failed(.connectionReset) {
            // The peer closed with messages of ours unread. The kernel reports that before the messages that the peer
            // had sent, once (unix(7), af_unix.c: the queue is kept, sk_err is cleared).
            result = TransferOutcome(reading: samara_receive_message(socket, buffer.baseAddress, buffer.count))
        }
        if case .bytes(let count) = result, count > buffer.count { return .failed(.messageTooLong) }
        return result
    }

    /// Whether writing to the descriptor depends on nobody: a regular file, by `fstat(2)`.
    public static func isRegularFile(_ descriptor: Int32) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & 0o170000 == 0o100000
    }

    /// Bytes that can be read at once: `ioctl(2)` FIONREAD; 0 where the file does not say.
    public static func available(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        return samara_ioctl_pointer(descriptor, samara_fionread(), &count) == 0 ? Int(count) : 0
    }
}
