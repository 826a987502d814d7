// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import Netlink
import SystemPackage

/// Makes sockets of the pod's network namespace and hands them to samara-net, which has no capability and is not in
/// the namespace. Belongs to the keeper; one per pod; not on the path of any packet.
///
/// Every TCP socket is non-blocking, transparent, marked, without Nagle's delay, and uses reno. Keepalive is samara-net's
/// part, once a connection has lasted.
public struct SocketMint: ~Copyable {
    /// What became of one request.
    public enum Outcome: Equatable, Sendable {
        case served
        /// samara-net is gone.
        case peerClosed
    }

    private let tap: OwnedFD?
    private let isTransparent: Bool
    private let isRenoDefault: Bool
    /// Flows per client address that have a local route in `PodRouting.datagramTable`.
    private var datagramClients: [IPAddress: Int] = [:]
    /// Ports that have a rule for that table.
    private var datagramPorts: Set<DatagramPort> = []

    private struct DatagramPort: Hashable {
        var port: UInt16
        var isIPv4: Bool
    }

    /// `tap` is what `PodNetwork.configure` returned; it stays open here as well, so that the device outlives a
    /// samara-net that dies. `isTransparent: false` makes ordinary sockets, for a pod without its own namespace.
    public init(tap: consuming OwnedFD?, isTransparent: Bool = true) {
        self.tap = tap
        self.isTransparent = isTransparent
        isRenoDefault = Self.hasRenoAsDefault()
    }

    private static func hasRenoAsDefault() -> Bool {
        guard let socket = try? Socket.make(family: AF_INET, .tcp) else { return false }
        return Socket.congestionControl(socket.raw)?.isReno ?? false
    }

    /// Answers one request from `socketFD` (SOCK_SEQPACKET to samara-net); call it when the socket is readable.
    ///
    /// Throws when the socket itself fails or the request is not one of this version: the conversation is then over.
    public mutating func serve(socketFD: Int32) throws(NetControlError) -> Outcome {
        let request: KeeperRequest
        do {
            let message = try UnixSocket.receive(socketFD, limit: KeeperRequest.size + 1, descriptorLimit: 0)
            if message.bytes.isEmpty { return .peerClosed }
            guard let decoded = message.bytes.withUnsafeBytes({ KeeperRequest(decoding: $0) }) else {
                throw NetControlError(
                    .protocolViolation, "samara-net is of another version of samara than the pod's keeper")
            }
            request = decoded
        } catch let error as Errno {
            if error == .connectionReset { return .peerClosed }
            if error == .wouldBlock { return .served }
            throw NetControlError(.system(error), "cannot hear samara-net: \(error.text)")
        } catch let error as NetControlError {
            throw error
        } catch {
            throw NetControlError(.protocolViolation, "samara-net: \(error)")
        }
        switch request.kind {
        case .tap:
            switch tap {
            case .some(let tap): return try answer(socketFD, request, [tap.raw], nil)
            case .none: return try answer(socketFD, request, [], Errno(rawValue: ENODEV))
            }
        case .resolverFile: return try serveResolverFile(socketFD, request)
        case .sockets: return try serveSockets(socketFD, request)
        case .datagramFlow: return try serveDatagramFlow(socketFD, request)
        case .endDatagramFlow:
            releaseClient(request.source)
            return .served
        }
    }

    /// A host without the file asks itself: the answer then carries no descriptor, resolv.conf(5).
    private func serveResolverFile(_ socketFD: Int32, _ request: KeeperRequest) throws(NetControlError) -> Outcome {
        let file: OwnedFD
        // Should somebody have put a pipe in its place, nobody waits for it.
        do throws(Errno) { file = try File.open(SocketMint.resolverFile, O_RDONLY | O_NONBLOCK) } catch {
            return try answer(socketFD, request, [], error)
        }
        return try answer(socketFD, request, [file.raw], nil)
    }

    private static var resolverFile: String { "/etc/resolv.conf" }

    // MARK: TCP

    private func serveSockets(_ socketFD: Int32, _ request: KeeperRequest) throws(NetControlError) -> Outcome {
        var sockets: [Int32] = []
        var failure: Errno?
        do throws(Errno) {
            for _ in 0..<request.count { sockets.append(try makeStream(request.family).release()) }
        } catch { failure = error }
        defer { for socket in sockets { _ = close(socket) } }
        return try answer(socketFD, request, sockets, failure)
    }

    private func makeStream(_ family: KeeperRequest.Family) throws(Errno) -> OwnedFD {
        let family = family == .ipv4 ? AF_INET : AF_INET6
        let socket = try Socket.make(family: family, .tcp)
        if isTransparent { try Socket.setTransparent(socket.raw, family: family, mark: PodRouting.mark) }
        // The client's port may still be in TIME_WAIT from its last connection to the same service.
        try Socket.set(socket.raw, SOL_SOCKET, SO_REUSEADDR, 1)
        try Socket.setNoDelay(socket.raw)
        // The pod's namespace has reno as its default, unless the kernel refused that.
        if !isRenoDefault { Socket.setReno(socket.raw) }
        return socket
    }

    // MARK: UDP

    private mutating func serveDatagramFlow(
        _ socketFD: Int32, _ request: KeeperRequest
    ) throws(NetControlError) -> Outcome {
        var failure: Errno?
        do throws(Errno) {
            let socket = try makeDatagram(request)
            return try report(socketFD, request, socket)
        } catch { failure = error }
        return try answer(socketFD, request, [], failure)
    }

    /// Separate from the making, because a failure to answer must not be answered.
    private func report(_ socketFD: Int32, _ request: KeeperRequest, _ socket: borrowing OwnedFD) throws(Errno)
        -> Outcome
    {
        do throws(NetControlError) { return try answer(socketFD, request, [socket.raw], nil) } catch {
            return .peerClosed
        }
    }

    private mutating func makeDatagram(_ request: KeeperRequest) throws(Errno) -> OwnedFD {
        guard request.source.isIPv4 == request.target.isIPv4 else { throw .invalidArgument }
        let family = request.source.isIPv4 ? AF_INET : AF_INET6
        // Without SO_REUSEADDR: two flows with the same addresses would steal each other's datagrams. The second gets
        // another source port instead.
        let socket = try Socket.make(family: family, .udp)
        if isTransparent {
            try Socket.setTransparent(socket.raw, family: family, mark: PodRouting.mark)
            try addReturnPath(request)
        }
        do throws(Errno) {
            do {
                try Socket.bind(socket.raw, SocketAddress(request.source, port: request.sourcePort))
            } catch .addressInUse {
                try Socket.bind(socket.raw, SocketAddress(request.source, port: 0))
            }
            let outcome = Socket.connect(socket.raw, SocketAddress(request.target, port: request.targetPort))
            if case .failed(let error) = outcome { throw error }
        } catch {
            if isTransparent { releaseClient(request.source) }
            throw error
        }
        return socket
    }

    /// Makes what the service sends from its port to this client come back over lo.
    private mutating func addReturnPath(_ request: KeeperRequest) throws(Errno) {
        var changes = NetlinkRequest()
        let port = DatagramPort(port: request.targetPort, isIPv4: request.target.isIPv4)
        if !datagramPorts.contains(port) {
            changes.addRule(
                .udpSourcePort(port.port), family: port.isIPv4 ? AF_INET : AF_INET6, table: PodRouting.datagramTable,
                priority: 101)
        }
        if datagramClients[request.source] == nil {
            changes.addLocalRoute(
                request.source, prefixLength: request.source.isIPv4 ? 32 : 128, index: PodNetwork.loopbackIndex,
                table: PodRouting.datagramTable, source: request.target)
        }
        do throws(NetlinkError) {
            let socket = try NetlinkSocket()
            try socket.perform(changes)
        } catch { throw error.errno }
        datagramPorts.insert(port)
        datagramClients[request.source, default: 0] += 1
    }

    private mutating func releaseClient(_ address: IPAddress) {
        guard let flows = datagramClients[address] else { return }
        if flows > 1 {
            datagramClients[address] = flows - 1
            return
        }
        datagramClients[address] = nil
        var change = NetlinkRequest()
        change.removeLocalRoute(
            address, prefixLength: address.isIPv4 ? 32 : 128, index: PodNetwork.loopbackIndex,
            table: PodRouting.datagramTable)
        // Somebody in the pod may have removed the route already, which is what is wanted here.
        if let socket = try? NetlinkSocket() { try? socket.perform(change) }
    }

    // MARK: Answers

    private func answer(
        _ socketFD: Int32, _ request: KeeperRequest, _ descriptors: [Int32], _ failure: Errno?
    ) throws(NetControlError) -> Outcome {
        let reply = KeeperReply(
            request.kind, family: request.family, count: UInt8(descriptors.count), errno: failure?.rawValue ?? 0,
            cookie: request.cookie)
        var bytes = [UInt8](repeating: 0, count: KeeperReply.size)
        bytes.withUnsafeMutableBytes { reply.encode(into: $0) }
        do { try UnixSocket.send(socketFD, bytes, descriptors: descriptors) } catch {
            if error == .brokenPipe || error == .connectionReset { return .peerClosed }
            throw NetControlError(.system(error), "cannot answer samara-net: \(error.text)")
        }
        return .served
    }
}
