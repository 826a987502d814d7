// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import PodNetwork
import PortForwarder
import SystemPackage

/// Timers, the dispatch of one event, and a byte's and a megabyte's way through the forwarder.
func measureLoop(_ measuring: inout Measuring) throws {
    Process.ignoreSignals([SIGPIPE])
    var wheel = TimerWheel(now: 0)
    for number in 0..<UInt64(1000) {
        _ = wheel.arm(at: 1000 + number * 7, EventToken(kind: 1, slot: UInt32(number), generation: 0))
    }
    measuring.measure("timer", "timer armed and cancelled among 1000") { count in
        for number in 0..<count {
            var timer = wheel.arm(at: 500 + UInt64(number & 1023), EventToken(kind: 1, slot: 1, generation: 0))
            wheel.cancel(&timer)
        }
    }
    var relay = try Relay()
    try relay.establish()
    try measuring.measure("dispatch", "empty turn of the forwarder's loop") { count in
        for _ in 0..<count { try relay.emptyTurn() }
    }
    try measuring.measure("message", "64 B message through the forwarder") { count in
        for _ in 0..<count { try relay.pass(64) }
    }
    try measuring.measure("splice", "1 MiB through the forwarder") { count in
        for _ in 0..<count { try relay.pass(1 << 20) }
    }
}

/// A forwarder over loopback with one established connection; client, server and forwarder share this thread.
private struct Relay: ~Copyable {
    private var forwarder: PortForwarder
    private var mint = SocketMint(tap: nil, isTransparent: false)
    private let keeper: OwnedFD
    private let service: OwnedFD
    private let port: UInt16
    private var client: Int32 = -1
    private var server: Int32 = -1
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)

    init() throws {
        let loopback = IPAddress(ipv4: 0x7f00_0001)
        let pair = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let keeper = try pair.first.duplicate()
        let service = try Socket.make(family: AF_INET, .tcp)
        try Socket.bind(service.raw, SocketAddress(loopback, port: 0))
        try Socket.listen(service.raw, backlog: 100)
        let bound = try BoundPorts(binding: [
            PublishedPort(
                hostIP: "127.0.0.1", hostPort: 0, containerPort: try Socket.localAddress(service.raw).port,
                protocol: .tcp)
        ])
        var forwarder = try PortForwarder(
            configuration: NetConfiguration(
                podName: "micro", podIPv4: loopback, podIPv6: nil, gatewayIPv4: IPAddress(ipv4: 0x7f00_0002),
                gatewayIPv6: nil), keeper: try pair.second.duplicate(), descriptorLimit: 4096)
        let copy = OwnedFD(try checked(samara_fcntl(bound.descriptors[0], F_DUPFD_CLOEXEC, 3)))
        try forwarder.publish(bound.listeners[0], copy)
        buffer.initializeMemory(as: UInt8.self, repeating: 5)
        port = bound.ports[0].hostPort
        self.forwarder = forwarder
        self.keeper = keeper
        self.service = service
    }

    deinit {
        if client >= 0 { _ = close(client) }
        if server >= 0 { _ = close(server) }
        buffer.deallocate()
    }

    mutating func establish() throws {
        let socket = try Socket.make(family: AF_INET, .tcp).release()
        _ = Socket.connect(socket, SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: port))
        while true {
            _ = try forwarder.turn(maximumWait: 20)
            while try Waiting.isReadable(keeper.raw, timeoutMilliseconds: 0) {
                _ = try mint.serve(socketFD: keeper.raw)
            }
            var peer = sockaddr_in6()
            let accepted = samara_accept(service.raw, &peer)
            if accepted >= 0 {
                (client, server) = (socket, accepted)
                return
            }
        }
    }

    mutating func emptyTurn() throws { _ = try forwarder.turn(maximumWait: 0) }

    /// Sends `count` bytes and takes them at the other side.
    mutating func pass(_ count: Int) throws {
        var sent = 0
        var received = 0
        while received < count {
            if sent < count,
                case .bytes(let more) = Transfer.send(client, UnsafeRawBufferPointer(rebasing: buffer[sent..<count]))
            {
                sent += more
            }
            _ = try forwarder.turn(maximumWait: 0)
            while case .bytes(let more) = Transfer.receive(server, into: buffer) { received += more }
        }
    }
}
