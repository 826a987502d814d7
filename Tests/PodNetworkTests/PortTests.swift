// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage
import Testing

@testable import PodNetwork

@Suite struct PortSpecificationTests {
    typealias Port = PublishedPort

    static let good: [(String, [Port])] = [
        ("80", [Port(hostIP: "", hostPort: 0, containerPort: 80, protocol: .tcp)]),
        (":80", [Port(hostIP: "", hostPort: 0, containerPort: 80, protocol: .tcp)]),
        ("8080:80", [Port(hostIP: "", hostPort: 8080, containerPort: 80, protocol: .tcp)]),
        ("8080:80/udp", [Port(hostIP: "", hostPort: 8080, containerPort: 80, protocol: .udp)]),
        ("8080:80/UDP", [Port(hostIP: "", hostPort: 8080, containerPort: 80, protocol: .udp)]),
        (
            "53:53/tcp,udp",
            [
                Port(hostIP: "", hostPort: 53, containerPort: 53, protocol: .tcp),
                Port(hostIP: "", hostPort: 53, containerPort: 53, protocol: .udp),
            ]
        ),
        ("127.0.0.1:8080:80", [Port(hostIP: "127.0.0.1", hostPort: 8080, containerPort: 80, protocol: .tcp)]),
        ("127.0.0.1::80", [Port(hostIP: "127.0.0.1", hostPort: 0, containerPort: 80, protocol: .tcp)]),
        ("0.0.0.0:1:2", [Port(hostIP: "0.0.0.0", hostPort: 1, containerPort: 2, protocol: .tcp)]),
        ("[::1]:8080:80", [Port(hostIP: "::1", hostPort: 8080, containerPort: 80, protocol: .tcp)]),
        ("[2001:DB8:0:0::1]::80/udp", [Port(hostIP: "2001:db8::1", hostPort: 0, containerPort: 80, protocol: .udp)]),
        ("8000-8002:80-82", [Port(hostIP: "", hostPort: 8000, containerPort: 80, range: 3, protocol: .tcp)]),
        ("80-82", [Port(hostIP: "", hostPort: 0, containerPort: 80, range: 3, protocol: .tcp)]),
        ("65535:65535", [Port(hostIP: "", hostPort: 65535, containerPort: 65535, protocol: .tcp)]),
        ("1-65535:1-65535", [Port(hostIP: "", hostPort: 1, containerPort: 1, range: 65535, protocol: .tcp)]),
    ]

    @Test(arguments: good) func isParsed(text: String, expected: [Port]) throws {
        #expect(try PublishedPort.parse(text) == expected)
    }

    static let bad: [(String, String)] = [
        ("", "must provide a non-empty container port to publish"),
        ("8080:", "must provide a non-empty container port to publish"),
        ("8080:0", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 0"),
        ("0:80", "parsing host port: port numbers must be between 1 and 65535 (inclusive), got 0"),
        ("65536:80", "parsing host port: port numbers must be between 1 and 65535 (inclusive), got 65536"),
        ("80:65536", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 65536"),
        ("a:80", "parsing host port: invalid port number: strconv.Atoi: parsing \"a\": invalid syntax"),
        (
            "8080:8\u{661}",
            "parsing container port: invalid port number: strconv.Atoi: parsing \"8\u{661}\": invalid syntax"
        ),
        (
            "99999999999999999999:80",
            "parsing host port: invalid port number: strconv.Atoi: parsing \"99999999999999999999\": value out of range"
        ),
        ("-1:80", "parsing host port: port numbers cannot be negative"),
        ("80-:80", "parsing host port: must provide ending number for port range"),
        (
            "82-80:1-3",
            "parsing host port: the end port of a range must be higher than the start port - 80 is not higher than 82"
        ),
        ("1-2-3:80", "parsing host port: invalid port format - port ranges are formatted as startPort-stopPort"),
        ("8000-8001:80", "host and container port ranges have different lengths: 2 vs 1"),
        ("80/tcp/udp", "invalid port format - protocol can only be specified once"),
        ("80/", "must provide a non-empty protocol to publish"),
        ("80/sctp", "cannot publish an SCTP port: only tcp and udp can be published"),
        ("80/icmp", "unrecognized protocol \"icmp\" in port mapping"),
        ("1:2:3:4", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
        (":8080:80", "must provide a non-empty container host IP to publish"),
        ("localhost:8080:80", "cannot parse \"localhost\" as an IP address"),
        ("127.0.0.01:8080:80", "cannot parse \"127.0.0.01\" as an IP address"),
        ("::1:8080:80", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
        ("::1]:8080:80", "invalid port format - IPv6 addresses must be enclosed by []"),
        ("[::1]8080:80", "invalid port format - IPv6 address must be followed by a colon (':')"),
        ("[::1]:80", "invalid port format - must provide host and destination port if specifying an IP"),
        ("[::1]:1:2:3", "invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort"),
        ("[::1]:[::2]:80", "invalid port format - at most one IPv6 address can be specified in a --publish"),
    ]

    @Test(arguments: bad) func isRefused(text: String, message: String) {
        #expect(throws: PortSpecificationError(message)) { _ = try PublishedPort.parse(text) }
    }

    @Test func isPrintedAsInThePortsColumn() throws {
        #expect(try PublishedPort.parse("8080:80")[0].description == "0.0.0.0:8080->80/tcp")
        #expect(try PublishedPort.parse("[::1]:8000-8002:80-82/udp")[0].description == "[::1]:8000-8002->80-82/udp")
    }
}

@Suite(.serialized) struct PortBindingTests {
    private func taken(_ ip: String) throws -> (socket: Int32, port: UInt16) {
        let address = try #require(IPAddress(ip))
        let socket = try Socket.make(family: address.isIPv4 ? AF_INET : AF_INET6, .tcp)
        try Socket.bind(socket.raw, SocketAddress(address, port: 0))
        try Socket.listen(socket.raw, backlog: 1)
        let port = try Socket.localAddress(socket.raw).port
        return (socket.release(), port)
    }

    @Test func withoutAnAddressBothFamiliesAreServed() throws {
        let ports = try BoundPorts(
            binding: [PublishedPort(hostIP: "", hostPort: 0, containerPort: 80, protocol: .tcp)])
        let port = ports.ports[0].hostPort
        #expect(port != 0 && ports.listeners[0].hostPort == port && ports.listeners[0].podPort == 80)
        for (ip, family) in [("127.0.0.1", AF_INET), ("::1", AF_INET6)] {
            let client = try Socket.make(family: family, .tcp)
            let address = try #require(IPAddress(ip))
            _ = Socket.connect(client.raw, SocketAddress(address, port: port))
            #expect(Socket.connect(client.raw, SocketAddress(address, port: port)) == .connected)
        }
    }

    @Test func anExplicitAddressServesItsFamilyOnly() throws {
        let ports = try BoundPorts(
            binding: [PublishedPort(hostIP: "::", hostPort: 0, containerPort: 80, protocol: .tcp)])
        let client = try Socket.make(family: AF_INET, .tcp)
        let address = SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: ports.ports[0].hostPort)
        _ = Socket.connect(client.raw, address)
        #expect(Socket.connect(client.raw, address) == .failed(.connectionRefused))
    }

    @Test func oneTakenPortReleasesTheOthers() throws {
        let (socket, port) = try taken("127.0.0.1")
        defer { _ = close(socket) }
        let free = try taken("127.0.0.1")
        _ = close(free.socket)
        let wanted = [
            PublishedPort(hostIP: "127.0.0.1", hostPort: free.port, containerPort: 80, protocol: .tcp),
            PublishedPort(hostIP: "127.0.0.1", hostPort: port, containerPort: 81, protocol: .tcp),
        ]
        #expect {
            _ = try BoundPorts(binding: wanted)
        } throws: {
            let error = $0 as? PortBindingError
            return error?.errno == .addressInUse && error?.hostPort == port
        }
        let again = try BoundPorts(binding: [wanted[0]])
        #expect(again.descriptors.count == 1)
    }

    @Test func theSentenceNamesPortAddressAndHolder() throws {
        // The holder is another process: one that inherits the socket and outlives its copy here.
        let (socket, port) = try taken("127.0.0.1")
        let holder = PortHolder.find(port, .tcp)
        #expect(holder?.pid == Process.id)
        let wanted = PublishedPort(hostIP: "127.0.0.1", hostPort: port, containerPort: 80, protocol: .tcp)
        let other = BindFailure.sentence(
            wanted, port, .addressInUse, holder: PortHolder(pid: 1234, name: "nginx"))
        #expect(
            other
                == "cannot publish port \(port)/tcp on 127.0.0.1: address already in use (held by process 1234 (nginx))"
        )
        #expect {
            _ = try BoundPorts(binding: [wanted])
        } throws: {
            ($0 as? PortBindingError)?.message == "conflicting port mappings for host port \(port) (protocol tcp)"
        }
        _ = close(socket)
    }

    @Test func privilegedPortsGetPodmansSentence() {
        let wanted = PublishedPort(hostIP: "", hostPort: 80, containerPort: 80, protocol: .tcp)
        let text = BindFailure.sentence(wanted, 80, .permissionDenied, holder: nil)
        let start = (try? File.read("/proc/sys/net/ipv4/ip_unprivileged_port_start")).map {
            String(decoding: $0.dropLast(), as: UTF8.self)
        }
        #expect(
            text
                == "rootlessport cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' "
                + "to /etc/sysctl.conf (currently \(start ?? "1024")), or choose a larger port number (>= \(start ?? "1024")): "
                + "listen tcp 0.0.0.0:80: bind: permission denied")
    }

    @Test func aRangeWithoutAStartIsConsecutive() throws {
        let ports = try BoundPorts(
            binding: [PublishedPort(hostIP: "127.0.0.1", hostPort: 0, containerPort: 100, range: 5, protocol: .udp)])
        #expect(ports.listeners.map(\.podPort) == [100, 101, 102, 103, 104])
        let first = ports.ports[0].hostPort
        #expect(ports.listeners.map(\.hostPort) == (0..<5).map { first + UInt16($0) })
    }

    @Test func theSamePortTwiceIsOnePort() throws {
        let (socket, port) = try taken("127.0.0.1")
        _ = close(socket)
        let wanted = PublishedPort(hostIP: "127.0.0.1", hostPort: port, containerPort: 80, protocol: .tcp)
        let ports = try BoundPorts(binding: [wanted, wanted])
        #expect(ports.ports == [wanted])
        #expect(ports.descriptors.count == 1)
    }

    @Test func findsInodesInTheKernelsTable() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0
               1: 0100007F:1F90 0100007F:8000 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0
               2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0
            """
        #expect(PortHolder.inodes(in: table, 8080, listening: true) == ["4711"])
        #expect(PortHolder.inodes(in: table, 8080, listening: false) == ["4711", "4712"])
        #expect(PortHolder.inodes(in: table, 80, listening: true) == [])
    }
}

@Suite struct GroupRangeTests {
    @Test(arguments: [
        ("         0       1000          1\n", UInt32(0)),
        ("0 1000 1\n1 100000 65536\n", 65536),
        ("1 100000 65536\n0 1000 1\n", 65536),
        ("0 0 4294967295\n", UInt32(Int32.max)),
        ("1 5 10\n", 0), ("", 0),
    ])
    func isTheRunFromZero(map: String, last: UInt32) {
        #expect(PodSysctl.largestMappedGroup(in: map) == last)
    }
}
