// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import SystemPackage

/// What runs in the pod.
enum OutboundChecks {
    static func run(_ host: HostSockets) {
        let families = [OutboundProbe.remoteIPv4, OutboundProbe.remoteIPv6]
        for remote in families {
            Check.noError("streams to \(remote)") { try streams(remote) }
            Check.noError("datagrams to \(remote)") { try datagrams(remote) }
        }
        Check.noError("errors") { try errors() }
        Check.noError("many") { try manyConnections(host) }
        Check.noError("echo") { try ping() }
        Check.noError("names") { try names() }
        CloseChecks.run(host)
    }

    /// A blocking socket with 10 s for everything.
    static func dial(_ address: IPAddress, _ port: UInt16) throws -> OwnedFD {
        let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .tcp)
        try setBlocking(socket.raw)
        if case .failed(let error) = Socket.connect(socket.raw, SocketAddress(address, port: port)) { throw error }
        return socket
    }

    static func setBlocking(_ socket: Int32) throws {
        let flags = samara_fcntl(socket, F_GETFL, 0)
        _ = samara_fcntl(socket, F_SETFL, Int(flags & ~O_NONBLOCK))
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    static func text(_ socket: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = recv(socket, &buffer, buffer.count, 0)
        return count < 0 ? "errno \(lastErrno().rawValue)" : String(decoding: buffer[..<count], as: UTF8.self)
    }

    private static func streams(_ remote: IPAddress) throws {
        let pattern = Pattern()
        let up = try dial(remote, RemoteServices.sink)
        Check.equal(pattern.send(up.raw, RemoteServices.volume), true, "sending to \(remote)")
        Socket.endSending(up.raw)
        Check.equal(text(up.raw), "\(RemoteServices.volume)", "octets up to \(remote), after the half-close")
        let down = try dial(remote, RemoteServices.source)
        Check.equal(pattern.receive(down.raw), RemoteServices.volume, "octets down from \(remote)")
        let reset = try dial(remote, RemoteServices.reset)
        _ = send(reset.raw, "x", 1, 0)
        Check.equal(text(reset.raw), "abc", "before the reset of \(remote)")
        Check.equal(text(reset.raw), "errno \(ECONNRESET)", "the reset of \(remote)")
    }

    private static func datagrams(_ remote: IPAddress) throws {
        let socket = try Socket.make(family: remote.isIPv4 ? AF_INET : AF_INET6, .udp)
        try setBlocking(socket.raw)
        for size in [0, 1, 1400, 9000, 30_000] {
            let sent = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
            var isEqual = false
            // A datagram that is larger than a path's MTU teaches the kernel so, and is itself lost.
            for _ in 0..<2 where !isEqual {
                isEqual = exchange(socket.raw, sent, SocketAddress(remote, port: RemoteServices.echo), 2000) == sent
            }
            Check.equal(isEqual, true, "a datagram of \(size) octets to \(remote)")
        }
        let closed = SocketAddress(remote, port: RemoteServices.closed)
        if case .failed(let error) = Socket.connect(socket.raw, closed) { throw error }
        _ = send(socket.raw, "x", 1, 0)
        Check.equal(text(socket.raw), "errno \(ECONNREFUSED)", "a datagram to a closed port of \(remote)")
    }

    /// Sends one datagram and returns the answer, nil after `milliseconds`.
    static func exchange(_ socket: Int32, _ bytes: [UInt8], _ target: SocketAddress, _ milliseconds: Int32) -> [UInt8]?
    {
        _ = bytes.withUnsafeBytes { Datagrams.send(socket, $0, to: target) }
        guard waitReadable(socket, milliseconds: milliseconds) else { return nil }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var peer = target
        var segment = 0
        let outcome = buffer.withUnsafeMutableBytes {
            Datagrams.receive(socket, into: $0, from: &peer, segmentSize: &segment)
        }
        guard case .bytes(let count) = outcome, peer.ip == target.ip, peer.port == target.port else { return nil }
        return Array(buffer[..<count])
    }

    static func connectError(_ address: IPAddress, _ port: UInt16) -> Errno? {
        do {
            _ = try dial(address, port)
            return nil
        } catch { return error as? Errno }
    }

    private static func errors() throws {
        for remote in [OutboundProbe.remoteIPv4, OutboundProbe.remoteIPv6] {
            Check.equal(connectError(remote, RemoteServices.closed), .connectionRefused, "a closed port of \(remote)")
        }
        // Without a route on the host.
        Check.equal(connectError(IPAddress(ipv4: 0xc633_6401), 80), .networkUnreachable, "an unreachable network")
        Check.equal(
            connectError(IPAddress(high: 0x2001_0db8_00ff_0000, low: 1), 80), .networkUnreachable,
            "an unreachable network of IPv6")
    }

    /// Five thousand at once, each with a question and an answer of its own.
    private static func manyConnections(_ host: HostSockets) throws {
        _ = Confinement.raiseDescriptorLimit()
        var pairs: [(client: OwnedFDBox, server: Peer)] = []
        for _ in 0..<5000 {
            let client = try dial(OutboundProbe.remoteIPv4, HostSockets.port)
            pairs.append((OwnedFDBox(client), try host.accept(isIPv4: true)))
        }
        for (index, pair) in pairs.enumerated() {
            let line = Array("\(index)".utf8)
            _ = send(pair.client.fd.raw, line, line.count, 0)
        }
        var wrong = 0
        for (index, pair) in pairs.enumerated() {
            _ = waitReadable(pair.server.fd.raw)
            pair.server.read()
            pair.server.write("\(pair.server.text) of \(index)")
        }
        for (index, pair) in pairs.enumerated() where text(pair.client.fd.raw) != "\(index) of \(index)" { wrong += 1 }
        Check.equal(wrong, 0, "wrong answers on \(pairs.count) connections")
    }

    private static func ping() throws {
        for address in [
            OutboundProbe.gatewayIPv4, OutboundProbe.gatewayIPv6, OutboundProbe.remoteIPv4, OutboundProbe.remoteIPv6,
        ] {
            let socket = try Datagrams.makePing(family: address.isIPv4 ? AF_INET : AF_INET6)
            var request = [UInt8](repeating: 0x61, count: 64)
            request.replaceSubrange(0..<8, with: [address.isIPv4 ? 8 : 128, 0, 0, 0, 0, 0, 0, 9])
            // The end of thousands of connections just now may have filled the tap's queue: a datagram may be lost.
            var length = 0
            for _ in 0..<3 where length <= 0 {
                _ = request.withUnsafeBytes { Datagrams.send(socket.raw, $0, to: SocketAddress(address, port: 0)) }
                if waitReadable(socket.raw, milliseconds: 1000) { length = pingLength(socket.raw) }
            }
            Check.equal(length, 64, "echo of \(address)")
        }
    }

    private static func pingLength(_ socket: Int32) -> Int {
        var buffer = [UInt8](repeating: 0, count: 128)
        return recv(socket, &buffer, buffer.count, Int32(samara_msg_dontwait))
    }

    private static func names() throws {
        // The server echoes, so any message will do; over TCP it comes with its length.
        let query = Array("\u{1}not a real query".utf8)
        for server in [OutboundProbe.nameServerIPv4, OutboundProbe.nameServerIPv6] {
            let socket = try Socket.make(family: server.isIPv4 ? AF_INET : AF_INET6, .udp)
            // As with the echoes: connections that repeat their end may fill the tap's queue again.
            var answer: [UInt8]?
            for _ in 0..<3 where answer == nil {
                answer = exchange(socket.raw, query, SocketAddress(server, port: 53), 1000)
            }
            Check.equal(answer, query, "a query to \(server)")
            let stream = try dial(server, 53)
            _ = send(stream.raw, query, query.count, 0)
            Check.equal(text(stream.raw), String(decoding: query, as: UTF8.self), "a query to \(server) over TCP")
        }
    }

    /// Nobody answers at the first server; the second one echoes.
    static func followsResolvers() throws {
        let query = Array("\u{1}not a real query".utf8)
        let server = SocketAddress(OutboundProbe.nameServerIPv4, port: 53)
        let socket = try Socket.make(family: AF_INET, .udp)
        try setBlocking(socket.raw)
        Check.equal(exchange(socket.raw, query, server, 50), nil, "the first server")
        try File.write("/etc/resolv.new", Array("nameserver 127.0.0.53\n".utf8))
        if rename("/etc/resolv.new", "/etc/resolv.conf") != 0 { throw lastErrno() }
        var answer: [UInt8]?
        for _ in 0..<50 where answer == nil { answer = exchange(socket.raw, query, server, 100) }
        Check.equal(answer, query, "the server of the new resolv.conf")
    }
}

/// A descriptor in an array.
final class OwnedFDBox {
    let fd: OwnedFD
    init(_ fd: consuming OwnedFD) { self.fd = fd }
}
