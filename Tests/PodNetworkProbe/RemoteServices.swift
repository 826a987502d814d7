// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// What the pod's clients talk to.
enum RemoteServices {
    static let echo: UInt16 = 7001
    /// Takes the pattern to its end, then says how much it was.
    static let sink: UInt16 = 7002
    /// Sends `volume` octets of the pattern, then ends.
    static let source: UInt16 = 7003
    /// Reads one octet, says "abc" and resets.
    static let reset: UInt16 = 7004
    /// HTTP: one page.
    static let web: UInt16 = 7005
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
        let streams = try [echo, sink, source, reset, web].map { try Service.stream(any, $0).release() }
        let names = IPAddress(ipv4: 0x7f00_0035)
        let nameStream = try Service.stream(names, 53).release()
        let datagrams = try [
            (OutboundProbe.remoteIPv4, echo), (OutboundProbe.remoteIPv6, echo), (.loopbackIPv4, echo),
            (.loopbackIPv6, echo), (OutboundProbe.hostIPv4, echo), (OutboundProbe.hostIPv6, echo),
            (PolicyChecks.metadata, echo), (PolicyChecks.linkLocal, echo), (names, 53),
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
                    let answer = NameAnswer.to(buffer[..<count]) ?? Array(buffer[..<count])
                    _ = answer.withUnsafeBytes { Datagrams.send(entry.fd, $0, to: peer) }
                } else {
                    let count = recv(entry.fd, &buffer, buffer.count, Int32(samara_msg_dontwait))
                    if count > 0 {
                        let answer = NameAnswer.toStream(buffer[..<count]) ?? Array(buffer[..<count])
                        _ = send(entry.fd, answer, answer.count, Int32(samara_msg_nosignal))
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
        case streams[4]:
            var request = [UInt8](repeating: 0, count: 4096)
            _ = recv(accepted, &request, request.count, 0)
            let page = Array("HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nreached\n".utf8)
            _ = send(accepted, page, page.count, 0)
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

/// A name server that knows one answer: every name is the host's own address, 192.0.2.1.
enum NameAnswer {
    /// Nil for what is no query: RFC 1035 section 4.1.
    static func to(_ query: ArraySlice<UInt8>) -> [UInt8]? {
        let query = Array(query)
        guard query.count > 16, query[2] & 0x80 == 0, query[4] == 0, query[5] == 1 else { return nil }
        var end = 12
        while end < query.count, query[end] != 0 { end += Int(query[end]) + 1 }
        end += 5
        guard end <= query.count else { return nil }
        let header = [query[0], query[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]
        let record: [UInt8] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4] + OutboundProbe.hostIPv4.bytes
        return header + query[12..<end] + record
    }

    /// As above, with the length in front that TCP has.
    static func toStream(_ query: ArraySlice<UInt8>) -> [UInt8]? {
        let query = Array(query)
        guard query.count > 2, Int(query[0]) << 8 | Int(query[1]) == query.count - 2, let answer = to(query[2...])
        else {
            return nil
        }
        return [UInt8(answer.count >> 8), UInt8(answer.count & 255)] + answer
    }
}
