// SPDX-License-Identifier: Apache-2.0
import CLinux

/// An AF_INET or AF_INET6 socket address in the kernel's form: ip(7), ipv6(7).
///
/// The larger structure holds both families (`sockaddr_in` is a prefix of the same memory), so passing one to the
/// kernel copies nothing and allocates nothing.
public struct SocketAddress: Sendable {
    package var raw = sockaddr_in6()

    package init(raw: sockaddr_in6) { self.raw = raw }

    /// `port` in host order. `scope` is the interface of a link-local IPv6 address.
    /// `mapped` keeps an IPv4 address in an AF_INET6 structure, as a dual-stack socket wants it.
    public init(_ ip: IPAddress, port: UInt16, scope: UInt32 = 0, mapped: Bool = false) {
        raw.sin6_port = port.bigEndian
        if ip.isIPv4, !mapped {
            raw.sin6_family = sa_family_t(AF_INET)
            // sin_addr of sockaddr_in lies where sin6_flowinfo does.
            raw.sin6_flowinfo = ip.ipv4.bigEndian
        } else {
            raw.sin6_family = sa_family_t(AF_INET6)
            raw.sin6_addr = ip.raw
            raw.sin6_scope_id = scope
        }
    }

    /// AF_INET or AF_INET6.
    public var family: Int32 { Int32(raw.sin6_family) }

    /// Host order.
    public var port: UInt16 {
        get { UInt16(bigEndian: raw.sin6_port) }
        set { raw.sin6_port = newValue.bigEndian }
    }

    /// The address; IPv4 also when it is v4-mapped in an AF_INET6 structure.
    public var ip: IPAddress {
        family == AF_INET ? IPAddress(ipv4: UInt32(bigEndian: raw.sin6_flowinfo)) : IPAddress(raw.sin6_addr)
    }

    public var scope: UInt32 { family == AF_INET6 ? raw.sin6_scope_id : 0 }
}

extension SocketAddress: CustomStringConvertible {
    public var description: String { ip.isIPv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)" }
}
