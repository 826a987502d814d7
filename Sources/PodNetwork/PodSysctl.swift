// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// One setting below /proc/sys/net of the pod's namespace: Documentation/networking/ip-sysctl.rst.
struct PodSysctl: Equatable {
    var name: String
    var value: String
    /// Whether a kernel may lack it, or refuse it to an unprivileged user, without the pod's network being wrong.
    var isOptional = false

    /// Settings of every pod, also of one without a tap.
    static var always: [PodSysctl] {
        [
            // Containers without CAP_NET_BIND_SERVICE serve port 80 too: the whole port space is the pod's own.
            PodSysctl(name: "ipv4/ip_unprivileged_port_start", value: "0"),
            // ping without CAP_NET_RAW, for every group that the pod's user namespace maps. Refused (EINVAL) where the
            // mapping is not ascending in the host's numbers.
            PodSysctl(name: "ipv4/ping_group_range", value: "0 \(largestMappedGroup())", isOptional: true),
            // Local paths lose nothing, so a pacing algorithm (bbr) costs timers for no gain. The kernel refuses reno
            // to namespaces where the host does not allow it.
            PodSysctl(name: "ipv4/tcp_congestion_control", value: "reno", isOptional: true),
        ]
    }

    /// Settings of a pod with the interface `tap`, to be made before it is up.
    static func all(tap: String, hasIPv6: Bool) -> [PodSysctl] {
        var list = always
        list.append(PodSysctl(name: "ipv4/tcp_fwmark_accept", value: "1"))
        // Answers that belong to no socket (the reset of a port where nobody listens, ICMP errors) take the mark of what
        // they answer and go back over lo: otherwise they would leave by the tap, and the client wait for its time-out.
        list.append(PodSysctl(name: "ipv4/fwmark_reflect", value: "1"))
        if hasIPv6 { list.append(PodSysctl(name: "ipv6/fwmark_reflect", value: "1")) }
        // Datagrams of published UDP ports come over lo from addresses that table 101 calls local; source validation
        // refuses those otherwise.
        list.append(PodSysctl(name: "ipv4/conf/lo/accept_local", value: "1"))
        if hasIPv6 {
            list.append(PodSysctl(name: "ipv6/conf/\(tap)/accept_dad", value: "0"))
            list.append(PodSysctl(name: "ipv6/conf/\(tap)/accept_ra", value: "0"))
            // 1: no link-local address, hence no multicast reports and solicitations on the tap.
            list.append(PodSysctl(name: "ipv6/conf/\(tap)/addr_gen_mode", value: "1", isOptional: true))
        }
        return list
    }

    /// The last group of the run of groups that starts at 0 in this process's user namespace: user_namespaces(7).
    static func largestMappedGroup() -> UInt32 {
        guard let map = try? File.read("/proc/self/gid_map", limit: 64 << 10) else { return 0 }
        return largestMappedGroup(in: String(decoding: map, as: UTF8.self))
    }

    /// As above, of the text of a gid_map: lines of "first outside count".
    static func largestMappedGroup(in map: String) -> UInt32 {
        let extents = map.split(separator: "\n").compactMap { line -> (first: UInt64, count: UInt64)? in
            let fields = line.split(separator: " ").compactMap { UInt64($0) }
            return fields.count == 3 ? (fields[0], fields[2]) : nil
        }.sorted { $0.first < $1.first }
        var end: UInt64 = 0
        for extent in extents where extent.first <= end { end = max(end, extent.first + extent.count) }
        // The kernel takes ids up to 2^31 - 1 here (GID_T_MAX); the last id is never valid.
        return UInt32(min(max(end, 1) - 1, UInt64(Int32.max)))
    }
}
