// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import Netlink
import SystemPackage

/// The building of a pod's network namespace.
public enum PodNetwork {
    /// Whether the kernel has IPv6 at all (it may be built or booted without).
    public static var kernelHasIPv6: Bool { File.exists("/proc/sys/net/ipv6") }

    /// Configures the network namespace that the process is in. Needs CAP_NET_ADMIN in the user namespace that owns it
    /// and a /proc with this user's view of /proc/sys/net.
    ///
    /// - Returns: the tap's descriptor, for `SocketMint`; the device vanishes when the last copy is closed.
    ///   Nil without a tap.
    public static func configure(_ settings: PodNetworkSettings) throws(PodNetworkError) -> OwnedFD? {
        if let tap = settings.tap { try validate(tap) }
        let descriptor = try makeTap(settings.tap)
        var request = NetlinkRequest()
        // lo is the first interface of every network namespace: its index is 1.
        request.setLinkUp(index: loopbackIndex, name: "lo")
        if let tap = settings.tap {
            let hasIPv6 = tap.ipv6 != nil && kernelHasIPv6
            // Before the link comes up: duplicate detection and router solicitation start at that moment.
            try writeSysctls(PodSysctl.all(tap: tap.name, hasIPv6: hasIPv6))
            try addTap(tap, hasIPv6: hasIPv6, to: &request)
        } else {
            try writeSysctls(PodSysctl.always)
        }
        do throws(NetlinkError) {
            let socket = try NetlinkSocket()
            try socket.perform(request)
        } catch {
            let explanation = error.explanation.isEmpty ? "" : " (\(error.explanation))"
            throw PodNetworkError(
                errno: error.errno, "cannot \(error.operation) in the pod's network: \(error.errno.text)\(explanation)")
        }
        return descriptor
    }

    static let loopbackIndex: Int32 = 1

    private static func validate(_ tap: PodNetworkSettings.TapSettings) throws(PodNetworkError) {
        if !(1280...65520).contains(tap.mtu) {
            throw PodNetworkError("invalid MTU \(tap.mtu): it must be between 1280 and 65520")
        }
        if tap.name.isEmpty || tap.name.utf8.count > 15 || tap.name.contains(where: { $0 == "/" || $0.isWhitespace }) {
            throw PodNetworkError(
                "invalid interface name \"\(tap.name)\": it must be 1 to 15 bytes without \"/\" or spaces")
        }
    }

    private static func makeTap(_ settings: PodNetworkSettings.TapSettings?) throws(PodNetworkError) -> OwnedFD? {
        guard let settings else { return nil }
        do {
            let tap = try Tap.make(settings.name)
            _ = Tap.requestOffloads(tap)
            return tap
        } catch {
            let remedy =
                switch error {
                case .noSuchFileOrDirectory, .noSuchAddressOrDevice, Errno(rawValue: ENODEV):
                    "load the tun module on the host, pass --device /dev/net/tun to the outer container, or use --network none"
                case .permissionDenied, .notPermitted:
                    "make /dev/net/tun writable for this user (mode 0666 is usual), or use --network none"
                default: "use --network none for a pod without a network"
                }
            throw PodNetworkError(
                errno: error,
                "cannot make the pod's interface \(settings.name) with /dev/net/tun: \(error.text); \(remedy)")
        }
    }

    /// Milliseconds before the pod's TCP sends something again. What is at the tap's other end answers within one; the kernel's
    /// floor of 200 is made for delayed acknowledgements, which samara-net sends after 10.
    private static let minimumTimeout: UInt32 = 50

    private static func addTap(
        _ tap: PodNetworkSettings.TapSettings, hasIPv6: Bool, to request: inout NetlinkRequest
    ) throws(PodNetworkError) {
        let index: Int32
        do { index = try Interface.index(tap.name) } catch {
            throw PodNetworkError(errno: error, "cannot find the pod's interface \(tap.name): \(error.text)")
        }
        // The address is set while the link is down, the only state in which every kernel allows it.
        request.setLinkUp(index: index, name: tap.name, mtu: tap.mtu, hardwareAddress: tap.hardwareAddress)
        var families = [tap.ipv4]
        if hasIPv6, let ipv6 = tap.ipv6 { families.append(ipv6) }
        for family in families {
            let isIPv4 = family.address.isIPv4
            request.addAddress(family.address, prefixLength: family.prefixLength, index: index)
            request.addDefaultRoute(
                gateway: family.gateway, index: index, minimumTimeout: minimumTimeout)
            for address in [family.gateway, family.nameServer] {
                request.addNeighbour(address, hardwareAddress: tap.gatewayHardwareAddress, index: index)
            }
            request.addRule(
                .mark(PodRouting.mark), family: isIPv4 ? AF_INET : AF_INET6, table: PodRouting.markTable, priority: 100)
            request.addLocalRoute(
                isIPv4 ? .anyIPv4 : .anyIPv6, prefixLength: 0, index: loopbackIndex, table: PodRouting.markTable)
        }
    }

    private static func writeSysctls(_ sysctls: [PodSysctl]) throws(PodNetworkError) {
        for sysctl in sysctls {
            let path = "/proc/sys/net/\(sysctl.name)"
            do {
                let fd = try File.open(path, O_WRONLY)
                try File.writeAll(fd.raw, Array(sysctl.value.utf8))
            } catch {
                if sysctl.isOptional { continue }
                throw PodNetworkError(
                    errno: error,
                    "cannot set \(path) to \(sysctl.value) in the pod's network: \(error.text); /proc/sys/net must be writable"
                )
            }
        }
    }
}
