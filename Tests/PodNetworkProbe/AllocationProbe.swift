// SPDX-License-Identifier: Apache-2.0
import CAllocationCount
import CLinux
import LinuxSystem
import NetControl
import PodNetwork
import PortForwarder
import SystemPackage

/// The contract that a warm forwarder does not allocate: messages, bulk through pipes, whole connections, datagrams.
/// Without optimisation the compiler's own code allocates (option sets, closures), so the count is checked in release
/// builds only; the same exchanges run in both.
enum AllocationProbe {
    #if DEBUG
        static let isChecked = false
    #else
        static let isChecked = true
    #endif

    static func run() {
        Check.noError("allocations") {
            Process.ignoreSignals([SIGPIPE])
            var scene = try Scene()
            try scene.establish()
            try scene.measure("messages", rounds: 1000) { (scene) throws in try scene.exchangeMessage() }
            try scene.measure("bulk", rounds: 200) { (scene) throws in try scene.exchangeBulk() }
            try scene.measure("datagrams", rounds: 1000) { (scene) throws in try scene.exchangeDatagram() }
            // Fewer than a batch of pod sockets: the mint is not part of the promise.
            try scene.measure("connections", rounds: 20) { (scene) throws in try scene.openAndClose() }
        }
    }
}

/// A forwarder over loopback, one established connection and one datagram flow. Nothing in its loops allocates by
/// itself.
private struct Scene: ~Copyable {
    private var forwarder: PortForwarder
    private var mint = SocketMint(tap: nil, isTransparent: false)
    private let keeper: OwnedFD
    private let service: OwnedFD
    private let datagramService: OwnedFD
    private let datagramClient: OwnedFD
    private let port: UInt16
    private var client: Int32 = -1
    private var server: Int32 = -1
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)

    /// Every fallible step comes before the first stored property.
    init() throws {
        let loopback = IPAddress(ipv4: 0x7f00_0001)
        let pair = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let keeper = try pair.first.duplicate()
        let service = try Socket.make(family: AF_INET, .tcp)
        try Socket.bind(service.raw, SocketAddress(loopback, port: 0))
        try Socket.listen(service.raw, backlog: 100)
        let datagramService = try Socket.make(family: AF_INET, .udp)
        try Socket.bind(datagramService.raw, SocketAddress(loopback, port: 0))
        let datagramClient = try Socket.make(family: AF_INET, .udp)
        let bound = try BoundPorts(binding: [
            PublishedPort(
                hostIP: "127.0.0.1", hostPort: 0, containerPort: try Socket.localAddress(service.raw).port,
                protocol: .tcp),
            PublishedPort(
                hostIP: "127.0.0.1", hostPort: 0, containerPort: try Socket.localAddress(datagramService.raw).port,
                protocol: .udp),
        ])
        var forwarder = try PortForwarder(
            configuration: NetConfiguration(
                podName: "test", podIPv4: loopback, podIPv6: nil, gatewayIPv4: IPAddress(ipv4: 0x7f00_0002),
                gatewayIPv6: nil), keeper: try pair.second.duplicate(), descriptorLimit: 4096)
        for index in 0..<2 {
            let copy = OwnedFD(try checked(samara_fcntl(bound.descriptors[index], F_DUPFD_CLOEXEC, 3)))
            try forwarder.publish(bound.listeners[index], copy)
        }
        _ = Socket.connect(datagramClient.raw, SocketAddress(loopback, port: bound.ports[1].hostPort))
        buffer.initializeMemory(as: UInt8.self, repeating: 5)
        port = bound.ports[0].hostPort
        self.forwarder = forwarder
        self.keeper = keeper
        self.service = service
        self.datagramService = datagramService
        self.datagramClient = datagramClient
    }

    mutating func establish() throws {
        try serveKeeper()
        (client, server) = try connect()
    }

    deinit {
        if client >= 0 { _ = close(client) }
        if server >= 0 { _ = close(server) }
        buffer.deallocate()
    }

    /// Warms up with as many rounds, then counts what the forwarder's turns allocate.
    mutating func measure(
        _ subject: String, rounds: Int, _ body: (inout Scene) throws -> Void
    ) throws {
        for _ in 0..<rounds { try body(&self) }
        let before = samara_allocation_count()
        for _ in 0..<rounds { try body(&self) }
        let allocations = samara_allocation_count() - before
        if AllocationProbe.isChecked { Check.equal(allocations, 0, "allocations for \(rounds) \(subject)") }
    }

    private mutating func turn() throws { _ = try forwarder.turn(maximumWait: 20) }

    /// Answers what the forwarder asked for. The mint may allocate: it is the keeper's.
    mutating func serveKeeper() throws {
        try turn()
        while try Waiting.isReadable(keeper.raw, timeoutMilliseconds: 0) { _ = try mint.serve(socketFD: keeper.raw) }
        try turn()
    }

    private mutating func connect() throws -> (client: Int32, server: Int32) {
        let socket = try Socket.make(family: AF_INET, .tcp).release()
        _ = Socket.connect(socket, SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: port))
        while true {
            try turn()
            var peer = sockaddr_in6()
            let accepted = samara_accept(service.raw, &peer)
            if accepted >= 0 { return (socket, accepted) }
        }
    }

    private mutating func pass(_ from: Int32, _ to: Int32, _ count: Int) throws {
        var sent = 0
        var received = 0
        while received < count {
            if sent < count,
                case .bytes(let more) = Transfer.send(from, UnsafeRawBufferPointer(rebasing: buffer[sent..<count]))
            {
                sent += more
            }
            try turn()
            while case .bytes(let more) = Transfer.receive(to, into: buffer) { received += more }
        }
    }

    mutating func exchangeMessage() throws {
        try pass(client, server, 64)
        try pass(server, client, 64)
    }

    mutating func exchangeBulk() throws { try pass(client, server, buffer.count) }

    mutating func exchangeDatagram() throws {
        var peer = sockaddr_in6()
        var local = in6_addr()
        var interface: UInt32 = 0
        let small = UnsafeRawBufferPointer(rebasing: buffer[..<100])
        _ = Transfer.send(datagramClient.raw, small)
        while samara_receive_datagram(datagramService.raw, buffer.baseAddress, 100, &peer, &local, &interface) < 0 {
            try turn()
            if try Waiting.isReadable(keeper.raw, timeoutMilliseconds: 0) { _ = try mint.serve(socketFD: keeper.raw) }
        }
        _ = samara_send_datagram(datagramService.raw, buffer.baseAddress, 100, &peer, &local, 0)
        while true {
            try turn()
            if case .bytes = Transfer.receive(datagramClient.raw, into: buffer) { return }
        }
    }

    mutating func openAndClose() throws {
        let (client, server) = try connect()
        try pass(client, server, 64)
        _ = close(client)
        _ = close(server)
        try turn()
    }
}
