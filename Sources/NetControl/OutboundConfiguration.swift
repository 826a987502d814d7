// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// What samara-net must know to be the other end of the pod's tap.
public struct OutboundConfiguration: Equatable, Sendable {
    /// Ports of the host that the pod may reach with TCP and UDP, both ends included.
    public struct HostAccess: Equatable, Sendable {
        public var first: UInt16
        public var last: UInt16
        /// Nil: the host's loopback, which the pod reaches at the gateway's address. Otherwise an address that the policy
        /// closes (the host's own, link-local, a metadata service), which the pod reaches by itself.
        public var address: IPAddress?

        public init(_ first: UInt16, _ last: UInt16, at address: IPAddress? = nil) {
            self.first = first
            self.last = last
            self.address = address
        }
    }

    /// Bytes, 1280 to 65520.
    public var mtu: UInt32 = 65520
    /// Hardware addresses in the low 48 bits, first octet uppermost.
    public var podHardwareAddress: UInt64 = 0
    public var gatewayHardwareAddress: UInt64 = 0
    public var prefixLengthIPv4: UInt8 = 24
    public var prefixLengthIPv6: UInt8 = 64
    /// Where the pod finds a name server on port 53.
    public var nameServerIPv4: IPAddress
    public var nameServerIPv6: IPAddress?
    /// What the pod reaches of the host; nothing else of it is reachable.
    public var hostAccess: [HostAccess] = []
    /// Source addresses of the pod's connections; nil: the host's routing decides.
    public var sourceIPv4: IPAddress?
    public var sourceIPv6: IPAddress?
    /// The servers that queries go to; empty: those of the host's /etc/resolv.conf.
    public var nameServers: [IPAddress] = []

    public init(nameServerIPv4: IPAddress, nameServerIPv6: IPAddress?) {
        self.nameServerIPv4 = nameServerIPv4
        self.nameServerIPv6 = nameServerIPv6
    }

    func encode(_ writer: inout MessageWriter) {
        writer.put(mtu)
        writer.put(podHardwareAddress)
        writer.put(gatewayHardwareAddress)
        writer.put(prefixLengthIPv4)
        writer.put(prefixLengthIPv6)
        writer.put(nameServerIPv4)
        writer.put(nameServerIPv6)
        writer.put(sourceIPv4)
        writer.put(sourceIPv6)
        writer.put(UInt8(clamping: hostAccess.count))
        for range in hostAccess.prefix(255) {
            writer.put(range.first)
            writer.put(range.last)
            writer.put(range.address)
        }
        writer.put(UInt8(clamping: nameServers.count))
        for server in nameServers.prefix(255) { writer.put(server) }
    }

    init?(_ reader: inout MessageReader) {
        guard let mtu = reader.take(UInt32.self), (1280...65520).contains(mtu),
            let pod = reader.take(UInt64.self), let gateway = reader.take(UInt64.self),
            let four = reader.take(UInt8.self), four <= 32, let six = reader.take(UInt8.self), six <= 128,
            let nameServerIPv4 = reader.takeAddress(), let nameServerIPv6 = reader.takeOptionalAddress(),
            let sourceIPv4 = reader.takeOptionalAddress(), let sourceIPv6 = reader.takeOptionalAddress(),
            let rangeCount = reader.take(UInt8.self)
        else { return nil }
        self.init(nameServerIPv4: nameServerIPv4, nameServerIPv6: nameServerIPv6)
        self.mtu = mtu
        podHardwareAddress = pod
        gatewayHardwareAddress = gateway
        prefixLengthIPv4 = four
        prefixLengthIPv6 = six
        self.sourceIPv4 = sourceIPv4
        self.sourceIPv6 = sourceIPv6
        for _ in 0..<rangeCount {
            guard let first = reader.take(UInt16.self), let last = reader.take(UInt16.self), first <= last,
                let address = reader.takeOptionalAddress()
            else { return nil }
            hostAccess.append(HostAccess(first, last, at: address))
        }
        guard let serverCount = reader.take(UInt8.self) else { return nil }
        for _ in 0..<serverCount {
            guard let server = reader.takeAddress() else { return nil }
            nameServers.append(server)
        }
    }
}
