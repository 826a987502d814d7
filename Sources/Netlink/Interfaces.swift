// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Network interfaces of the current network namespace.
public enum Interface {
    /// The index of the interface called `name`: `if_nametoindex(3)`.
    public static func index(_ name: String) throws(Errno) -> Int32 {
        let index = if_nametoindex(name)
        if index == 0 { throw lastErrno() }
        return Int32(index)
    }
}

extension NetlinkRequest {
    private static func family(_ address: IPAddress) -> UInt8 { UInt8(address.isIPv4 ? AF_INET : AF_INET6) }

    /// Brings the interface up; sets its MTU (bytes) and hardware address first where given: RTM_NEWLINK.
    public mutating func setLinkUp(index: Int32, name: String, mtu: UInt32? = nil, hardwareAddress: [UInt8]? = nil) {
        var link = ifinfomsg()
        link.ifi_family = UInt8(AF_UNSPEC)
        link.ifi_index = index
        link.ifi_flags = UInt32(IFF_UP)
        link.ifi_change = UInt32(IFF_UP)
        message("bring up \(name)", type: RTM_NEWLINK, flags: 0, link) {
            if let hardwareAddress { $0.attribute(IFLA_ADDRESS, bytes: hardwareAddress) }
            if let mtu { $0.attribute(IFLA_MTU, mtu) }
        }
    }

    /// Adds an address: RTM_NEWADDR. IPv6 addresses skip duplicate detection (IFA_F_NODAD), so that they can be used
    /// at once.
    public mutating func addAddress(_ address: IPAddress, prefixLength: UInt8, index: Int32) {
        var fixed = ifaddrmsg()
        fixed.ifa_family = Self.family(address)
        fixed.ifa_prefixlen = prefixLength
        fixed.ifa_index = UInt32(index)
        fixed.ifa_flags = address.isIPv4 ? 0 : UInt8(IFA_F_NODAD)
        let flags = NLM_F_CREATE | NLM_F_EXCL
        message("add address \(address)/\(prefixLength)", type: RTM_NEWADDR, flags: flags, fixed) {
            $0.attribute(IFA_LOCAL, address)
            $0.attribute(IFA_ADDRESS, address)
        }
    }

    /// Adds the default route through `gateway`: RTM_NEWROUTE. TCP waits at least `minimumTimeout` milliseconds before it sends
    /// something again, by default the kernel's 200: `rto_min` of ip-route(8).
    public mutating func addDefaultRoute(gateway: IPAddress, index: Int32, minimumTimeout: UInt32? = nil) {
        var route = rtmsg()
        route.rtm_family = Self.family(gateway)
        route.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
        route.rtm_protocol = UInt8(RTPROT_STATIC)
        route.rtm_scope = UInt8(RT_SCOPE_UNIVERSE.rawValue)
        route.rtm_type = UInt8(RTN_UNICAST)
        message("add default route via \(gateway)", type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL, route) {
            $0.attribute(Int(RTA_GATEWAY.rawValue), gateway)
            $0.attribute(Int(RTA_OIF.rawValue), UInt32(index))
            if let minimumTimeout {
                // RTAX_RTO_MIN counts only where RTAX_LOCK names it.
                let lock = NetlinkMetric(type: 1, value: 1 << 13)
                $0.attribute(Int(RTA_METRICS.rawValue), (lock, NetlinkMetric(type: 13, value: minimumTimeout)))
            }
        }
    }

    /// A route of type local in `table`: what matches is delivered to this namespace's own sockets.
    /// The whole address space of the prefix's family when `prefixLength` is 0. `source` is the address that a socket
    /// without one gets; the kernel would take the destination itself, which for a local route counts as its own.
    public mutating func addLocalRoute(
        _ prefix: IPAddress, prefixLength: UInt8, index: Int32, table: UInt8, source: IPAddress? = nil
    ) {
        localRoute("add", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, prefix, prefixLength, index, table, source)
    }

    /// Removes what `addLocalRoute` added: RTM_DELROUTE.
    public mutating func removeLocalRoute(_ prefix: IPAddress, prefixLength: UInt8, index: Int32, table: UInt8) {
        localRoute("remove", RTM_DELROUTE, 0, prefix, prefixLength, index, table, nil)
    }

    private mutating func localRoute(
        _ verb: String, _ type: Int, _ flags: Int32, _ prefix: IPAddress, _ prefixLength: UInt8, _ index: Int32,
        _ table: UInt8, _ source: IPAddress?
    ) {
        var route = rtmsg()
        route.rtm_family = Self.family(prefix)
        route.rtm_dst_len = prefixLength
        route.rtm_table = table
        route.rtm_protocol = UInt8(RTPROT_STATIC)
        route.rtm_scope = UInt8(RT_SCOPE_HOST.rawValue)
        route.rtm_type = UInt8(RTN_LOCAL)
        message("\(verb) local route \(prefix)/\(prefixLength) in table \(table)", type: type, flags: flags, route) {
            if prefixLength > 0 { $0.attribute(Int(RTA_DST.rawValue), prefix) }
            $0.attribute(Int(RTA_OIF.rawValue), UInt32(index))
            if let source { $0.attribute(Int(RTA_PREFSRC.rawValue), source) }
        }
    }

    /// Which packets a policy rule applies to.
    public enum RuleSelector: Equatable, Sendable {
        /// Packets and sockets that carry this mark (SO_MARK).
        case mark(UInt32)
        /// UDP datagrams sent from this port.
        case udpSourcePort(UInt16)
    }

    /// Adds a policy rule that looks `selector` up in `table`: RTM_NEWRULE, ip-rule(8).
    /// `family` is AF_INET or AF_INET6; a lower `priority` is asked earlier.
    public mutating func addRule(_ selector: RuleSelector, family: Int32, table: UInt8, priority: UInt32) {
        var rule = fib_rule_hdr()
        rule.family = UInt8(family)
        rule.table = table
        rule.action = UInt8(FR_ACT_TO_TBL)
        let name = family == AF_INET ? "IPv4" : "IPv6"
        message("add \(name) rule for table \(table)", type: RTM_NEWRULE, flags: NLM_F_CREATE | NLM_F_EXCL, rule) {
            $0.attribute(FRA_PRIORITY, priority)
            switch selector {
            case .mark(let mark): $0.attribute(FRA_FWMARK, mark)
            case .udpSourcePort(let port):
                $0.attribute(FRA_IP_PROTO, UInt8(samara_protocol_udp))
                $0.attribute(FRA_SPORT_RANGE, fib_rule_port_range(start: port, end: port))
            }
        }
    }

    /// A permanent neighbour entry, so that no ARP or neighbour discovery is needed: RTM_NEWNEIGH.
    public mutating func addNeighbour(_ address: IPAddress, hardwareAddress: [UInt8], index: Int32) {
        var neighbour = ndmsg()
        neighbour.ndm_family = Self.family(address)
        neighbour.ndm_ifindex = index
        neighbour.ndm_state = UInt16(NUD_PERMANENT)
        let flags = NLM_F_CREATE | NLM_F_REPLACE
        message("add neighbour \(address)", type: RTM_NEWNEIGH, flags: flags, neighbour) {
            $0.attribute(NDA_DST, address)
            $0.attribute(NDA_LLADDR, bytes: hardwareAddress)
        }
    }
}

/// One attribute within RTA_METRICS: rtnetlink(7).
private struct NetlinkMetric: BitwiseCopyable {
    var length: UInt16 = 8
    var type: UInt16
    var value: UInt32
}
