// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetStack
import PodNetwork
import Testing

@testable import UserNetwork

/// The policy that samara-net makes of a pod's settings, row by row: every spelling of the host in every kind of packet is
/// refused, what `host-access` names is reached, and nothing else is.
@Suite struct PolicyTableTests {
    struct Row: Sendable, CustomStringConvertible {
        var address: InternetAddress
        /// The `host-access` that opens port 80 of it; nil for a spelling that nothing opens.
        var opening: String?
        var description: String { "\(IPAddress(address))" }

        init(_ address: InternetAddress, _ opening: String? = nil) {
            self.address = address
            self.opening = opening
        }
    }

    static let lan4 = InternetAddress(192, 0, 2, 77)
    static let lan6 = InternetAddress(high: 0x2001_0db8 << 32, low: 0x77)

    static let rows: [Row] = [
        // The host's loopback stands at the gateway's addresses; by its own names it is reached by nobody.
        Row(Addresses.gateway, "80"), Row(Addresses.gateway6, "80"),
        Row(InternetAddress(127, 0, 0, 1)), Row(InternetAddress(127, 1, 2, 3)), Row(InternetAddress(0, 0, 0, 0)),
        Row(InternetAddress(0, 1, 2, 3)), Row(InternetAddress(high: 0, low: 1)), Row(.unspecifiedIPv6),
        // The host's own addresses, other machines of its link, the cloud's metadata service.
        Row(lan4, "192.0.2.77:80"), Row(lan6, "[2001:db8::77]:80"),
        Row(InternetAddress(169, 254, 7, 7), "169.254.7.7:80"),
        Row(InternetAddress(169, 254, 169, 254), "169.254.169.254:80"),
        Row(InternetAddress(high: 0xfe80 << 48, low: 99)),
        // IPv4 in the clothes of IPv6: compatible, SIIT, NAT64, 6to4. Mapped ones are dropped before any policy.
        Row(InternetAddress(high: 0, low: 0x7f00_0001)), Row(InternetAddress(high: 0, low: 0xffff_0000_7f00_0001)),
        Row(InternetAddress(high: 0x0064_ff9b << 32, low: 0x7f00_0001)),
        Row(InternetAddress(high: 0x2002_7f00_0001_0000, low: 1)),
        Row(InternetAddress(high: 0x2002_a9fe_a9fe_0000, low: 1)),
        // The pod's network: its name server on other ports than 53, and nobody.
        Row(Addresses.dns), Row(Addresses.dns6), Row(InternetAddress(10, 0, 2, 77)),
        Row(InternetAddress(high: 0xfd00 << 48, low: 0x77)),
    ]

    /// One kind of packet to a port.
    enum Way: CaseIterable {
        case stream, datagram, fragmentedStream, fragmentedDatagram, dressedStream, dressedDatagram, echo
    }

    /// What a pod with these options can reach.
    struct Pod {
        let harness: Harness
        var source: UInt16 = 1000

        init(_ hostAccess: String?) throws {
            let settings = try NetworkOptions.settings(hostAccess.map { "private:host-access=\($0)" } ?? "private")
            let configuration = PodNetworkSettings(tap: settings).netConfiguration(podName: "pod")
            let outbound = try #require(configuration.outbound)
            harness = Harness(
                policy: configuration.policy(outbound, hostAddresses: [lan4, lan6].map { IPAddress($0) }))
        }

        mutating func reaches(_ address: InternetAddress, _ port: UInt16, _ way: Way) -> Bool {
            source += 1
            let pod = InternetEndpoint(address.isIPv4 ? Addresses.pod : Addresses.pod6, source)
            for packet in packets(pod, InternetEndpoint(address, port), way) { harness.inject(frame(packet)) }
            _ = harness.rawFrames()
            return !harness.events().isEmpty
        }

        private func packets(_ pod: InternetEndpoint, _ target: InternetEndpoint, _ way: Way) -> [Bytes] {
            let isIPv4 = pod.address.isIPv4
            let stream = Segment(
                source: pod, destination: target, flags: .syn, options: [2, 4, 5, 0xb4],
                data: Bytes(repeating: 1, count: 16)
            ).transport()
            let datagram = udpTransport(pod, target, Bytes(repeating: 1, count: 16))
            switch way {
            case .stream: return [ipPacket(6, pod.address, target.address, stream)]
            case .datagram: return [ipPacket(17, pod.address, target.address, datagram)]
            case .fragmentedStream: return fragments(6, pod, target, stream)
            case .fragmentedDatagram: return fragments(17, pod, target, datagram)
            case .dressedStream: return [dressed(6, pod, target, stream)]
            case .dressedDatagram: return [dressed(17, pod, target, datagram)]
            case .echo:
                let proto: UInt8 = isIPv4 ? 1 : 58
                let echo: Bytes = [isIPv4 ? 8 : 128, 0, 0, 0, 0, 1, 0, 1]
                return [
                    ipPacket(
                        proto, pod.address, target.address,
                        checksummed(echo, pod.address, target.address, proto, field: 2))
                ]
            }
        }

        /// Cut behind the transport's header, which is as short as a first fragment may be: RFC 7112.
        private func fragments(_ proto: UInt8, _ pod: InternetEndpoint, _ target: InternetEndpoint, _ bytes: Bytes)
            -> [Bytes]
        {
            let cut = proto == 6 ? 24 : 8
            return [(0..<cut, true), (cut..<bytes.count, false)].map { range, more in
                if pod.address.isIPv4 {
                    return ipv4Packet(
                        proto, pod.address, target.address, Bytes(bytes[range]), id: Int(pod.port),
                        fragment: range.lowerBound / 8 | (more ? 0x2000 : 0))
                }
                let header: Bytes = [proto, 0] + be16(range.lowerBound | (more ? 1 : 0)) + be32(UInt32(pod.port))
                return ipv6Packet(44, pod.address, target.address, header + Bytes(bytes[range]))
            }
        }

        /// Behind options of IPv4, or a hop-by-hop, a routing and a destination header of IPv6.
        private func dressed(_ proto: UInt8, _ pod: InternetEndpoint, _ target: InternetEndpoint, _ bytes: Bytes)
            -> Bytes
        {
            if pod.address.isIPv4 {
                return ipv4Packet(proto, pod.address, target.address, bytes, options: [1, 1, 1, 0])
            }
            let pad: Bytes = [1, 4, 0, 0, 0, 0]
            let headers = [43, 0] + pad + [60, 0, 4, 0, 0, 0, 0, 0] + [proto, 0] + pad
            return ipv6Packet(0, pod.address, target.address, headers + bytes)
        }
    }

    @Test func everyRowIsRefusedAndOneOpeningOpensOne() throws {
        let openings: [String?] = [nil] + Set(Self.rows.compactMap(\.opening)).sorted()
        for opening in openings {
            var pod = try Pod(opening)
            for row in Self.rows {
                for way in Way.allCases {
                    let isOpen = opening != nil && row.opening == opening && way != .echo
                    let isReached = pod.reaches(row.address, 80, way)
                    #expect(isReached == isOpen, "\(row) by \(way), open: \(opening ?? "-")")
                    for port in [79, 81, 53] as [UInt16] where way != .echo {
                        let isServer = row.address == Addresses.dns || row.address == Addresses.dns6
                        let isReached = pod.reaches(row.address, port, way)
                        #expect(
                            isReached == (isServer && port == 53),
                            "\(row) port \(port) by \(way), open: \(opening ?? "-")")
                    }
                }
            }
            // What is not the host's was never closed: the packets above fail for their destination alone.
            for way in Way.allCases {
                for server in [Addresses.server, Addresses.server6] {
                    let isReached = pod.reaches(server, 80, way)
                    #expect(isReached, "\(server) by \(way)")
                }
            }
        }
    }
}
