// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Why a host port could not be bound, in the words that help. Reads /proc, so it is for the error path only.
enum BindFailure {
    static func describe(_ port: PublishedPort, _ number: UInt16, _ error: Errno) -> PortBindingError {
        let holder = error == .addressInUse ? PortHolder.find(number, port.protocol) : nil
        return PortBindingError(
            port: port, hostPort: number, errno: error, message: sentence(port, number, error, holder: holder))
    }

    static func sentence(_ port: PublishedPort, _ number: UInt16, _ error: Errno, holder: PortHolder?) -> String {
        let address = port.hostIP.isEmpty ? "0.0.0.0" : port.hostIP
        let subject = "cannot publish port \(number)/\(port.protocol.rawValue) on \(address)"
        switch error {
        case .addressInUse:
            if holder?.pid == Process.id {
                return "conflicting port mappings for host port \(number) (protocol \(port.protocol.rawValue))"
            }
            let held = holder.map { " (held by process \($0.pid) (\($0.name)))" }
            return "\(subject): address already in use\(held ?? "")"
        case .permissionDenied where number < 1024:
            let start = unprivilegedPortStart()
            let shown = address.contains(":") ? "[\(address)]" : address
            // podman's sentence, because people search for it.
            return "rootlessport cannot expose privileged port \(number), you can add "
                + "'net.ipv4.ip_unprivileged_port_start=\(number)' to /etc/sysctl.conf (currently \(start)), or choose a "
                + "larger port number (>= \(start)): listen \(port.protocol.rawValue) \(shown):\(number): bind: permission denied"
        case .addressNotAvailable: return "\(subject): the host has no such address"
        case .tooManyOpenFiles: return "\(subject): too many open files; raise the limit with ulimit -n"
        default: return "\(subject): \(error.text)"
        }
    }

    private static func unprivilegedPortStart() -> String {
        guard let bytes = try? File.read("/proc/sys/net/ipv4/ip_unprivileged_port_start", limit: 64) else {
            return "1024"
        }
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}

/// The process that has a port: found by the socket's inode, so only among the processes whose descriptors this user
/// may see (proc(5)).
struct PortHolder: Equatable {
    var pid: Int32
    var name: String

    static func find(_ port: UInt16, _ transport: PublishedPort.`Protocol`) -> PortHolder? {
        let inodes = ["", "6"].flatMap { family -> [Substring] in
            guard let table = try? File.read("/proc/net/\(transport.rawValue)\(family)", limit: 16 << 20) else {
                return []
            }
            return self.inodes(in: String(decoding: table, as: UTF8.self), port, listening: transport == .tcp)
        }
        if inodes.isEmpty { return nil }
        let links = Set(inodes.map { "socket:[\($0)]" })
        for name in (try? Directory.names("/proc")) ?? [] {
            guard let pid = Int32(name), let descriptors = try? Directory.names("/proc/\(pid)/fd") else { continue }
            for descriptor in descriptors {
                guard let link = try? File.readLink("/proc/\(pid)/fd/\(descriptor)"), links.contains(link) else {
                    continue
                }
                let command = (try? File.read("/proc/\(pid)/comm", limit: 64)) ?? []
                return PortHolder(pid: pid, name: String(decoding: command.prefix { $0 != 0x0a }, as: UTF8.self))
            }
        }
        return nil
    }

    /// The inodes of the sockets at local port `port` in the text of /proc/net/tcp or /proc/net/udp.
    static func inodes(in table: String, _ port: UInt16, listening: Bool) -> [Substring] {
        table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // sl local_address rem_address st queues timer retransmits uid timeout inode
            guard fields.count > 9, let colon = fields[1].lastIndex(of: ":"),
                UInt16(fields[1][fields[1].index(after: colon)...], radix: 16) == port,
                !listening || fields[3] == "0A"
            else { return nil }
            return fields[9]
        }
    }
}
