// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import PodNetwork
import SystemPackage

/// A keeper and the services of its pod in one process, which answer with the client's address as they see it.
enum PodProcess {
    /// Forks it; returns when the pod is configured.
    static func start(keeper: borrowing OwnedFD, net: borrowing OwnedFD) throws -> Int32 {
        let ready = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let child = try checked(samara_fork())
        if child == 0 {
            _ = close(net.raw)
            do { try live(keeper.raw, ready.second.raw) } catch { Check.fail("pod: \(error)") }
            Process.exitNow(Check.failures == 0 ? 0 : 1)
        }
        if !waitReadable(ready.first.raw) { Check.fail("the pod is not configured") }
        return child
    }

    private static func live(_ keeper: Int32, _ ready: Int32) throws {
        try Namespace.enter()
        guard let tap = try PodNetwork.configure(PodNetworkSettings()) else { return Check.fail("no tap") }
        var mint = SocketMint(tap: tap)
        let settings = PodNetworkSettings.TapSettings()
        let any = IPAddress.anyIPv6
        let stream = try Service.stream(any, 80)
        // Only on the pod's loopback: not to be reached from outside.
        let hidden = try Service.stream(IPAddress(ipv4: 0x7f00_0001), 81)
        let ipv4Only = try Service.stream(settings.ipv4.address, 82)
        let datagrams = try Socket.make(family: AF_INET6, .udp)
        try Socket.bind(datagrams.raw, SocketAddress(any, port: 53))
        try UnixSocket.send(ready, [1])
        while true {
            var entries = [keeper, stream.raw, hidden.raw, ipv4Only.raw, datagrams.raw].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            _ = poll(&entries, 5, -1)
            if entries[0].revents != 0, try mint.serve(socketFD: keeper) == .peerClosed { return }
            if entries[1].revents != 0 { try Service.answer(stream.raw) }
            if entries[2].revents != 0 { Check.fail("the hidden service was reached") }
            if entries[3].revents != 0 { try Service.answer(ipv4Only.raw) }
            if entries[4].revents != 0 { Service.answerDatagram(datagrams.raw) }
        }
    }
}

enum Service {
    static func stream(_ address: IPAddress, _ port: UInt16) throws -> OwnedFD {
        let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .tcp)
        try Socket.bind(socket.raw, SocketAddress(address, port: port))
        try Socket.listen(socket.raw, backlog: 16)
        return socket
    }

    /// Accepts, says who the client is, and leaves the connection open for the life of the process.
    static func answer(_ listener: Int32) throws {
        var peer = sockaddr_in6()
        let raw = samara_accept(listener, &peer)
        if raw < 0 { return }
        let text = SocketAddressText(peer)
        _ = samara_send_with_fds(raw, text, text.utf8.count, nil, 0, 0)
    }

    static func answerDatagram(_ socket: Int32) {
        var peer = sockaddr_in6()
        var local = in6_addr()
        var interface: UInt32 = 0
        var byte: UInt8 = 0
        if samara_receive_datagram(socket, &byte, 1, &peer, &local, &interface) < 0 { return }
        let text = SocketAddressText(peer)
        _ = samara_send_datagram(socket, text, text.utf8.count, &peer, &local, 0)
    }
}
