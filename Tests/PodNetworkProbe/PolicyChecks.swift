// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import SystemPackage

/// What a pod reaches of its host, through its own kernel. Packets that a kernel would not send out, fragments and extension
/// headers among them, are in NetStackTests (PolicyTableTests), with the same policy.
enum PolicyChecks {
    typealias Access = OutboundConfiguration.HostAccess

    static let metadata = IPAddress(ipv4: 0xa9fe_a9fe)
    static let linkLocal = IPAddress(ipv4: 0xa9fe_0707)

    private static let loopback = Access(RemoteServices.echo, RemoteServices.echo)
    /// A service listens at each of these, or would if it were the host that the pod means.
    private static let rows: [(address: IPAddress, opening: Access?)] =
        [(OutboundProbe.gatewayIPv4, loopback), (OutboundProbe.gatewayIPv6, loopback)]
        + [OutboundProbe.hostIPv4, OutboundProbe.hostIPv6, metadata, linkLocal].map {
            ($0, Access(RemoteServices.echo, RemoteServices.echo, at: $0))
        }
        + [
            // IPv4 addresses as IPv6 spells them, and the name server, which answers on port 53 alone.
            IPAddress(high: 0, low: 0x7f00_0001), IPAddress(high: 0x0064_ff9b << 32, low: 0x7f00_0001),
            IPAddress(high: 0x2002_7f00_0001_0000, low: 1), OutboundProbe.nameServerIPv4,
            OutboundProbe.nameServerIPv6,
        ].map { ($0, nil) }

    static var openings: [Access] {
        rows.compactMap(\.opening).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    static func run(_ opening: Access?) throws {
        let names = opening.map { "\($0.address.map { "\($0)" } ?? "the loopback") is open" } ?? "nothing is open"
        let open = rows.map { opening != nil && $0.opening == opening }
        let streams = try rows.map { try stream($0.address, RemoteServices.echo) }
        // Open at the host, and in no row.
        let others = try rows.map { try stream($0.address, RemoteServices.sink) }
        for (index, row) in rows.enumerated() {
            Check.equal(answers(streams[index]), open[index], "\(names): TCP to \(row.address)")
            let other = outcome(others[index])
            Check.equal(other != nil && other != .timedOut, true, "\(names): another port of \(row.address)")
        }
        let datagrams = try rows.map { try datagram($0.address) }
        let echoes = try rows.map { try echo($0.address) }
        // What has an answer has it when later datagrams have been answered twice.
        let barrier = try Socket.make(family: AF_INET, .udp)
        for _ in 0..<2 {
            let answer = OutboundChecks.exchange(
                barrier.raw, [7], SocketAddress(OutboundProbe.remoteIPv4, port: RemoteServices.echo), 3000)
            Check.equal(answer, [7], "the barrier")
        }
        for (index, row) in rows.enumerated() {
            Check.equal(isAnswered(datagrams[index]), open[index], "\(names): UDP to \(row.address)")
            // The gateway answers for itself, and no port opens the host to pings.
            let isGateway =
                row.opening == loopback || row.address == OutboundProbe.nameServerIPv4
                || row.address == OutboundProbe.nameServerIPv6
            if !isGateway { Check.equal(isAnswered(echoes[index]), false, "\(names): echo of \(row.address)") }
        }
    }

    private static func stream(_ address: IPAddress, _ port: UInt16) throws -> OwnedFDBox {
        let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .tcp)
        _ = Socket.connect(socket.raw, SocketAddress(address, port: port))
        return OwnedFDBox(socket)
    }

    /// How connecting ended, nil when it succeeded.
    private static func outcome(_ socket: OwnedFDBox) -> Errno? {
        var entry = pollfd(fd: socket.fd.raw, events: Int16(POLLOUT), revents: 0)
        if poll(&entry, 1, 3000) != 1 { return .timedOut }
        // After an error that the first call of connect reported itself, the socket says only that it is not connected.
        if let error = Socket.takeError(socket.fd.raw) { return error }
        return send(socket.fd.raw, "x", 1, Int32(samara_msg_nosignal)) == 1 ? nil : lastErrno()
    }

    private static func answers(_ socket: OwnedFDBox) -> Bool {
        if outcome(socket) != nil { return false }
        return waitReadable(socket.fd.raw, milliseconds: 3000) && isAnswered(socket)
    }

    private static func datagram(_ address: IPAddress) throws -> OwnedFDBox {
        let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .udp)
        _ = Socket.connect(socket.raw, SocketAddress(address, port: RemoteServices.echo))
        _ = send(socket.raw, "x", 1, Int32(samara_msg_dontwait))
        return OwnedFDBox(socket)
    }

    private static func echo(_ address: IPAddress) throws -> OwnedFDBox {
        let socket = try Datagrams.makePing(family: address.isIPv4 ? AF_INET : AF_INET6)
        let request: [UInt8] = [address.isIPv4 ? 8 : 128, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4]
        _ = request.withUnsafeBytes { Datagrams.send(socket.raw, $0, to: SocketAddress(address, port: 0)) }
        return OwnedFDBox(socket)
    }

    private static func isAnswered(_ socket: OwnedFDBox) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64)
        return recv(socket.fd.raw, &buffer, buffer.count, Int32(samara_msg_dontwait)) > 0
    }
}
