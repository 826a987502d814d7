// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import Netlink
import PodNetwork
import SystemPackage

/// The real samara-net as a pod's way out: services in a "host" namespace, clients in a pod nested in it.
///
///     host   lo with 192.0.2.1 and 2001:db8::1 (its own); 203.0.113.0/24, 2001:db8:1::/64 and 169.254.0.0/16 (others, by
///            local routes)
///     pod    behind samara-net
enum OutboundProbe {
    static let hostIPv4 = IPAddress(ipv4: 0xc000_0201)
    static let hostIPv6 = IPAddress(high: 0x2001_0db8 << 32, low: 1)
    static let remoteIPv4 = IPAddress(ipv4: 0xcb00_7107)  // 203.0.113.7
    static let remoteIPv6 = IPAddress(high: 0x2001_0db8_0001_0000, low: 7)
    static let gatewayIPv4 = IPAddress(ipv4: 0x0a00_0202)
    static let gatewayIPv6 = IPAddress(high: 0xfd00 << 48, low: 2)
    static let nameServerIPv4 = IPAddress(ipv4: 0x0a00_0203)
    static let nameServerIPv6 = IPAddress(high: 0xfd00 << 48, low: 3)

    static func run(samaraNet: String, mtu: UInt32) {
        Check.noError("outbound") {
            try enterHost()
            let services = try RemoteServices.start()
            defer { end(services) }
            let host = try HostSockets()
            defer { host.end() }
            try withPod(samaraNet, mtu: mtu, hostAccess: []) { OutboundChecks.run(host) }
        }
    }

    /// A pod for each thing that can be opened, and one with nothing.
    static func policy(samaraNet: String) {
        Check.noError("policy") {
            try enterHost()
            let services = try RemoteServices.start()
            defer { end(services) }
            for opening in [nil] + PolicyChecks.openings {
                try withPod(samaraNet, mtu: 65520, hostAccess: opening.map { [$0] } ?? []) {
                    Check.noError("policy") { try PolicyChecks.run(opening) }
                }
            }
        }
    }

    /// The programs that people use.
    static func programs(samaraNet: String) {
        Check.noError("programs") {
            try enterHost()
            let services = try RemoteServices.start()
            defer { end(services) }
            try withPod(samaraNet, mtu: 65520, hostAccess: [.init(RemoteServices.web, RemoteServices.web)]) {
                Check.noError("programs") { try ProgramChecks.run() }
            }
        }
    }

    /// Bulk over a link that loses `loss` of a thousand frames each way, and repeats and reorders as many.
    static func lossy(samaraNet: String, loss: UInt64, mebibytes: Int, seed: UInt64) {
        Check.noError("lossy") {
            try enterHost()
            RemoteServices.volume = mebibytes << 20
            let services = try RemoteServices.start()
            defer { end(services) }
            try withPod(samaraNet, mtu: 1500, hostAccess: [], relay: LossyRelay(loss: loss, seed: seed)) {
                LossyChecks.run(bytes: mebibytes << 20)
            }
        }
    }

    /// The host's name server changes while the pod runs.
    static func resolvers(samaraNet: String) {
        Check.noError("resolvers") {
            try enterHost(CLONE_NEWNS)
            // An /etc of this process's own.
            if mount(nil, "/", nil, MS_REC_VALUE | MS_PRIVATE_VALUE, nil) != 0 { throw lastErrno() }
            if mount("tmpfs", "/etc", "tmpfs", 0, nil) != 0 { throw lastErrno() }
            try File.write("/etc/resolv.conf", Array("nameserver 127.0.0.99\n".utf8))
            let services = try RemoteServices.start()
            defer { end(services) }
            try withPod(samaraNet, mtu: 65520, hostAccess: [], nameServers: []) {
                Check.noError("following resolv.conf") { try OutboundChecks.followsResolvers() }
            }
        }
    }

    /// For looking and measuring by hand: runs `inside` in the pod, with `outside` beside it in the host's namespace. Plain: over
    /// a tap without offloads, so that every frame is a packet of a wire with all its checksums.
    static func shell(samaraNet: String, mtu: UInt32, outside: String, inside: String, plain: Bool) {
        Check.noError("shell") {
            try enterHost()
            let server = try spawn("/bin/sh", ["-c", outside], [])
            defer { end(server) }
            _ = usleep(300_000)
            let relay = plain ? LossyRelay(loss: 0, seed: 1, completesChecksums: true) : nil
            try withPod(samaraNet, mtu: mtu, hostAccess: [.init(1, 65535)], relay: relay) {
                _ = try? Process.wait(pid: spawn("/bin/sh", ["-c", inside], []))
            }
        }
    }

    private static func end(_ process: Int32) {
        _ = kill(process, SIGKILL)
        _ = try? Process.wait(pid: process)
    }

    private static func enterHost(_ more: Int32 = 0) throws {
        try Namespace.enter(more)
        try HostNamespace.configure([hostIPv4], [hostIPv6])
        var routes = NetlinkRequest()
        // 255 is the table of local routes: RT_TABLE_LOCAL.
        routes.addLocalRoute(IPAddress(ipv4: 0xcb00_7100), prefixLength: 24, index: 1, table: 255)
        routes.addLocalRoute(IPAddress(high: 0x2001_0db8_0001_0000, low: 0), prefixLength: 64, index: 1, table: 255)
        routes.addLocalRoute(IPAddress(ipv4: 0xa9fe_0000), prefixLength: 16, index: 1, table: 255)
        try NetlinkSocket().perform(routes)
        // Ping sockets for this namespace's only group.
        try? File.write("/proc/sys/net/ipv4/ping_group_range", Array("0 0".utf8), flags: 0)
    }

    private static func withPod(
        _ samaraNet: String, mtu: UInt32, hostAccess: [OutboundConfiguration.HostAccess], relay: LossyRelay? = nil,
        nameServers: [IPAddress] = [IPAddress(ipv4: 0x7f00_0035)],
        _ body: () -> Void
    ) throws {
        let keeper = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let starter = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let ready = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let path = "/tmp/samara-outbound-probe-\(Process.id).sock"
        let control = try UnixSocket.listen(path: path)
        defer { _ = unlink(path) }
        var tap = PodNetworkSettings.TapSettings()
        tap.mtu = mtu
        tap.hostAccess = hostAccess
        let settings = PodNetworkSettings(tap: tap)

        let pod = try checked(samara_fork())
        if pod == 0 {
            _ = close(keeper.second.raw)
            _ = close(ready.first.raw)
            do { try live(settings, keeper.first.raw, ready.second.raw, relay, body) } catch {
                Check.fail("pod: \(error)")
            }
            Process.exitNow(Check.failures == 0 ? 0 : 1)
        }
        _ = waitReadable(ready.first.raw)
        let net = try spawn(samaraNet, ["mypod"], [keeper.second.raw, control.raw, starter.second.raw])
        _ = dup2(2, starter.second.raw)
        _ = dup2(2, keeper.second.raw)
        let client = NetClient(starter: OwnedFD(try checked(samara_fcntl(starter.first.raw, F_DUPFD_CLOEXEC, 3))))
        var configuration = settings.netConfiguration(podName: "mypod")
        configuration.outbound?.nameServers = nameServers
        try client.configure(configuration)
        try UnixSocket.send(ready.first.raw, [1])
        if try Process.wait(pid: pod) != .exited(0) { Check.fail("the pod's checks") }
        _ = dup2(2, keeper.first.raw)
        Check.equal(try Process.wait(pid: net), .exited(0), "samara-net after its pod")
    }

    /// The keeper in one process, the checks in another one of the same namespace.
    private static func live(
        _ settings: PodNetworkSettings, _ keeper: Int32, _ ready: Int32, _ relay: LossyRelay?, _ body: () -> Void
    ) throws {
        try Namespace.enter()
        guard let tap = try PodNetwork.configure(settings) else { return Check.fail("no tap") }
        let link: OwnedFD
        if let relay { link = try relay.start(tap) } else { link = tap }
        var mint = SocketMint(tap: link)
        try UnixSocket.send(ready, [1])
        let client = try checked(samara_fork())
        if client == 0 {
            if waitReadable(ready, milliseconds: 10_000) { body() } else { Check.fail("samara-net is not ready") }
            Process.exitNow(Check.failures == 0 ? 0 : 1)
        }
        while true {
            if waitReadable(keeper, milliseconds: 20), try mint.serve(socketFD: keeper) == .peerClosed { return }
            var status: Int32 = 0
            if waitpid(client, &status, WNOHANG) == client {
                if status != 0 { Check.failures += 1 }
                return
            }
        }
    }
}
