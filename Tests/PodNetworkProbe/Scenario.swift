// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import PodNetwork
import SystemPackage

/// A running pod as the engine sees it.
struct RunningPod {
    var keeper: Int32
    var net: Int32
    var control: String
    var ports: [PublishedPort]
    var listeners: [PublishedListener]
}

enum Scenario {
    private static let published = [
        PublishedPort(hostIP: "", hostPort: 0, containerPort: 80, protocol: .tcp),
        PublishedPort(hostIP: "", hostPort: 0, containerPort: 53, protocol: .udp),
        PublishedPort(hostIP: "", hostPort: 0, containerPort: 81, protocol: .tcp),
        PublishedPort(hostIP: "", hostPort: 0, containerPort: 82, protocol: .tcp),
    ]

    /// The steps of the engine.
    private static func start(_ samaraNet: String, _ directory: String) throws -> RunningPod {
        let keeper = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let starter = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let path = "\(directory)/net.sock"
        let control = try UnixSocket.listen(path: path)
        let pod = try PodProcess.start(keeper: keeper.first, net: keeper.second)
        // After the pod's process, which would otherwise hold the ports too.
        let bound = try BoundPorts(binding: published)
        let net = try spawn(samaraNet, ["mypod"], [keeper.second.raw, control.raw, starter.second.raw])
        _ = dup2(2, starter.second.raw)  // Only the child has the other end: its death is an end of file here.
        _ = dup2(2, keeper.second.raw)
        let client = NetClient(starter: OwnedFD(try checked(samara_fcntl(starter.first.raw, F_DUPFD_CLOEXEC, 3))))
        try client.configure(
            PodNetworkSettings().netConfiguration(podName: "mypod"), listeners: bound.listeners,
            descriptors: bound.descriptors)
        return RunningPod(keeper: pod, net: net, control: path, ports: bound.ports, listeners: bound.listeners)
    }

    static func stop(_ samaraNet: String, _ directory: String) throws {
        let pod = try start(samaraNet, directory)
        try confinement(pod)
        try addresses(pod)
        try livePorts(pod)
        let client = try NetClient.connect(path: pod.control)
        let statistics = try client.statistics()
        Check.equal(statistics.tcpAccepted >= 4, true, "connections counted: \(statistics)")
        Check.equal(statistics.tcpRefused, 1, "refusals")
        let open = try connect(nil, ProcessProbe.hostIPv4, pod.ports[0].hostPort)
        Check.equal(try read(open.raw).text.isEmpty, false, "an open connection")
        try client.stop()
        // The answer means that the ports are free, before the process has ended.
        let again = try BoundPorts(binding: pod.ports)
        Check.equal(again.descriptors.count, pod.ports.count, "ports free after stop")
        Check.equal(try Process.wait(pid: pod.net), .exited(0), "samara-net after stop")
        Check.equal(try read(open.raw).error, .connectionReset, "open connection after stop")
        Check.equal(try Process.wait(pid: pod.keeper), .exited(0), "keeper after samara-net")
    }

    static func podEnds(_ samaraNet: String, _ directory: String) throws {
        let pod = try start(samaraNet, directory)
        let open = try connect(nil, ProcessProbe.hostIPv4, pod.ports[0].hostPort)
        Check.equal(try read(open.raw).text.isEmpty, false, "an open connection")
        _ = kill(pod.keeper, SIGKILL)
        _ = try Process.wait(pid: pod.keeper)
        Check.equal(try Process.wait(pid: pod.net), .exited(0), "samara-net after its pod")
        // The dying service's own end (FIN) may come before the reset, as it would without a forwarder.
        let end = try read(open.raw)
        Check.equal(end.text, "", "open connection after the pod")
        Check.equal(
            end.error == nil || end.error == .connectionReset, true, "its end: \(String(describing: end.error))")
        do {
            _ = try NetClient.connect(path: pod.control)
            Check.fail("connected to a samara-net that has ended")
        } catch { Check.equal(error.cause, .gone, "connect after the end") }
    }

    /// A samara-net that cannot have its tap says so.
    static func refusal(_ samaraNet: String, _ directory: String) throws {
        let keeper = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let starter = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        let control = try UnixSocket.listen(path: "\(directory)/refusal.sock")
        let net = try spawn(samaraNet, ["mypod"], [keeper.second.raw, control.raw, starter.second.raw])
        _ = dup2(2, starter.second.raw)
        let keeperCopy = keeper.first.raw
        _ = shutdown(keeperCopy, 2)
        let client = NetClient(starter: OwnedFD(try checked(samara_fcntl(starter.first.raw, F_DUPFD_CLOEXEC, 3))))
        do {
            try client.configure(PodNetworkSettings().netConfiguration(podName: "mypod"))
            Check.fail("configured without a keeper")
        } catch { Check.equal(error.cause, .refused, "cause of \(error.message)") }
        Check.equal(try Process.wait(pid: net), .exited(1), "samara-net without a keeper")
    }

    // MARK: Steps

    private static func confinement(_ pod: RunningPod) throws {
        let status = String(decoding: try File.read("/proc/\(pod.net)/status"), as: UTF8.self)
        for line in [
            "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Threads:\t1", "Seccomp:\t2",
        ] {
            Check.equal(status.contains(line), true, line)
        }
    }

    private static func addresses(_ pod: RunningPod) throws {
        let (tcp, udp, hidden, ipv4Only) = (pod.ports[0], pod.ports[1], pod.ports[2], pod.ports[3])
        let loopbackIPv4 = IPAddress(ipv4: 0x7f00_0001)
        let loopbackIPv6 = IPAddress(high: 0, low: 1)
        let cases: [(source: IPAddress?, target: IPAddress, seen: String)] = [
            (ProcessProbe.clientIPv4, ProcessProbe.hostIPv4, "198.51.100.7"),
            (ProcessProbe.clientIPv6, ProcessProbe.hostIPv6, "2001:db8::7"),
            (nil, loopbackIPv4, "10.0.2.2"), (nil, loopbackIPv6, "fd00::2"),
        ]
        for (source, target, seen) in cases {
            let client = try connect(source, target, tcp.hostPort)
            let port = try Socket.localAddress(client.raw).port
            Check.equal(try read(client.raw).text, "\(seen) \(port)", "TCP client of \(target)")
            let sender = try Socket.make(family: target.isIPv4 ? AF_INET : AF_INET6, .udp)
            try Socket.bind(sender.raw, SocketAddress(source ?? target, port: 0))
            _ = Socket.connect(sender.raw, SocketAddress(target, port: udp.hostPort))
            let senderPort = try Socket.localAddress(sender.raw).port
            for _ in 0..<2 {
                _ = samara_send_with_fds(sender.raw, "?", 1, nil, 0, 0)
                Check.equal(try read(sender.raw).text, "\(seen) \(senderPort)", "UDP client of \(target)")
            }
        }
        let refused = try connect(nil, loopbackIPv4, hidden.hostPort)
        Check.equal(try read(refused.raw).error, .connectionReset, "a service on the pod's loopback")
        let fallback = try connect(ProcessProbe.clientIPv6, ProcessProbe.hostIPv6, ipv4Only.hostPort)
        Check.equal(try read(fallback.raw).text.hasPrefix("10.0.2.2 "), true, "IPv6 client of an IPv4 service")
    }

    private static func livePorts(_ pod: RunningPod) throws {
        let client = try NetClient.connect(path: pod.control)
        let more = try BoundPorts(
            binding: [PublishedPort(hostIP: "127.0.0.1", hostPort: 0, containerPort: 80, protocol: .tcp)])
        try client.publish(more.listeners, descriptors: more.descriptors)
        let port = more.ports[0].hostPort
        let target = IPAddress(ipv4: 0x7f00_0001)
        let live = try connect(nil, target, port)
        Check.equal(try read(live.raw).text.hasPrefix("10.0.2.2 "), true, "a live port")
        do {
            try client.publish(more.listeners, descriptors: more.descriptors)
            Check.fail("published twice")
        } catch { Check.equal(error.cause, .refused, "publishing twice") }
        try client.unpublish(more.listeners)
        do {
            try client.unpublish(more.listeners)
            Check.fail("unpublished twice")
        } catch { Check.equal(error.cause, .refused, "unpublishing twice") }
    }

    // MARK: Clients

    private static func connect(_ source: IPAddress?, _ target: IPAddress, _ port: UInt16) throws -> OwnedFD {
        let socket = try Socket.make(family: target.isIPv4 ? AF_INET : AF_INET6, .tcp)
        if let source { try Socket.bind(socket.raw, SocketAddress(source, port: 0)) }
        if case .failed(let error) = Socket.connect(socket.raw, SocketAddress(target, port: port)) { throw error }
        return socket
    }

    /// The next data, or how the connection ended.
    private static func read(_ socket: Int32) throws -> (text: String, error: Errno?) {
        if !waitReadable(socket) { return ("nothing", .timedOut) }
        var buffer = [UInt8](repeating: 0, count: 200)
        return buffer.withUnsafeMutableBytes {
            switch Transfer.receive(socket, into: $0) {
            case .bytes(let count): (String(decoding: $0[..<count], as: UTF8.self), nil)
            case .endOfFile: ("", nil)
            case .wouldBlock: ("nothing", .wouldBlock)
            case .failed(let error): ("", error)
            }
        }
    }
}
