// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import SystemPackage

/// A port that could not be published. `message` is one sentence for people.
public struct PortBindingError: Error, Equatable, Sendable {
    public var port: PublishedPort
    /// The one port of the run that failed, where it is known.
    public var hostPort: UInt16
    public var errno: Errno
    public var message: String
}

/// The host sockets of published ports, listening (TCP) or bound (UDP) in the host's network namespace.
///
/// All of them or none: a value exists only when every port could be had. Closing happens when the value ends, also
/// for the copies that samara-net got only once it has closed them too.
public struct BoundPorts: ~Copyable {
    /// The ports as asked for, with the numbers that the kernel chose in place of 0.
    public let ports: [PublishedPort]
    /// One entry per socket, in the order of `descriptors`.
    public let listeners: [PublishedListener]
    public let descriptors: [Int32]

    deinit { for descriptor in descriptors { _ = close(descriptor) } }

    /// Binds every port of `requested`; on an error nothing stays bound. A port asked for twice in the same words is
    /// one port.
    public init(binding requested: [PublishedPort]) throws(PortBindingError) {
        var sockets = BoundSockets()
        var ports: [PublishedPort] = []
        var seen: Set<PublishedPort> = []
        for port in requested where seen.insert(port).inserted { ports.append(try sockets.bind(port)) }
        (listeners, descriptors) = sockets.release()
        self.ports = ports
    }
}

/// Collects sockets and closes them unless they are released.
private struct BoundSockets: ~Copyable {
    private var listeners: [PublishedListener] = []
    private var descriptors: [Int32] = []

    init() {}

    deinit { for descriptor in descriptors { _ = close(descriptor) } }

    consuming func release() -> ([PublishedListener], [Int32]) {
        let result = (listeners, descriptors)
        descriptors = []
        return result
    }

    /// Binds each port of the run.
    mutating func bind(_ port: PublishedPort) throws(PortBindingError) -> PublishedPort {
        guard port.hostPort == 0 else {
            try bindRun(port)
            return port
        }
        // A run of unknown start: take the kernel's number for the first and try the ones behind it.
        var attempts = 32
        while true {
            let count = listeners.count
            do throws(PortBindingError) {
                return try bindChosen(port)
            } catch {
                while listeners.count > count {
                    listeners.removeLast()
                    _ = close(descriptors.removeLast())
                }
                attempts -= 1
                if attempts == 0 || error.errno != .addressInUse { throw error }
            }
        }
    }

    private mutating func bindChosen(_ port: PublishedPort) throws(PortBindingError) -> PublishedPort {
        let first = try HostSocket.bind(port, offset: 0)
        var chosen = port
        chosen.hostPort = first.listener.hostPort
        listeners.append(first.listener)
        descriptors.append(first.socket.release())
        if port.range == 1 { return chosen }
        if Int(chosen.hostPort) + Int(port.range) - 1 > 65535 {
            throw PortBindingError(port: port, hostPort: 65535, errno: .addressInUse, message: "no room for the range")
        }
        for offset in 1..<port.range { try append(try HostSocket.bind(chosen, offset: offset)) }
        return chosen
    }

    private mutating func bindRun(_ port: PublishedPort) throws(PortBindingError) {
        for offset in 0..<port.range { try append(try HostSocket.bind(port, offset: offset)) }
    }

    private mutating func append(_ bound: consuming HostSocket) throws(PortBindingError) {
        listeners.append(bound.listener)
        descriptors.append(bound.socket.release())
    }
}

/// One bound host socket.
private struct HostSocket: ~Copyable {
    var listener: PublishedListener
    var socket: OwnedFD

    /// Binds port number `offset` of the run.
    static func bind(_ port: PublishedPort, offset: UInt16) throws(PortBindingError) -> HostSocket {
        let number = port.hostPort == 0 ? 0 : port.hostPort + offset
        let transport: Socket.Transport = port.protocol == .tcp ? .tcp : .udp
        do throws(Errno) {
            var bound = try bindAny(port, number, transport)
            bound.listener.hostPort = try Socket.localAddress(bound.socket.raw).port
            bound.listener.podPort = port.containerPort + offset
            bound.listener.targetsLoopback = port.targetsLoopback
            return bound
        } catch {
            throw BindFailure.describe(port, number, error)
        }
    }

    /// Without a host address: one socket for both families, or for IPv4 where the host has no IPv6.
    private static func bindAny(
        _ port: PublishedPort, _ number: UInt16, _ transport: Socket.Transport
    ) throws(Errno) -> HostSocket {
        if let address = IPAddress(port.hostIP) { return try bind(address, number, transport, dualStack: false) }
        do { return try bind(.anyIPv6, number, transport, dualStack: true) } catch {
            guard error == .addressFamilyNotSupported || error == .addressNotAvailable else { throw error }
        }
        return try bind(.anyIPv4, number, transport, dualStack: false)
    }

    private static func bind(
        _ address: IPAddress, _ number: UInt16, _ transport: Socket.Transport, dualStack: Bool
    ) throws(Errno) -> HostSocket {
        let family = address.isIPv4 ? AF_INET : AF_INET6
        let socket = try Socket.make(family: family, transport)
        if family == AF_INET6 {
            // Set in both cases: the default is the host's net.ipv6.bindv6only.
            try Socket.set(socket.raw, Socket.level.ipv6, IPV6_V6ONLY, dualStack ? 0 : 1)
        }
        switch transport {
        case .tcp:
            try Socket.set(socket.raw, SOL_SOCKET, SO_REUSEADDR, 1)
            // Accepted sockets inherit these, which saves a system call per connection and option.
            try Socket.setNoDelay(socket.raw)
            try Socket.setKeepalive(socket.raw)
        case .udp:
            // Without SO_REUSEADDR, which would let two pods share a port without knowing of each other.
            if family == AF_INET6 {
                try Socket.set(socket.raw, Socket.level.ipv6, IPV6_RECVPKTINFO, 1)
            } else {
                try Socket.set(socket.raw, Socket.level.ip, IP_PKTINFO, 1)
            }
        }
        try Socket.bind(socket.raw, SocketAddress(address, port: number))
        if transport == .tcp { try Socket.listen(socket.raw, backlog: 4096) }
        let listener = PublishedListener(transport: transport, hostIP: address, hostPort: number, podPort: 0)
        return HostSocket(listener: listener, socket: socket)
    }
}
