// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// What a non-blocking transfer did. Would-block and end are outcomes, not errors, because they are the normal case.
public enum TransferOutcome: Equatable, Sendable {
    case bytes(Int)
    case wouldBlock
    case endOfFile
    case failed(Errno)
}

/// What a non-blocking `connect(2)` did.
public enum ConnectOutcome: Equatable, Sendable {
    case connected
    case inProgress
    case failed(Errno)
}

/// The name of a TCP congestion control algorithm, without an allocation: tcp(7).
public struct CongestionControl: Sendable {
    let raw: samara_congestion

    public var isReno: Bool {
        withUnsafeBytes(of: raw) { $0.prefix { $0 != 0 }.elementsEqual("reno".utf8) }
    }
}

/// Internet sockets; every one is close-on-exec and non-blocking unless said otherwise.
public enum Socket {
    public enum Transport: UInt8, Sendable { case tcp = 6, udp = 17 }

    /// `socket(2)`; `family` is AF_INET or AF_INET6.
    public static func make(family: Int32, _ transport: Transport) throws(Errno) -> OwnedFD {
        let type = transport == .tcp ? samara_sock_stream : samara_sock_datagram
        let flags = samara_sock_nonblock | samara_sock_cloexec
        return OwnedFD(try checked(socket(family, Int32(type | flags), 0)))
    }

    /// `bind(2)`.
    public static func bind(_ socket: Int32, _ address: SocketAddress) throws(Errno) {
        var raw = address.raw
        _ = try checked(samara_bind(socket, &raw))
    }

    /// `listen(2)`; the kernel clamps `backlog` to net.core.somaxconn.
    public static func listen(_ socket: Int32, backlog: Int32) throws(Errno) {
        _ = try checked(CLinux.listen(socket, backlog))
    }

    /// `connect(2)`. Called again on a connecting socket it tells how the attempt stands.
    public static func connect(_ socket: Int32, _ address: SocketAddress) -> ConnectOutcome {
        var raw = address.raw
        if samara_connect(socket, &raw) == 0 { return .connected }
        let error = lastErrno()
        // EINTR leaves the attempt running, as EINPROGRESS does: connect(2).
        return error == .nowInProgress || error == .alreadyInProcess || error == .interrupted
            ? .inProgress : .failed(error)
    }

    /// `getsockname(2)`.
    public static func localAddress(_ socket: Int32) throws(Errno) -> SocketAddress {
        var raw = sockaddr_in6()
        _ = try checked(samara_getsockname(socket, &raw))
        return SocketAddress(raw: raw)
    }

    /// `setsockopt(2)` of an int.
    public static func set(_ socket: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws(Errno) {
        _ = try checked(samara_set_option(socket, level, name, value))
    }

    /// `getsockopt(2)` of an int.
    public static func get(_ socket: Int32, _ level: Int32, _ name: Int32) throws(Errno) -> Int32 {
        var value: Int32 = 0
        _ = try checked(samara_get_option(socket, level, name, &value))
        return value
    }

    /// Bytes that `queueBulk` lets a receive queue grow to, as SO_RCVBUF counts them.
    public static let bulkQueue: Int32 = 4 << 20

    /// Bytes of the window before it: a few of the 64 KiB segments of loopback.
    private static let bulkWindow: Int32 = 256 << 10

    /// Whether this host lets everybody have such a queue: `net.core.rmem_max`, socket(7). Looked at once.
    public static let mayQueueBulk: Bool = {
        guard let socket = try? make(family: AF_INET, .tcp) else { return false }
        try? set(socket.raw, SOL_SOCKET, SO_RCVBUF, bulkQueue)
        // The kernel doubles what it is given, for its own overhead.
        return ((try? get(socket.raw, SOL_SOCKET, SO_RCVBUF)) ?? 0) >= 2 * bulkQueue
    }()

    /// Microseconds. A handshake within a machine (loopback, a veth pair) takes 5 to 15 (minrtt of `ss -ti`), one over a
    /// network usually more; and `bulkWindow` in this time is 80 Gbit/s, more than one process forwards.
    private static let nearby: UInt32 = 25

    /// Whether the peer of a TCP connection is on this machine, most likely, under whatever address: by the least round
    /// trip so far.
    public static func isNearby(_ socket: Int32) -> Bool {
        var roundTrip: UInt32 = 0
        return samara_tcp_least_round_trip(socket, &roundTrip) == 0 && roundTrip <= nearby
    }

    /// For a stream in bulk from nearby: a small window before a large queue, TCP_WINDOW_CLAMP and SO_RCVBUF, tcp(7).
    ///
    /// As long as the window need not shrink, the kernel acknowledges what arrives at once, in the sender's own context,
    /// which then goes on sending. With one buffer for both, a reader that lags closes the window; from then on its reads
    /// are what acknowledges, and whatever the sender has waiting is sent in the reader's time, who lags all the more.
    public static func queueBulk(_ socket: Int32) throws(Errno) {
        try set(socket, SOL_SOCKET, SO_RCVBUF, bulkQueue)
        try set(socket, level.tcp, TCP_WINDOW_CLAMP, bulkWindow)
    }

    /// TCP_NODELAY, tcp(7).
    public static func setNoDelay(_ socket: Int32) throws(Errno) {
        try set(socket, level.tcp, TCP_NODELAY, 1)
    }

    /// Keepalive after 60 s of silence, then every 10 s, 6 times: a forwarder splits the end-to-end keepalive in two,
    /// so both halves need their own.
    public static func setKeepalive(_ socket: Int32) throws(Errno) {
        try set(socket, SOL_SOCKET, SO_KEEPALIVE, 1)
        try set(socket, level.tcp, TCP_KEEPIDLE, 60)
        try set(socket, level.tcp, TCP_KEEPINTVL, 10)
        try set(socket, level.tcp, TCP_KEEPCNT, 6)
    }

    /// Sets TCP_CONGESTION to reno; false where the kernel does not offer it to this user, which costs speed only.
    @discardableResult
    public static func setReno(_ socket: Int32) -> Bool { samara_set_congestion(socket, "reno") == 0 }

    /// TCP_CONGESTION of `socket`; nil for what is no TCP socket.
    public static func congestionControl(_ socket: Int32) -> CongestionControl? {
        var raw = samara_congestion()
        return samara_get_congestion(socket, &raw) == 0 ? CongestionControl(raw: raw) : nil
    }

    @discardableResult
    public static func set(_ socket: Int32, _ congestionControl: CongestionControl) -> Bool {
        withUnsafePointer(to: congestionControl.raw) {
            samara_set_congestion(socket, UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) == 0
        }
    }

    /// Allows binding to and answering for addresses that are not ours, with packets marked `mark`:
    /// IP_TRANSPARENT, IPV6_TRANSPARENT, SO_MARK. Needs CAP_NET_ADMIN in the network namespace's user namespace.
    public static func setTransparent(_ socket: Int32, family: Int32, mark: UInt32) throws(Errno) {
        if family == AF_INET6 {
            try set(socket, level.ipv6, IPV6_TRANSPARENT, 1)
        } else {
            try set(socket, level.ip, IP_TRANSPARENT, 1)
        }
        try set(socket, SOL_SOCKET, SO_MARK, Int32(bitPattern: mark))
    }

    /// Makes the close of `socket` send RST: SO_LINGER with time 0. What is queued unsent is lost.
    public static func resetOnClose(_ socket: Int32) { _ = samara_set_reset_on_close(socket) }

    /// Bytes handed to the kernel that the peer has not acknowledged: SIOCOUTQ. 0 when the socket is gone.
    public static func unacknowledgedBytes(_ socket: Int32) -> Int {
        var bytes: Int32 = 0
        return samara_unacknowledged(socket, &bytes) == 0 ? Int(bytes) : 0
    }

    /// Ends the sending direction: `shutdown(2)` SHUT_WR. An error means the connection is gone already.
    public static func endSending(_ socket: Int32) { _ = shutdown(socket, 1) }

    package enum level {
        package static var ip: Int32 { Int32(samara_level_ip) }
        package static var ipv6: Int32 { Int32(samara_level_ipv6) }
        package static var tcp: Int32 { Int32(samara_level_tcp) }
    }
}
