// SPDX-License-Identifier: Apache-2.0

/// Which destinations a pod may reach: an ordered list of rules, the first match decides.
///
/// The policy is data that the caller replaces as a whole (when the host's addresses change, say), not a callback:
/// it is consulted for every new connection and every datagram before any state exists, and must not be able to
/// call back into the stack.
package struct DestinationPolicy: Sendable {
    package enum Verdict: UInt8, BitwiseCopyable, Sendable {
        case allow
        /// TCP reset, UDP port unreachable: as if nothing listened there.
        case refuse
        case adminProhibited
        case hostUnreachable
        case networkUnreachable
        /// No answer at all.
        case drop
    }

    package struct Protocols: OptionSet, BitwiseCopyable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static var tcp: Self { Self(rawValue: 1) }
        package static var udp: Self { Self(rawValue: 2) }
        package static var echo: Self { Self(rawValue: 4) }
        package static var all: Self { Self(rawValue: 7) }
    }

    package struct Rule: BitwiseCopyable, Sendable {
        package var destination: InternetPrefix
        package var protocols: Protocols
        /// Ports (TCP, UDP) the rule covers, both ends included. Echo has no port and matches any range.
        package var firstPort: UInt16
        package var lastPort: UInt16
        package var verdict: Verdict

        package init(
            _ destination: InternetPrefix, _ verdict: Verdict, protocols: Protocols = .all,
            ports: ClosedRange<UInt16> = 0...UInt16.max
        ) {
            self.destination = destination
            self.protocols = protocols
            firstPort = ports.lowerBound
            lastPort = ports.upperBound
            self.verdict = verdict
        }
    }

    package var rules: [Rule]
    /// For destinations that no rule names.
    package var otherwise: Verdict

    package init(rules: [Rule] = [], otherwise: Verdict) {
        self.rules = rules
        self.otherwise = otherwise
    }

    /// The verdict on one destination: linear in the number of rules, a few tens of them being compared in less time
    /// than one hash lookup with a cold cache takes.
    package func verdict(_ destination: InternetEndpoint, _ protocols: Protocols) -> Verdict {
        for rule in rules where !rule.protocols.isDisjoint(with: protocols) {
            guard rule.destination.contains(destination.address) else { continue }
            if protocols == .echo || (rule.firstPort <= destination.port && destination.port <= rule.lastPort) {
                return rule.verdict
            }
        }
        return otherwise
    }

    /// The policy of a pod that nothing was permitted to: the world is open; loopback, link-local (with the cloud
    /// metadata service), "this host" and the host's own addresses are not.
    ///
    /// - Parameters:
    ///   - exceptions: looked at first; the DNS address on port 53 belongs here.
    ///   - hostAddresses: every local address of the host.
    package static func protectingHost(
        exceptions: [Rule] = [], hostAddresses: [InternetAddress] = []
    ) -> DestinationPolicy {
        var rules = exceptions
        let closed: [InternetPrefix] = [
            InternetPrefix(InternetAddress(0, 0, 0, 0), 8),
            InternetPrefix(InternetAddress(127, 0, 0, 0), 8),
            InternetPrefix(InternetAddress(169, 254, 0, 0), 16),
            // ::/96 holds ::, ::1 and the IPv4-compatible spellings of IPv4 addresses (RFC 4291, section 2.5.5.1).
            InternetPrefix(.unspecifiedIPv6, 96),
            // Translated spellings of IPv4 addresses: SIIT (RFC 2765), NAT64 (RFC 6052, 8215) and 6to4 (RFC 3056)
            // would reach an IPv4 address that the rules above close.
            InternetPrefix(InternetAddress(high: 0, low: 0xffff_0000_0000_0000), 96),
            InternetPrefix(InternetAddress(high: 0x0064_ff9b_0000_0000, low: 0), 32),
            InternetPrefix(InternetAddress(high: 0x2002_7f00_0000_0000, low: 0), 24),
            InternetPrefix(InternetAddress(high: 0x2002_a9fe_0000_0000, low: 0), 32),
            InternetPrefix(InternetAddress(high: 0xfe80_0000_0000_0000, low: 0), 10),
        ]
        for prefix in closed { rules.append(Rule(prefix, .adminProhibited)) }
        for address in hostAddresses {
            rules.append(Rule(InternetPrefix(address, address.isIPv4 ? 32 : 128), .adminProhibited))
        }
        return DestinationPolicy(rules: rules, otherwise: .allow)
    }
}
