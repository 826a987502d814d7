// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import SystemPackage

/// How connections end, through samara-net and on the host alone: both sides must see the same.
enum CloseChecks {
    static func run(_ host: HostSockets) {
        for remote in [OutboundProbe.remoteIPv4, OutboundProbe.remoteIPv6] {
            for scenario in CloseScenario.all {
                Check.noError("\(scenario.name), \(remote)") {
                    let family = remote.isIPv4 ? AF_INET : AF_INET6
                    let direct = try log(scenario, remote, host, host.client(isIPv4: remote.isIPv4))
                    let throughTap = try log(scenario, remote, host, Socket.make(family: family, .tcp))
                    Check.equal(direct.isEmpty, false, "observations of \(scenario.name)")
                    Check.equal(throughTap, direct, "\(scenario.name), \(remote)")
                }
            }
            Check.noError("connects that fail, \(remote)") { try failures(remote, host) }
        }
    }

    private static func log(
        _ scenario: CloseScenario, _ remote: IPAddress, _ host: HostSockets, _ client: consuming OwnedFD
    ) throws -> [String] {
        try connect(client.raw, SocketAddress(remote, port: HostSockets.port))
        let connection = ObservedConnection(client: Peer(client), pump: pump)
        connection.server = try host.accept(isIPv4: remote.isIPv4)
        try scenario.run(connection)
        return connection.log
    }

    private static func pump(_ condition: () throws -> Bool) throws -> Bool {
        let deadline = MonotonicClock.milliseconds + 10_000
        while try !condition() {
            if MonotonicClock.milliseconds > deadline { return false }
            _ = usleep(500)
        }
        return true
    }

    /// Connects a non-blocking socket and waits for the outcome.
    private static func connect(_ socket: Int32, _ target: SocketAddress) throws {
        switch Socket.connect(socket, target) {
        case .connected: return
        case .failed(let error): throw error
        case .inProgress:
            var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
            if poll(&entry, 1, 5000) != 1 { throw Errno.timedOut }
            if let error = Socket.takeError(socket) { throw error }
        }
    }

    /// Refused, and without a route.
    private static func failures(_ remote: IPAddress, _ host: HostSockets) throws {
        let nowhere =
            remote.isIPv4 ? IPAddress(ipv4: 0xc633_6401) : IPAddress(high: 0x2001_0db8_00ff_0000, low: 1)
        for target in [SocketAddress(remote, port: RemoteServices.closed), SocketAddress(nowhere, port: 80)] {
            let direct = error(connecting: try host.client(isIPv4: remote.isIPv4), target)
            let throughTap = error(connecting: try Socket.make(family: target.family, .tcp), target)
            Check.equal(direct == nil, false, "connecting to \(target.ip) on the host")
            Check.equal(throughTap, direct, "connecting to \(target.ip) port \(target.port)")
        }
    }

    private static func error(connecting socket: consuming OwnedFD, _ target: SocketAddress) -> Errno? {
        do { try connect(socket.raw, target) } catch { return error as? Errno }
        return nil
    }
}
