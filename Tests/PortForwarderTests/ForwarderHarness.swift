// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import NetControl
import PodNetwork
import SystemPackage
import Testing

@testable import PortForwarder

/// A forwarder whose pod is this process: services listen on 127.0.0.1 and ::1, the gateway is 127.0.0.2, and the mint
/// makes ordinary sockets. Everything runs on the calling thread, so nothing depends on scheduling.
final class ForwarderHarness {
    var forwarder: PortForwarder
    private var mint = SocketMint(tap: nil, isTransparent: false)
    private let keeper: OwnedFD
    private(set) var turns = 0
    private var bound: [PublishedPort] = []

    init(podIPv6: Bool = true, descriptorLimit: Int = 4096, overflowLimit: Int = 256) throws {
        let pair = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        try Waiting.setNonBlocking(pair.first.raw)
        let configuration = NetConfiguration(
            podName: "test", podIPv4: IPAddress(ipv4: 0x7f00_0001), podIPv6: podIPv6 ? IPAddress(high: 0, low: 1) : nil,
            gatewayIPv4: IPAddress(ipv4: 0x7f00_0002), gatewayIPv6: podIPv6 ? IPAddress(high: 0, low: 1) : nil)
        forwarder = try PortForwarder(
            configuration: configuration, keeper: try pair.second.duplicate(), descriptorLimit: descriptorLimit,
            overflowLimit: overflowLimit)
        keeper = try pair.first.duplicate()
        Process.ignoreSignals([SIGPIPE])
    }

    /// Publishes a host port of the kernel's choice for `podPort` and returns it.
    func publish(
        _ podPort: UInt16, host: String = "127.0.0.1", _ transport: PublishedPort.`Protocol` = .tcp
    ) throws -> UInt16 {
        let ports = try BoundPorts(
            binding: [PublishedPort(hostIP: host, hostPort: 0, containerPort: podPort, protocol: transport)])
        let copy = OwnedFD(try checked(samara_fcntl(ports.descriptors[0], F_DUPFD_CLOEXEC, 3)))
        try forwarder.publish(ports.listeners[0], copy)
        return ports.ports[0].hostPort
    }

    var statistics: NetStatistics { forwarder.statistics() }

    func unpublish(_ published: PublishedListener) -> Bool { forwarder.unpublish(published) }

    /// One turn of the forwarder alone.
    func turnForwarder(maximumWait: Int32) throws -> Bool { try forwarder.turn(maximumWait: maximumWait) }

    func turn() throws {
        _ = try forwarder.turn(maximumWait: 1)
        while try Waiting.isReadable(keeper.raw, timeoutMilliseconds: 0) {
            if try mint.serve(socketFD: keeper.raw) == .peerClosed { break }
        }
        turns += 1
    }

    /// Turns until `condition` holds; false after ten seconds.
    func pump(seconds: UInt64 = 10, until condition: () throws -> Bool) throws -> Bool {
        let deadline = MonotonicClock.milliseconds + seconds * 1000
        while MonotonicClock.milliseconds < deadline {
            if try condition() { return true }
            try turn()
        }
        return try condition()
    }
}

/// A listening TCP socket of a test, as a service in the pod.
final class Service {
    let listener: OwnedFD
    let port: UInt16

    init(ipv6: Bool = false, port: UInt16 = 0, backlog: Int32 = 2000) throws {
        listener = try Socket.make(family: ipv6 ? AF_INET6 : AF_INET, .tcp)
        try Socket.set(listener.raw, SOL_SOCKET, SO_REUSEADDR, 1)
        let address = ipv6 ? IPAddress(high: 0, low: 1) : IPAddress(ipv4: 0x7f00_0001)
        try Socket.bind(listener.raw, SocketAddress(address, port: port))
        try Socket.listen(listener.raw, backlog: backlog)
        self.port = try Socket.localAddress(listener.raw).port
    }

    /// A connection that is waiting, with its client's address.
    func accept() -> (peer: Peer, address: SocketAddress)? {
        var peer = sockaddr_in6()
        let raw = samara_accept(listener.raw, &peer)
        return raw < 0 ? nil : (Peer(OwnedFD(raw)), SocketAddress(raw: peer))
    }
}

/// A port on which nothing listens.
func unusedPort() throws -> UInt16 {
    let socket = try Socket.make(family: AF_INET, .tcp)
    try Socket.bind(socket.raw, SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: 0))
    return try Socket.localAddress(socket.raw).port
}

extension ForwarderHarness {
    /// A connected pair through the forwarder.
    func connect(
        _ service: Service, _ port: UInt16, ipv6: Bool = false
    ) throws -> (client: Peer, server: Peer, address: SocketAddress) {
        let client = try Peer(to: port, ipv6: ipv6)
        var accepted: (peer: Peer, address: SocketAddress)?
        #expect(
            try pump {
                accepted = accepted ?? service.accept(); return accepted != nil
            })
        let (server, address) = try #require(accepted)
        return (client, server, address)
    }
}
