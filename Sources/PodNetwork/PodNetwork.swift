// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// The part of a pod's network that must run inside its namespaces, in the keeper, with the full capabilities of the
// pod's user namespace: `PodNetwork.configure` builds the namespace once, `SocketMint` makes sockets in it on request.
// The engine's part is here too, because both speak of the same things: `PublishedPort` is what a user writes after
// `-p`, `PortBinding` makes host sockets of it.
//
//      lo     127.0.0.1, ::1                                     up
//      tap0   10.0.2.100/24, fd00::100/64, MTU 65520             up, default routes via 10.0.2.2 and fd00::2
//      rules  fwmark 0x53         → table 100: local default dev lo        TCP: answers to a client's true address
//             udp sport <port>    → table 101: local <client> dev lo       UDP: the same, client by client
//
// How a published port keeps the client's address without netfilter: samara-net connects with a socket of this
// namespace that is bound to the client's address (IP_TRANSPARENT) and marked (SO_MARK). The packets travel over lo,
// where the mark survives, and tcp_fwmark_accept gives it to the accepted socket, so the answers match the rule and
// come back over lo as well. A datagram socket of a service has no accepted socket to mark; for it the rule matches
// the service's port, and the table holds just the clients of the moment: what the service sends to anybody else
// from the same port takes the tap as usual.
//
// Everything here is done once per pod, or once per batch of sockets; nothing is on the path of a packet.
import LinuxSystem
import NetControl
import SystemPackage

/// What a pod's network namespace shall look like. The defaults are the addresses that rootless containers are used to.
public struct PodNetworkSettings: Equatable, Sendable {
    /// An address family on the tap.
    public struct Family: Equatable, Sendable {
        public var address: IPAddress
        public var prefixLength: UInt8
        public var gateway: IPAddress
        /// The name server's address; nobody but samara-net answers there.
        public var nameServer: IPAddress

        public init(address: IPAddress, prefixLength: UInt8, gateway: IPAddress, nameServer: IPAddress) {
            self.address = address
            self.prefixLength = prefixLength
            self.gateway = gateway
            self.nameServer = nameServer
        }
    }

    public struct TapSettings: Equatable, Sendable {
        public var name = "tap0"
        /// Bytes, 1280 (RFC 8200 §5) to 65520.
        public var mtu: UInt32 = 65520
        /// The pod's own hardware address on the tap.
        public var hardwareAddress: [UInt8] = [0x02, 0x00, 0x0a, 0x00, 0x02, 0x64]
        /// The hardware address of gateway and name server: the other end of the tap.
        public var gatewayHardwareAddress: [UInt8] = [0x02, 0x00, 0x0a, 0x00, 0x02, 0x02]
        /// 10.0.2.100/24 behind 10.0.2.2.
        public var ipv4 = Family(
            address: IPAddress(ipv4: 0x0a00_0264), prefixLength: 24, gateway: IPAddress(ipv4: 0x0a00_0202),
            nameServer: IPAddress(ipv4: 0x0a00_0203))
        /// fd00::100/64 behind fd00::2; nil for a pod without IPv6. Left out by itself on a kernel without IPv6.
        public var ipv6: Family? = Family(
            address: IPAddress(high: 0xfd00 << 48, low: 0x100), prefixLength: 64,
            gateway: IPAddress(high: 0xfd00 << 48, low: 2), nameServer: IPAddress(high: 0xfd00 << 48, low: 3))

        /// What the pod reaches of the host.
        public var hostAccess: [OutboundConfiguration.HostAccess] = []
        /// Source addresses of the pod's connections; nil: the host's routing decides.
        public var sourceIPv4: IPAddress?
        public var sourceIPv6: IPAddress?

        public init() {}

        /// What samara-net must know to be the tap's other end.
        func outbound(hasIPv6: Bool) -> OutboundConfiguration {
            func number(_ address: [UInt8]) -> UInt64 { address.reduce(0) { $0 << 8 | UInt64($1) } }
            var outbound = OutboundConfiguration(
                nameServerIPv4: ipv4.nameServer, nameServerIPv6: hasIPv6 ? ipv6?.nameServer : nil)
            outbound.mtu = mtu
            outbound.podHardwareAddress = number(hardwareAddress)
            outbound.gatewayHardwareAddress = number(gatewayHardwareAddress)
            outbound.prefixLengthIPv4 = ipv4.prefixLength
            outbound.prefixLengthIPv6 = ipv6?.prefixLength ?? 64
            outbound.hostAccess = hostAccess
            outbound.sourceIPv4 = sourceIPv4
            outbound.sourceIPv6 = sourceIPv6
            return outbound
        }
    }

    /// Nil for `--network none`: a namespace with lo and nothing else.
    public var tap: TapSettings?

    public init(tap: TapSettings? = TapSettings()) { self.tap = tap }

    /// What samara-net must know about a pod with these settings.
    public func netConfiguration(podName: String) -> NetConfiguration {
        let tap = tap ?? TapSettings()
        let hasIPv6 = self.tap != nil && PodNetwork.kernelHasIPv6
        return NetConfiguration(
            podName: podName, podIPv4: tap.ipv4.address, podIPv6: hasIPv6 ? tap.ipv6?.address : nil,
            gatewayIPv4: tap.ipv4.gateway, gatewayIPv6: hasIPv6 ? tap.ipv6?.gateway : nil,
            outbound: self.tap?.outbound(hasIPv6: hasIPv6))
    }
}

/// A pod network that could not be built. `message` is one sentence with the remedy where one is known.
public struct PodNetworkError: Error, Equatable, Sendable {
    /// Nil when the request itself was wrong.
    public var errno: Errno?
    public var message: String

    public init(errno: Errno? = nil, _ message: String) {
        self.errno = errno
        self.message = message
    }
}
