// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A stream that both ends can make: a block of 65,521 octets (a prime, so that no frame size divides it) over and over.
struct Pattern {
    static let period = 65_521
    let bytes: [UInt8]

    init() {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        bytes = (0..<(2 * Self.period)).map { index in
            if index == Self.period { state = 0x9e37_79b9_7f4a_7c15 }
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state)
        }
    }

    /// Sends what a non-blocking socket takes of the octets from `first` on; 0 when it is full, -1 when it is broken.
    func sendSome(_ socket: Int32, from first: Int, atMost count: Int) -> Int {
        let length = min(Self.period, count)
        if length == 0 { return 0 }
        let sent = bytes.withUnsafeBytes {
            CLinux.send(
                socket, $0.baseAddress.map { $0 + first % Self.period }, length, Int32(samara_msg_nosignal))
        }
        return sent < 0 && lastErrno() == .wouldBlock ? 0 : sent
    }

    /// Sends the octets 0..<count.
    func send(_ socket: Int32, _ count: Int) -> Bool {
        var offset = 0
        while offset < count {
            let start = offset % Self.period
            let length = min(Self.period, count - offset)
            let sent = bytes.withUnsafeBytes {
                CLinux.send(socket, $0.baseAddress.map { $0 + start }, length, Int32(samara_msg_nosignal))
            }
            if sent <= 0 { return false }
            offset += sent
        }
        return true
    }

    /// Receives until the end; the number of octets, or nil at the first wrong one.
    func receive(_ socket: Int32) -> Int? {
        var stall: UInt64 = 0
        return receive(socket, atMost: .max, longestStall: &stall)
    }

    /// As above, up to a number of octets; the longest time in milliseconds without any.
    func receive(_ socket: Int32, atMost limit: Int, longestStall: inout UInt64) -> Int? {
        var buffer = [UInt8](repeating: 0, count: Self.period)
        var offset = 0
        while offset < limit {
            let began = MonotonicClock.milliseconds
            let count = recv(socket, &buffer, min(buffer.count, limit - offset), 0)
            longestStall = max(longestStall, MonotonicClock.milliseconds - began)
            if count <= 0 { return count == 0 ? offset : nil }
            let start = offset % Self.period
            let isEqual = bytes.withUnsafeBytes { expected in
                buffer.withUnsafeBytes { actual in
                    guard let left = actual.baseAddress, let right = expected.baseAddress else { return false }
                    return memcmp(left, right + start, count) == 0
                }
            }
            if !isEqual { return nil }
            offset += count
        }
        return offset
    }
}

/// What the pod's clients talk to.
enum RemoteServices {
    static let echo: UInt16 = 7001
    /// Takes the pattern to its end, then says how much it was.
    static let sink: UInt16 = 7002
    /// Sends `volume` octets of the pattern, then ends.
    static let source: UInt16 = 7003
    /// Reads one octet, says "abc" and resets.
    static let reset: UInt16 = 7004
    static let closed: UInt16 = 7009
    nonisolated(unsafe) static var volume = 100 << 20

    /// One process; every connection to anything but echo gets its own.
    static func start() throws -> Int32 {
        let child = try checked(samara_fork())
        if child != 0 { return child }
        _ = samara_ignore_signal(SIGCHLD)
        do { try serve() } catch { Check.fail("services: \(error)") }
        Process.exitNow(1)
    }

    private static func serve() throws {
        let any = IPAddress.anyIPv6
        let streams = try [echo, sink, source, reset].map { try Service.stream(any, $0).release() }
        let names = IPAddress(ipv4: 0x7f00_0035)
        let nameStream = try Service.stream(names, 53).release()
        let datagrams = try [
            (OutboundProbe.remoteIPv4, echo), (OutboundProbe.remoteIPv6, echo), (IPAddress(ipv4: 0x7f00_0001), echo),
            (names, 53),
        ].map { address, port in
            let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .udp)
            // An address by route only: IPv6 binds to it when told to.
            try Socket.set(socket.raw, Int32(samara_level_ip), IP_FREEBIND, 1)
            try Socket.bind(socket.raw, SocketAddress(address, port: port))
            return socket.release()
        }
        var echoes: [Int32] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let listening = streams + [nameStream] + datagrams
            var entries = (listening + echoes).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            _ = poll(&entries, UInt(entries.count), -1)
            for entry in entries where entry.revents != 0 {
                if entry.fd == streams[0] || entry.fd == nameStream {
                    var peer = sockaddr_in6()
                    let accepted = samara_accept(entry.fd, &peer)
                    if accepted >= 0 { echoes.append(accepted) }
                } else if streams.contains(entry.fd) {
                    try fork(entry.fd, streams)
                } else if datagrams.contains(entry.fd) {
                    var peer = SocketAddress(any, port: 0)
                    var segment = 0
                    let received = buffer.withUnsafeMutableBytes {
                        Datagrams.receive(entry.fd, into: $0, from: &peer, segmentSize: &segment)
                    }
                    guard case .bytes(let count) = received else { continue }
                    _ = buffer.withUnsafeBytes {
                        Datagrams.send(entry.fd, UnsafeRawBufferPointer(rebasing: $0[..<count]), to: peer)
                    }
                } else {
                    let count = recv(entry.fd, &buffer, buffer.count, Int32(samara_msg_dontwait))
                    if count > 0 {
                        _ = send(entry.fd, buffer, count, Int32(samara_msg_nosignal))
                    } else if count == 0 || lastErrno() != .wouldBlock {
                        _ = close(entry.fd)
                        echoes.removeAll { $0 == entry.fd }
                    }
                }
            }
        }
    }

    private static func fork(_ listener: Int32, _ streams: [Int32]) throws {
        var peer = sockaddr_in6()
        let accepted = samara_accept(listener, &peer)
        if accepted < 0 { return }
        defer { _ = close(accepted) }
        if try checked(samara_fork()) != 0 { return }
        let flags = samara_fcntl(accepted, F_GETFL, 0)
        _ = samara_fcntl(accepted, F_SETFL, Int(flags & ~O_NONBLOCK))
        switch listener {
        case streams[1]:
            let text = Array("\(Pattern().receive(accepted) ?? -1)".utf8)
            _ = send(accepted, text, text.count, 0)
        case streams[2]: _ = Pattern().send(accepted, volume)
        default:
            // A reset that overtakes the client's connect would be that connect's failure.
            var byte: UInt8 = 0
            _ = recv(accepted, &byte, 1, 0)
            _ = send(accepted, "abc", 3, 0)
            Socket.resetOnClose(accepted)
        }
        _ = close(accepted)
        Process.exitNow(0)
    }
}
