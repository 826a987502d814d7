// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// The name servers that the pod's queries go to, in order of preference.
package struct Resolvers {
    private var servers: [IPAddress]
    private var preferred = 0

    init(_ servers: [IPAddress]) { self.servers = servers }

    private static var file: String { "/etc/resolv.conf" }

    /// Those of the host's /etc/resolv.conf; the machine itself when there is no such file: resolv.conf(5).
    package static func ofHost() -> Resolvers {
        let bytes = (try? File.read(file, limit: 1 << 20)) ?? []
        return Resolvers(parse(String(decoding: bytes, as: UTF8.self)))
    }

    /// Wakes up when that file may have changed, be it replaced, or rewritten where it is a link to. Nil when the user's
    /// limits of inotify(7) are used up: then the servers stay those of the pod's start.
    package static func watchHost() -> DirectoryWatch? {
        do throws(Errno) {
            let watch = try DirectoryWatch()
            try watch.add("/etc")
            if let target = try? File.readLink(file), let slash = target.lastIndex(of: "/") {
                let directory = target[..<slash]
                try? watch.add(directory.hasPrefix("/") ? String(directory) : "/etc/\(directory)")
            }
            return watch
        } catch { return nil }
    }

    /// The server to ask; nil when there is none.
    var current: IPAddress? { servers.isEmpty ? nil : servers[preferred] }

    func contains(_ address: IPAddress) -> Bool { servers.contains(address) }

    /// `address` did not answer: the next one is asked from here on.
    mutating func failed(_ address: IPAddress) {
        if address == current { preferred = (preferred + 1) % servers.count }
    }

    /// Goes on with other servers; the one that was asked stays preferred when it is among them.
    mutating func replace(by others: [IPAddress]) {
        preferred = current.flatMap { others.firstIndex(of: $0) } ?? 0
        servers = others
    }

    /// The addresses of the nameserver lines. One with a zone (fe80::1%eth0) needs an interface that a pod's query does
    /// not name, and is left out. Without any line the resolver asks the machine itself.
    static func parse(_ text: String) -> [IPAddress] {
        var servers: [IPAddress] = []
        var hasLine = false
        for line in text.split(whereSeparator: \.isNewline) {
            let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard fields.count >= 2, fields[0] == "nameserver" else { continue }
            hasLine = true
            if let address = IPAddress(String(fields[1])) {
                servers.append(address.isUnspecified ? (address.isIPv4 ? .loopbackIPv4 : .loopbackIPv6) : address)
            }
        }
        return hasLine ? servers : [.loopbackIPv4]
    }
}
