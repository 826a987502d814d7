// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// The name servers that the pod's queries go to, in order of preference.
package struct Resolvers {
    private let servers: [IPAddress]
    private var preferred = 0

    init(_ servers: [IPAddress]) { self.servers = servers }

    /// Those of the host's /etc/resolv.conf; the machine itself when there is no such file: resolv.conf(5).
    package static func ofHost() -> Resolvers {
        let bytes = (try? File.read("/etc/resolv.conf", limit: 1 << 20)) ?? []
        return Resolvers(parse(String(decoding: bytes, as: UTF8.self)))
    }

    /// The server to ask; nil when there is none.
    var current: IPAddress? { servers.isEmpty ? nil : servers[preferred] }

    func contains(_ address: IPAddress) -> Bool { servers.contains(address) }

    /// `address` did not answer: the next one is asked from here on.
    mutating func failed(_ address: IPAddress) {
        if address == current { preferred = (preferred + 1) % servers.count }
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
