// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import PodNetwork
import SystemPackage

/// A pod namespace, and in it a service that must see addresses which exist nowhere: the whole recipe without the
/// forwarder.
enum TransparentRecipe {
    static func run() {
        Check.noError("enter namespaces") { try Namespace.enter() }
        Check.noError("recipe") {
            let tap = try PodNetwork.configure(PodNetworkSettings())
            guard let tap else { return Check.fail("no tap") }
            var mint = SocketMint(tap: tap)
            let pair = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
            let settings = PodNetworkSettings.TapSettings()
            try stream(&mint, pair.first.raw, pair.second.raw, "203.0.113.7", settings.ipv4.address, .ipv4)
            try stream(&mint, pair.first.raw, pair.second.raw, "10.0.2.2", settings.ipv4.address, .ipv4)
            try datagram(&mint, pair.first.raw, pair.second.raw, "203.0.113.7", settings.ipv4.address)
            try datagram(&mint, pair.first.raw, pair.second.raw, "10.0.2.2", settings.ipv4.address)
            if PodNetwork.kernelHasIPv6, let ipv6 = settings.ipv6 {
                try stream(&mint, pair.first.raw, pair.second.raw, "2001:db8::7", ipv6.address, .ipv6)
                try datagram(&mint, pair.first.raw, pair.second.raw, "2001:db8::7", ipv6.address)
            }
            try tapIsHandedOver(&mint, pair.first.raw, pair.second.raw)
            try sysctls()
        }
    }

    private static func ask(
        _ mint: inout SocketMint, _ keeper: Int32, _ net: Int32, _ request: KeeperRequest
    ) throws -> [Int32] {
        var bytes = [UInt8](repeating: 0, count: KeeperRequest.size)
        bytes.withUnsafeMutableBytes { request.encode(into: $0) }
        try UnixSocket.send(net, bytes)
        Check.equal(try mint.serve(socketFD: keeper), .served, "serve")
        if request.kind == .endDatagramFlow { return [] }
        let answer = try UnixSocket.receive(net)
        let reply = answer.bytes.withUnsafeBytes { KeeperReply(decoding: $0) }
        Check.equal(reply?.errno, 0, "\(request.kind) errno")
        Check.equal(reply?.cookie, request.cookie, "cookie")
        Check.equal(answer.descriptors.count, Int(reply?.count ?? 0), "descriptors")
        return answer.descriptors
    }

    private static func stream(
        _ mint: inout SocketMint, _ keeper: Int32, _ net: Int32, _ client: String, _ pod: IPAddress,
        _ family: KeeperRequest.Family
    ) throws {
        guard let source = IPAddress(client) else { return Check.fail("address \(client)") }
        let service = try Socket.make(family: family == .ipv4 ? AF_INET : AF_INET6, .tcp)
        try Socket.bind(service.raw, SocketAddress(pod, port: 80))
        try Socket.listen(service.raw, backlog: 16)
        let sockets = try ask(&mint, keeper, net, KeeperRequest(.sockets, family: family, count: 64, cookie: 9))
        Check.equal(sockets.count, 64, "batch")
        guard let first = sockets.first else { return }
        let target = SocketAddress(pod, port: 80)
        try Socket.bind(first, SocketAddress(source, port: 5555))
        if case .failed(let error) = Socket.connect(first, target) { Check.fail("connect from \(client): \(error)") }
        if !waitReadable(service.raw) { return Check.fail("no connection from \(client)") }
        var peer = sockaddr_in6()
        let accepted = OwnedFD(try checked(samara_accept(service.raw, &peer)))
        Check.equal(SocketAddressText(peer), "\(client) 5555", "peer of the accepted socket")
        if Socket.connect(first, target) != .connected { Check.fail("not connected from \(client)") }
        _ = samara_send_with_fds(first, "ping", 4, nil, 0, 0)
        if !waitReadable(accepted.raw) { return Check.fail("no data from \(client)") }
        let received = try UnixSocket.receive(accepted.raw)
        Check.equal(received.bytes, Array("ping".utf8), "data to the service")
        _ = samara_send_with_fds(accepted.raw, "pong", 4, nil, 0, 0)
        if !waitReadable(first) { return Check.fail("no answer to \(client)") }
        Check.equal(try UnixSocket.receive(first).bytes, Array("pong".utf8), "data to the client")
        for socket in sockets { _ = close(socket) }
    }

    private static func datagram(
        _ mint: inout SocketMint, _ keeper: Int32, _ net: Int32, _ client: String, _ pod: IPAddress
    ) throws {
        guard let source = IPAddress(client) else { return Check.fail("address \(client)") }
        let service = try Socket.make(family: pod.isIPv4 ? AF_INET : AF_INET6, .udp)
        // Bound to every address, as name servers are: the answer's source is then chosen by routing.
        try Socket.bind(service.raw, SocketAddress(pod.isIPv4 ? .anyIPv4 : .anyIPv6, port: 53))
        let request = KeeperRequest(
            .datagramFlow, family: pod.isIPv4 ? .ipv4 : .ipv6, cookie: 4, source: source, sourcePort: 5353,
            target: pod, targetPort: 53)
        guard let flow = try ask(&mint, keeper, net, request).first else { return Check.fail("no UDP socket") }
        _ = samara_send_with_fds(flow, "query", 5, nil, 0, 0)
        if !waitReadable(service.raw) { return Check.fail("no datagram from \(client)") }
        var peer = sockaddr_in6()
        var local = in6_addr()
        var interface: UInt32 = 0
        var buffer = [UInt8](repeating: 0, count: 100)
        let count = samara_receive_datagram(service.raw, &buffer, 100, &peer, &local, &interface)
        Check.equal(Array(buffer[..<max(0, count)]), Array("query".utf8), "datagram")
        Check.equal(SocketAddressText(peer), "\(client) 5353", "source of the datagram")
        _ = samara_send_datagram(service.raw, "answer", 6, &peer, &local, 0)
        if !waitReadable(flow) { return Check.fail("no answer datagram to \(client)") }
        Check.equal(try UnixSocket.receive(flow).bytes, Array("answer".utf8), "answer datagram")
        _ = try ask(&mint, keeper, net, KeeperRequest(.endDatagramFlow, source: source))
        _ = close(flow)
    }

    private static func tapIsHandedOver(_ mint: inout SocketMint, _ keeper: Int32, _ net: Int32) throws {
        let tap = try ask(&mint, keeper, net, KeeperRequest(.tap))
        Check.equal(tap.count, 1, "tap")
        for descriptor in tap { _ = close(descriptor) }
    }

    private static func sysctls() throws {
        let expected = [("tcp_fwmark_accept", "1"), ("ip_unprivileged_port_start", "0"), ("ping_group_range", "0\t0")]
        for (name, value) in expected {
            let text = try File.read("/proc/sys/net/ipv4/\(name)")
            Check.equal(String(decoding: text.dropLast(), as: UTF8.self), value, name)
        }
    }
}

/// "address port" of an accepted peer.
func SocketAddressText(_ raw: sockaddr_in6) -> String {
    let address = SocketAddress(raw: raw)
    return "\(address.ip) \(address.port)"
}

/// `--network none`.
enum LoopbackOnly {
    static func run() {
        Check.noError("enter namespaces") { try Namespace.enter() }
        Check.noError("loopback only") {
            let tap = try PodNetwork.configure(PodNetworkSettings(tap: nil))
            if case .some = consume tap { Check.fail("a tap without being asked for") }
            let interfaces = try Directory.names("/proc/self/net/dev_snmp6").sorted()
            Check.equal(interfaces, ["lo"], "interfaces")
            let socket = try Socket.make(family: AF_INET, .tcp)
            try Socket.bind(socket.raw, SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: 80))
        }
    }
}
