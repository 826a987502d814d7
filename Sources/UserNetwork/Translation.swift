// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetControl
import NetStack
import SystemPackage

// The borders of the pod's network: what the stack is told about it, what the pod may reach, and which of its
// addresses stand for others on the host.

extension IPAddress {
    init(_ address: InternetAddress) { self.init(high: address.high, low: address.low) }

    static var loopbackIPv4: IPAddress { IPAddress(ipv4: 0x7f00_0001) }
    static var loopbackIPv6: IPAddress { IPAddress(high: 0, low: 1) }
}

extension InternetAddress {
    init(_ address: IPAddress) { self.init(high: address.high, low: address.low) }
}

extension NetConfiguration {
    /// The port of name servers.
    static var nameService: UInt16 { 53 }

    func stack(_ outbound: OutboundConfiguration, hasSegmentationOffload: Bool) -> Configuration {
        var random = SystemRandomNumberGenerator()
        var subnetIPv6: Configuration.Subnet?
        if let podIPv6, let gatewayIPv6, let nameServer = outbound.nameServerIPv6 {
            subnetIPv6 = .init(
                prefix: InternetPrefix(InternetAddress(podIPv6), Int(outbound.prefixLengthIPv6)),
                gateway: InternetAddress(gatewayIPv6), dns: InternetAddress(nameServer))
        }
        var stack = Configuration(
            mtu: Int(outbound.mtu), virtioHeaderLength: 10, hasSegmentationOffload: hasSegmentationOffload,
            gatewayMAC: MACAddress(outbound.gatewayHardwareAddress),
            ipv4: .init(
                prefix: InternetPrefix(InternetAddress(podIPv4), Int(outbound.prefixLengthIPv4)),
                gateway: InternetAddress(gatewayIPv4), dns: InternetAddress(outbound.nameServerIPv4)),
            ipv6: subnetIPv6, key: HashKey(random.next(), random.next()))
        stack.guestMAC = MACAddress(outbound.podHardwareAddress)
        return stack
    }

    /// Name service and opened ports first, then the pod's network, which leads nowhere else, then the host.
    func policy(_ outbound: OutboundConfiguration, hostAddresses: [IPAddress]) -> DestinationPolicy {
        var rules = outbound.hostAccess.compactMap { access in
            access.address.map { address in
                DestinationPolicy.Rule(
                    InternetPrefix(InternetAddress(address), address.isIPv4 ? 32 : 128), .allow,
                    protocols: [.tcp, .udp], ports: access.first...access.last)
            }
        }
        let families = [
            (podIPv4, gatewayIPv4, outbound.nameServerIPv4, Int(outbound.prefixLengthIPv4)) as FamilyAddresses?,
            podIPv6.flatMap { pod in
                gatewayIPv6.flatMap { gateway in
                    outbound.nameServerIPv6.map { (pod, gateway, $0, Int(outbound.prefixLengthIPv6)) }
                }
            },
        ]
        for case let (pod, gateway, nameServer, length)? in families {
            let bits = pod.isIPv4 ? 32 : 128
            let server = InternetPrefix(InternetAddress(nameServer), bits)
            rules.append(
                .init(server, .allow, protocols: [.tcp, .udp], ports: Self.nameService...Self.nameService))
            let host = InternetPrefix(InternetAddress(gateway), bits)
            for access in outbound.hostAccess where access.address == nil {
                rules.append(.init(host, .allow, protocols: [.tcp, .udp], ports: access.first...access.last))
            }
            rules.append(.init(server, .refuse))
            rules.append(.init(host, .refuse))
            rules.append(.init(InternetPrefix(InternetAddress(pod), length), .hostUnreachable))
        }
        return .protectingHost(exceptions: rules, hostAddresses: hostAddresses.map(InternetAddress.init))
    }

    private typealias FamilyAddresses = (pod: IPAddress, gateway: IPAddress, nameServer: IPAddress, length: Int)
}

extension UserNetwork {
    func isNameServer(_ endpoint: InternetEndpoint) -> Bool {
        let address = IPAddress(endpoint.address)
        return endpoint.port == NetConfiguration.nameService
            && (address == outbound.nameServerIPv4 || address == outbound.nameServerIPv6)
    }

    /// Where on the host's side a destination of the pod is; nil when it leads nowhere.
    mutating func translate(_ destination: InternetEndpoint) -> SocketAddress? {
        if isNameServer(destination) {
            guard let server = resolvers.current else { return nil }
            return SocketAddress(server, port: NetConfiguration.nameService)
        }
        let address = IPAddress(destination.address)
        if address == configuration.gatewayIPv4 { return SocketAddress(.loopbackIPv4, port: destination.port) }
        if address == configuration.gatewayIPv6 { return SocketAddress(.loopbackIPv6, port: destination.port) }
        return SocketAddress(address, port: destination.port)
    }

    /// Who the pod believes to be talking to: the reverse of `translate` for a mapping.
    func translateBack(_ peer: SocketAddress, _ mapping: HostMapping) -> InternetEndpoint {
        let isIPv4 = mapping.isPodIPv4
        let ip = peer.ip
        if mapping.usesResolver, peer.port == NetConfiguration.nameService, resolvers.contains(ip) {
            let server = isIPv4 ? outbound.nameServerIPv4 : outbound.nameServerIPv6 ?? outbound.nameServerIPv4
            return InternetEndpoint(InternetAddress(server), peer.port)
        }
        if ip.isLoopback {
            let gateway = isIPv4 ? configuration.gatewayIPv4 : configuration.gatewayIPv6 ?? configuration.gatewayIPv4
            return InternetEndpoint(InternetAddress(gateway), peer.port)
        }
        return InternetEndpoint(InternetAddress(ip), peer.port)
    }

    /// The host's resolv.conf may have changed. Only the keeper can open it; its answer comes through the forwarder.
    func askForResolvers() {
        resolverWatch?.clear()
        var bytes = [UInt8](repeating: 0, count: KeeperRequest.size)
        bytes.withUnsafeMutableBytes { KeeperRequest(.resolverFile).encode(into: $0) }
        // A keeper that does not listen is noticed by the forwarder; the servers stay those that were known.
        _ = try? UnixSocket.send(keeper, bytes)
    }

    package mutating func resolversArrived(_ file: consuming OwnedFD?) {
        var length = 0
        if let file {
            let space = datagrams.count
            while length < space,
                case .bytes(let count) = Transfer.read(
                    file.raw, into: UnsafeMutableRawBufferPointer(rebasing: datagrams[length...]))
            { length += count }
        }
        let text = String(decoding: datagrams[..<length], as: UTF8.self)
        resolvers.replace(by: Resolvers.parse(text))
    }

    /// The host's addresses may have changed.
    mutating func refreshAddresses() {
        let known = host.addresses
        host.refresh()
        if host.addresses == known { return }
        stack.policy = configuration.policy(outbound, hostAddresses: host.addresses)
    }
}

extension Errno {
    /// What a pod's kernel is told about a failed connect or datagram; nil: a reset, or for a datagram a closed port.
    var report: ICMPError? {
        switch self {
        case .connectionRefused, .timedOut, .connectionReset: nil
        case .networkUnreachable, .networkDown: .networkUnreachable
        case .permissionDenied, .notPermitted: .adminProhibited
        default: .hostUnreachable
        }
    }
}
