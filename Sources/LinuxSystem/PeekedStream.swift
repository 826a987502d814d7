// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Reading a TCP socket's queue without taking anything off it.
public enum PeekedStream {
    /// Where the next peek starts, in bytes behind the first queued one; peeking moves it on, taking off moves it back:
    /// SO_PEEK_OFF, socket(7). EOPNOTSUPP for TCP before Linux 6.9 (IPv4) and 6.10 (IPv6).
    public static func setOffset(_ socket: Int32, _ offset: Int) throws(Errno) {
        try Socket.set(socket, SOL_SOCKET, SO_PEEK_OFF, Int32(clamping: offset))
    }

    /// Whether this kernel has SO_PEEK_OFF for TCP of `family` (AF_INET or AF_INET6).
    public static func hasOffset(family: Int32) -> Bool {
        guard let socket = try? Socket.make(family: family, .tcp) else { return false }
        do throws(Errno) {
            try setOffset(socket.raw, 0)
            return true
        } catch { return false }
    }

    /// MSG_PEEK from `offset` without SO_PEEK_OFF. The kernel copies the bytes before `offset` as well, to `waste`.
    /// `.endOfFile` says that nothing lies there, be it yet or for ever.
    public static func receive(
        _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, offset: Int, waste: UnsafeMutableRawBufferPointer
    ) -> TransferOutcome {
        while true {
            let count = samara_peek_behind(
                socket, waste.baseAddress, waste.count, offset, buffer.baseAddress, buffer.count)
            if count > offset { return .bytes(count - offset) }
            if count >= 0 { return .endOfFile }
            let error = lastErrno()
            if error == .wouldBlock { return .wouldBlock }
            if error != .interrupted { return .failed(error) }
        }
    }
}

extension Socket {
    /// Memory for what is to be sent, free and in all, as the kernel accounts for it: SO_MEMINFO, socket(7).
    public static func sendSpace(_ socket: Int32) -> (free: Int, total: Int) {
        var free: Int32 = 0
        var total: Int32 = 0
        guard samara_send_space(socket, &free, &total) == 0 else { return (0, 0) }
        return (max(0, Int(free)), Int(total))
    }

    /// The pending error, which is cleared: SO_ERROR, socket(7). Nil for none.
    public static func takeError(_ socket: Int32) -> Errno? {
        var value: Int32 = 0
        guard samara_get_option(socket, SOL_SOCKET, SO_ERROR, &value) == 0 else { return lastErrno() }
        return value == 0 ? nil : Errno(rawValue: value)
    }
}
