// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// A port specification that is not one.
public struct PortSpecificationError: Error, Equatable, Sendable {
    /// The cause, without the specification.
    public var message: String
    public init(_ message: String) { self.message = message }
}

/// A published port, or a run of them: what podman calls a port mapping.
public struct PublishedPort: Equatable, Hashable, Sendable {
    public enum `Protocol`: String, Sendable, CaseIterable { case tcp, udp }

    /// The host address in canonical form; "" for every address of the host.
    public var hostIP: String
    /// The first host port; 0 for one of the kernel's choice.
    public var hostPort: UInt16
    /// The first port inside the pod.
    public var containerPort: UInt16
    /// How many consecutive ports, at least 1.
    public var range: UInt16
    public var `protocol`: `Protocol`
    /// Whether it leads to the pod's loopback address, so that services that listen only there are reached.
    public var targetsLoopback = false

    public init(hostIP: String, hostPort: UInt16, containerPort: UInt16, range: UInt16 = 1, protocol: `Protocol`) {
        self.hostIP = hostIP
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.range = range
        self.protocol = `protocol`
    }

    /// Parses `[[hostIP:][hostPort[-end]]:]containerPort[-end][/protocol]`, podman's `--publish`. IPv6 addresses are
    /// in brackets. Several protocols, separated by commas, give one port each.
    public static func parse(_ text: String) throws(PortSpecificationError) -> [PublishedPort] {
        let parts = split(text, at: "/")
        if parts.count > 2 { throw PortSpecificationError("invalid port format - protocol can only be specified once") }
        let (hostIP, ports) = try splitAddress(parts[0])
        guard let container = ports.last, !container.isEmpty else {
            throw PortSpecificationError("must provide a non-empty container port to publish")
        }
        let (start, length) = try prefixed("parsing container port", container)
        let protocols = try parts.count == 2 ? parseProtocols(parts[1]) : [.tcp]
        var address = ""
        if let hostIP { address = try parseAddress(hostIP) }
        var hostStart: UInt16 = 0
        if ports.count == 2, !ports[0].isEmpty {
            let host = try prefixed("parsing host port", ports[0])
            if host.length != length {
                throw PortSpecificationError(
                    "host and container port ranges have different lengths: \(host.length) vs \(length)")
            }
            hostStart = host.start
        }
        return protocols.map {
            PublishedPort(hostIP: address, hostPort: hostStart, containerPort: start, range: length, protocol: $0)
        }
    }

    // MARK: Pieces

    private static func split(_ text: String, at separator: Character) -> [String] {
        text.split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }

    /// The host address, if there is one, and the host and container ports that follow it (one or two).
    private static func splitAddress(_ text: String) throws(PortSpecificationError) -> (String?, [String]) {
        let bracket = split(text, at: "]")
        if bracket.count > 2 {
            throw PortSpecificationError(
                "invalid port format - at most one IPv6 address can be specified in a --publish")
        }
        if bracket.count == 2 {
            guard bracket[0].first == "[" else {
                throw PortSpecificationError("invalid port format - IPv6 addresses must be enclosed by []")
            }
            guard bracket[1].first == ":" else {
                throw PortSpecificationError(
                    "invalid port format - IPv6 address must be followed by a colon (':')")
            }
            let ports = split(String(bracket[1].dropFirst()), at: ":")
            if ports.count == 1 {
                throw PortSpecificationError(
                    "invalid port format - must provide host and destination port if specifying an IP")
            }
            if ports.count > 2 {
                throw PortSpecificationError(
                    "invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort")
            }
            return (String(bracket[0].dropFirst()), ports)
        }
        let fields = split(text, at: ":")
        switch fields.count {
        case 1, 2: return (nil, fields)
        case 3: return (fields[0], Array(fields[1...]))
        default:
            throw PortSpecificationError("invalid port format - format is [[hostIP:]hostPort:]containerPort")
        }
    }

    private static func parseAddress(_ text: String) throws(PortSpecificationError) -> String {
        if text.isEmpty { throw PortSpecificationError("must provide a non-empty container host IP to publish") }
        guard let address = IPAddress(text) else {
            throw PortSpecificationError("cannot parse \"\(text)\" as an IP address")
        }
        return address.description
    }

    private static func parseProtocols(_ text: String) throws(PortSpecificationError) -> [`Protocol`] {
        if text.isEmpty { throw PortSpecificationError("must provide a non-empty protocol to publish") }
        var protocols: [`Protocol`] = []
        for name in split(text.lowercased(), at: ",") {
            if name == "sctp" {
                throw PortSpecificationError("cannot publish an SCTP port: only tcp and udp can be published")
            }
            guard let known = `Protocol`(rawValue: name) else {
                throw PortSpecificationError("unrecognized protocol \"\(name)\" in port mapping")
            }
            if !protocols.contains(known) { protocols.append(known) }
        }
        return protocols
    }

    private static func prefixed(
        _ prefix: String, _ text: String
    ) throws(PortSpecificationError) -> (start: UInt16, length: UInt16) {
        do { return try parseRange(text) } catch {
            throw PortSpecificationError("\(prefix): \(error.message)")
        }
    }

    private static func parseRange(_ text: String) throws(PortSpecificationError) -> (start: UInt16, length: UInt16) {
        let ends = split(text, at: "-")
        if ends.count > 2 {
            throw PortSpecificationError("invalid port format - port ranges are formatted as startPort-stopPort")
        }
        if ends[0].isEmpty { throw PortSpecificationError("port numbers cannot be negative") }
        let start = try parsePort(ends[0])
        guard ends.count == 2 else { return (start, 1) }
        if ends[1].isEmpty { throw PortSpecificationError("must provide ending number for port range") }
        let end = try parsePort(ends[1])
        if end <= start {
            throw PortSpecificationError(
                "the end port of a range must be higher than the start port - \(end) is not higher than \(start)")
        }
        return (start, end - start + 1)
    }

    private static func parsePort(_ text: String) throws(PortSpecificationError) -> UInt16 {
        let digits = text.first == "+" ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            throw PortSpecificationError("invalid port number: strconv.Atoi: parsing \"\(text)\": invalid syntax")
        }
        guard let number = Int(digits) else {
            throw PortSpecificationError("invalid port number: strconv.Atoi: parsing \"\(text)\": value out of range")
        }
        guard let port = UInt16(exactly: number), port > 0 else {
            throw PortSpecificationError("port numbers must be between 1 and 65535 (inclusive), got \(number)")
        }
        return port
    }
}

extension PublishedPort: CustomStringConvertible {
    /// podman's text in the PORTS column: `0.0.0.0:8080->80/tcp`, `[::1]:8000-8002->8000-8002/tcp`.
    public var description: String {
        let address = hostIP.isEmpty ? "0.0.0.0" : hostIP.contains(":") ? "[\(hostIP)]" : hostIP
        func run(_ start: UInt16) -> String { range > 1 ? "\(start)-\(start + (range - 1))" : "\(start)" }
        return "\(address):\(run(hostPort))->\(run(containerPort))/\(`protocol`.rawValue)"
    }
}
