// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Unconnected datagram sockets: udp(7), icmp(7).
public enum Datagrams {
    /// A UDP socket that reports ICMP errors with the destination they came from (IP_RECVERR) and may be given batches
    /// (UDP_GRO, where the kernel has it). IPv6 sockets take no IPv4.
    public static func make(family: Int32) throws(Errno) -> OwnedFD {
        let socket = try Socket.make(family: family, .udp)
        if family == AF_INET6 { try Socket.set(socket.raw, Socket.level.ipv6, IPV6_V6ONLY, 1) }
        try reportErrors(socket.raw, family: family)
        _ = samara_enable_datagram_batches(socket.raw)
        // Bursts of large datagrams; the kernel clamps to net.core.rmem_max and wmem_max.
        try Socket.set(socket.raw, SOL_SOCKET, SO_RCVBUF, 4 << 20)
        try Socket.set(socket.raw, SOL_SOCKET, SO_SNDBUF, 4 << 20)
        return socket
    }

    /// A socket for ICMP echo without privilege; EACCES where net.ipv4.ping_group_range excludes this group.
    public static func makePing(family: Int32) throws(Errno) -> OwnedFD {
        let socket = OwnedFD(try checked(samara_ping_socket(family)))
        try reportErrors(socket.raw, family: family)
        return socket
    }

    private static func reportErrors(_ socket: Int32, family: Int32) throws(Errno) {
        if family == AF_INET6 {
            try Socket.set(socket, Socket.level.ipv6, IPV6_RECVERR, 1)
        } else {
            try Socket.set(socket, Socket.level.ip, IP_RECVERR, 1)
        }
    }

    /// Whether datagrams may be fragmented on their way: IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
    public static func setDontFragment(_ socket: Int32, family: Int32, _ value: Bool) {
        // Best effort: with the other setting a large datagram is lost, as datagrams may be.
        if family == AF_INET6 {
            try? Socket.set(socket, Socket.level.ipv6, IPV6_MTU_DISCOVER, value ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT)
        } else {
            try? Socket.set(socket, Socket.level.ip, IP_MTU_DISCOVER, value ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT)
        }
    }

    /// Sends one datagram, or a batch of `segmentSize` bytes each: `sendmsg(2)`, UDP_SEGMENT. An empty datagram is
    /// `.bytes(0)`.
    public static func send(
        _ socket: Int32, _ bytes: UnsafeRawBufferPointer, to peer: SocketAddress, segmentSize: Int = 0
    ) -> TransferOutcome {
        var raw = peer.raw
        let count = samara_send_segmented(socket, bytes.baseAddress, bytes.count, &raw, UInt32(segmentSize))
        return count >= 0 ? .bytes(count) : failure()
    }

    /// Receives one datagram or a batch of datagrams of `segmentSize` bytes (0: one datagram): `recvmsg(2)`, UDP_GRO.
    public static func receive(
        _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, from peer: inout SocketAddress,
        segmentSize: inout Int
    ) -> TransferOutcome {
        var segment: UInt32 = 0
        let count = samara_receive_segmented(socket, buffer.baseAddress, buffer.count, &peer.raw, &segment)
        segmentSize = Int(segment)
        return count >= 0 ? .bytes(count) : failure()
    }

    /// An entry of the error queue.
    public struct Report: Sendable {
        public var destination: SocketAddress
        public var error: Errno
        /// The path MTU for EMSGSIZE.
        public var pathMTU: Int
        /// Octets 6 and 7 of what was sent, in host order: the sequence number of an echo request.
        public var sequence: UInt16
    }

    /// Takes the oldest entry off the error queue, nil when there is none: MSG_ERRQUEUE, recv(2).
    public static func takeReport(_ socket: Int32) -> Report? {
        var address = sockaddr_in6()
        var error: Int32 = 0
        var info: UInt32 = 0
        var start: UInt64 = 0
        guard samara_receive_error(socket, &start, 8, &address, &error, &info) >= 0 else { return nil }
        return Report(
            destination: SocketAddress(raw: address), error: Errno(rawValue: error), pathMTU: Int(info),
            sequence: UInt16(truncatingIfNeeded: UInt64(bigEndian: start)))
    }

    private static func failure() -> TransferOutcome {
        let error = lastErrno()
        return error == .wouldBlock || error == .interrupted ? .wouldBlock : .failed(error)
    }
}
