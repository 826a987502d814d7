// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import Netlink
import PodNetwork
import SystemPackage

/// The real samara-net between a "host" (a namespace of its own, so that clients can have any address) and a pod
/// (nested in it), as the engine starts it.
enum ProcessProbe {
    static let hostIPv4 = IPAddress(ipv4: 0xc000_0201)  // 192.0.2.1
    static let clientIPv4 = IPAddress(ipv4: 0xc633_6407)  // 198.51.100.7
    static let hostIPv6 = IPAddress(high: 0x2001_0db8 << 32, low: 1)
    static let clientIPv6 = IPAddress(high: 0x2001_0db8 << 32, low: 7)

    static func run(samaraNet: String) {
        Check.noError("process") {
            try Namespace.enter()
            try HostNamespace.configure([hostIPv4, clientIPv4], [hostIPv6, clientIPv6])
            let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
            let directory = "\(base)/samara-net-probe-\(Process.id)"
            try Directory.make(directory, mode: 0o700)
            defer { try? FileTree.remove(directory) }
            try Scenario.stop(samaraNet, directory)
            try Scenario.podEnds(samaraNet, directory)
            try Scenario.refusal(samaraNet, directory)
        }
    }
}

/// Addresses on lo, which stand for a network card and for clients behind it.
enum HostNamespace {
    static func configure(_ ipv4: [IPAddress], _ ipv6: [IPAddress]) throws {
        var request = NetlinkRequest()
        request.setLinkUp(index: 1, name: "lo")
        for address in ipv4 { request.addAddress(address, prefixLength: 32, index: 1) }
        for address in ipv6 { request.addAddress(address, prefixLength: 128, index: 1) }
        try NetlinkSocket().perform(request)
    }
}

/// Forks and executes `program`; `descriptors` become 3, 4, 5.
func spawn(_ program: String, _ arguments: [String], _ descriptors: [Int32]) throws -> Int32 {
    let child = try checked(samara_fork())
    if child != 0 { return child }
    // Above the targets first, so that no copy overwrites a descriptor that is still needed.
    let high = descriptors.map { samara_fcntl($0, F_DUPFD_CLOEXEC, 100) }
    for (index, descriptor) in high.enumerated() { _ = dup2(descriptor, Int32(3 + index)) }
    var argv = ([program] + arguments).map { strdup($0) } + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    _ = samara_execveat(AT_FDCWD, program, &argv, &environment, 0)
    Process.exitNow(127)
}
