// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetControl

/// What follows `host-access=`: `5432` and `8000-8999` are ports of the host's loopback, reached at the gateway's address;
/// `192.168.1.5:5432` and `[2001:db8::5]:80` are ports of another address that is closed otherwise, reached by itself.
enum HostAccessOption {
    typealias Access = OutboundConfiguration.HostAccess

    /// Whether `text` is a port or an address with a port, so that it continues a list of them.
    static func isAccess(_ text: String) -> Bool { (try? parse(text)) != nil }

    static func parse(_ text: String) throws(PodNetworkError) -> Access {
        if let access = ports(text) { return access }
        guard let colon = text.lastIndex(of: ":") else {
            throw PodNetworkError(
                "invalid host-access port \"\(text)\": must be PORT or FIRST-LAST, 1 to 65535, behind an address and a colon or without one"
            )
        }
        var host = String(text[..<colon])
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = String(host.dropFirst().dropLast()) }
        guard var access = ports(String(text[text.index(after: colon)...])), let address = IPAddress(host),
            host.contains(":") == isBracketed
        else {
            throw PodNetworkError(
                "invalid host-access \"\(text)\": must be PORT, ADDRESS:PORT or [IPV6]:PORT; FIRST-LAST for a range of ports"
            )
        }
        if address.isLoopback || address.isUnspecified {
            throw PodNetworkError(
                "invalid host-access address \(address): the host's loopback is reached at the gateway; give the port alone"
            )
        }
        if address.isMulticastOrBroadcast || (!address.isIPv4 && address.isLinkLocal) {
            throw PodNetworkError(
                "invalid host-access address \(address): groups and addresses of one link of IPv6 cannot be reached from a pod"
            )
        }
        access.address = address
        return access
    }

    /// `PORT` or `FIRST-LAST`.
    static func ports(_ text: String) -> Access? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) ?? 0 }
        guard ends.count == 1 || ends.count == 2, let first = ends.first, let last = ends.last, first >= 1,
            last >= first
        else { return nil }
        return Access(first, last)
    }

    /// An address of the pod's own network is nowhere on the host.
    static func check(_ settings: PodNetworkSettings.TapSettings) throws(PodNetworkError) {
        for case let address? in settings.hostAccess.map(\.address) {
            for case let family? in [settings.ipv4, settings.ipv6] where isInside(address, family) {
                throw PodNetworkError(
                    "invalid host-access address \(address): it is in the pod's own network; the host's loopback is reached at \(family.gateway): give the port alone"
                )
            }
        }
    }

    private static func isInside(_ address: IPAddress, _ family: PodNetworkSettings.Family) -> Bool {
        if address.isIPv4 != family.address.isIPv4 { return false }
        if address.isIPv4 {
            return (address.ipv4 ^ family.address.ipv4) >> (32 - UInt32(family.prefixLength)) == 0
        }
        // The prefix is never longer than 64 bits: it leaves room for interface identifiers.
        return (address.high ^ family.address.high) >> (64 - UInt64(min(64, family.prefixLength))) == 0
    }
}
