// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetControl

/// `--network` with options, as Podman's users write them: `slirp4netns:mtu=1500,allow_host_loopback=true`,
/// `pasta:--mtu,1500,-T,8080`, `private:host-access=5432`, `private:host-access=192.168.1.5:5432`.
///
/// All three names make the same network; each takes its own spelling of what that network can do. An option that asks
/// for something else is an error, because a container that runs without it would surprise later.
public enum NetworkOptions {
    /// Whether `kind` is a network with a tap, whose options `settings` knows.
    public static func isKnown(kind: some StringProtocol) -> Bool {
        ["private", "slirp4netns", "pasta"].contains(String(kind))
    }

    /// The tap that `text` asks for; "" and a kind without options are the defaults.
    public static func settings(_ text: String) throws(PodNetworkError) -> PodNetworkSettings.TapSettings {
        var settings = PodNetworkSettings.TapSettings()
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[1].isEmpty else { return settings }
        let kind = String(parts[0])
        let fields = parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if kind == "pasta" {
            try applyPasta(fields, to: &settings)
            return settings
        }
        for (key, values) in try pairs(fields, kind) { try apply(kind, key, values, to: &settings) }
        // At the end: the pod's own network may be named after them.
        try HostAccessOption.check(settings)
        return settings
    }

    /// `key=value` fields; a field that is only a number continues a list of ports.
    private static func pairs(
        _ fields: [String], _ kind: String
    ) throws(PodNetworkError) -> [(key: String, values: [String])] {
        var result: [(key: String, values: [String])] = []
        for field in fields {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if parts.count == 2 {
                result.append((parts[0], [parts[1]]))
            } else if let last = result.indices.last, result[last].key == "host-access",
                HostAccessOption.isAccess(field)
            {
                result[last].values.append(field)
            } else {
                throw PodNetworkError("invalid \(kind) network option \"\(field)\": must be in the form key=value")
            }
        }
        return result
    }

    private static func apply(
        _ kind: String, _ key: String, _ values: [String], to settings: inout PodNetworkSettings.TapSettings
    ) throws(PodNetworkError) {
        let value = values[0]
        switch key {
        case "mtu": settings.mtu = try mtu(value)
        case "cidr": try setSubnet(value, &settings)
        case "enable_ipv6": if !(try flag(key, value)) { settings.ipv6 = nil }
        case "allow_host_loopback":
            settings.hostAccess = try flag(key, value) ? [.init(1, 65_535)] : []
        case "host-access":
            for value in values { settings.hostAccess.append(try HostAccessOption.parse(value)) }
            if settings.hostAccess.count > 255 {
                throw PodNetworkError("too many host-access ports: at most 255 ranges")
            }
        case "outbound_addr": settings.sourceIPv4 = try address(key, value, isIPv4: true)
        case "outbound_addr6": settings.sourceIPv6 = try address(key, value, isIPv4: false)
        case "port_handler":
            // Both of Podman's handlers are served by the one there is, which keeps the client's address.
            guard kind == "slirp4netns", value == "rootlesskit" || value == "slirp4netns" else {
                throw PodNetworkError(
                    "unknown port_handler for \(kind): \"\(value)\"; must be rootlesskit or slirp4netns")
            }
        default: throw PodNetworkError("unknown option for \(kind): \"\(key)=\(value)\"")
        }
    }

    /// pasta's own command line, commas for spaces: pasta(1).
    private static func applyPasta(
        _ fields: [String], to settings: inout PodNetworkSettings.TapSettings
    ) throws(PodNetworkError) {
        var index = 0
        func value(_ option: String) throws(PodNetworkError) -> String {
            index += 1
            guard index < fields.count else { throw PodNetworkError("the pasta option \(option) needs a value") }
            return fields[index]
        }
        while index < fields.count {
            let option = fields[index]
            switch option {
            case "-m", "--mtu": settings.mtu = try mtu(value(option))
            case "-4", "--ipv4-only": settings.ipv6 = nil
            case "-I", "--ns-ifname": settings.name = try value(option)
            case "-o", "--outbound":
                let text = try value(option)
                guard let source = IPAddress(text) else {
                    throw PodNetworkError("invalid address for \(option): \(text)")
                }
                if source.isIPv4 { settings.sourceIPv4 = source } else { settings.sourceIPv6 = source }
            case "--map-gw": settings.hostAccess = [.init(1, 65_535)]
            case "--map-host-loopback":
                let text = try value(option)
                if text == "none" { break }
                guard IPAddress(text) == settings.ipv4.gateway else {
                    throw PodNetworkError(
                        "invalid address for \(option): \(text); the host is reached at the gateway, \(settings.ipv4.gateway)"
                    )
                }
                settings.hostAccess = [.init(1, 65_535)]
            case "-T", "--tcp-ns", "-U", "--udp-ns":
                let text = try value(option)
                if text == "none" { break }
                guard let range = HostAccessOption.ports(text) else {
                    throw PodNetworkError(
                        "invalid port for \(option): \"\(text)\"; must be PORT or FIRST-LAST, or none")
                }
                settings.hostAccess.append(range)
            case "-t", "--tcp-ports", "-u", "--udp-ports":
                let text = try value(option)
                // Ports are published by engines with --publish, which says "none" here; so do we.
                if text != "none" {
                    throw PodNetworkError("the pasta option \(option) takes only none: publish ports with --publish")
                }
            case "--no-map-gw", "--config-net": break  // What is done anyway.
            default:
                throw PodNetworkError(
                    "the pasta option \"\(option)\" has no meaning for samara's network; known are --mtu, --ipv4-only, --ns-ifname, --outbound, --tcp-ns, --udp-ns, --map-gw, --map-host-loopback, --no-map-gw and --config-net"
                )
            }
            index += 1
        }
    }

    // MARK: Values

    private static func mtu(_ text: String) throws(PodNetworkError) -> UInt32 {
        guard let value = UInt32(text), (1280...65520).contains(value) else {
            throw PodNetworkError("invalid MTU \"\(text)\": it must be between 1280 and 65520")
        }
        return value
    }

    private static func flag(_ key: String, _ text: String) throws(PodNetworkError) -> Bool {
        switch text {
        case "true", "1": return true
        case "false", "0": return false
        default: throw PodNetworkError("invalid value of \(key): \"\(text)\"; must be true or false")
        }
    }

    private static func address(_ key: String, _ text: String, isIPv4: Bool) throws(PodNetworkError) -> IPAddress {
        guard let address = IPAddress(text), address.isIPv4 == isIPv4 else {
            throw PodNetworkError("invalid \(key) \"\(text)\": must be an IPv\(isIPv4 ? 4 : 6) address of the host")
        }
        return address
    }

    /// The pod becomes .100 of the subnet, the gateway .2 and the name server .3, as in slirp4netns(1).
    private static func setSubnet(
        _ text: String, _ settings: inout PodNetworkSettings.TapSettings
    ) throws(PodNetworkError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let base = IPAddress(String(parts[0])), base.isIPv4, let length = UInt8(parts[1]),
            (8...25).contains(length)
        else { throw PodNetworkError("invalid cidr \"\(text)\": must be an IPv4 network like 10.0.2.0/24, /8 to /25") }
        let network = base.ipv4 & ~(UInt32.max >> UInt32(length))
        settings.ipv4 = .init(
            address: IPAddress(ipv4: network + 100), prefixLength: length, gateway: IPAddress(ipv4: network + 2),
            nameServer: IPAddress(ipv4: network + 3))
    }
}
