// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import SystemPackage

/// Sockets of the host's namespace that the process in the pod holds: it can be both ends of a connection through samara-net,
/// or of one that stays on the host, and see what each end sees.
final class HostSockets {
    static let port: UInt16 = 7010

    private let listeners: [OwnedFDBox]
    private let maker: Int32
    private let requests: OwnedFD

    /// To be called in the host's namespace, before the pod's process is forked.
    init() throws {
        listeners = try [IPAddress.anyIPv4, .anyIPv6].map { address in
            let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .tcp)
            if !address.isIPv4 { try Socket.set(socket.raw, Socket.level.ipv6, IPV6_V6ONLY, 1) }
            try Socket.bind(socket.raw, SocketAddress(address, port: Self.port))
            try Socket.listen(socket.raw, backlog: 4096)
            return OwnedFDBox(socket)
        }
        let pair = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        // Clients are made when they are wanted: a copy of one in another process would keep its connection open.
        maker = try checked(samara_fork())
        if maker == 0 {
            while let request = try? UnixSocket.receive(pair.second.raw, limit: 1, descriptorLimit: 0).bytes.first,
                let socket = try? Socket.make(family: request == 4 ? AF_INET : AF_INET6, .tcp)
            { _ = try? UnixSocket.send(pair.second.raw, [request], descriptors: [socket.raw]) }
            Process.exitNow(0)
        }
        requests = try pair.first.duplicate()
    }

    func end() {
        _ = kill(maker, SIGKILL)
        _ = try? Process.wait(pid: maker)
    }

    /// A client of the host's namespace.
    func client(isIPv4: Bool) throws -> OwnedFD {
        try UnixSocket.send(requests.raw, [isIPv4 ? 4 : 6])
        guard waitReadable(requests.raw),
            let socket = try UnixSocket.receive(requests.raw, limit: 1, descriptorLimit: 1).descriptors.first
        else { throw Errno.timedOut }
        return OwnedFD(socket)
    }

    /// The next connection, waiting up to five seconds for it.
    func accept(isIPv4: Bool) throws -> Peer {
        let listener = listeners[isIPv4 ? 0 : 1].fd.raw
        if !waitReadable(listener) { throw Errno.timedOut }
        var peer = sockaddr_in6()
        return Peer(OwnedFD(try checked(samara_accept(listener, &peer))))
    }
}
