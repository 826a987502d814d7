// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// What may be reached, and which packets are not looked at further.
@Suite struct PolicyTests {
    static let closed4: [InternetAddress] = [
        InternetAddress(127, 0, 0, 1), InternetAddress(127, 1, 2, 3), InternetAddress(0, 0, 0, 0),
        InternetAddress(0, 1, 2, 3), InternetAddress(169, 254, 169, 254), InternetAddress(192, 0, 2, 77),
    ]
    static let closed6: [InternetAddress] = [
        InternetAddress(high: 0, low: 1), .unspecifiedIPv6, InternetAddress(high: 0, low: 0x7f00_0001),
        InternetAddress(high: 0xfe80 << 48, low: 99), InternetAddress(high: 0x0064_ff9b_0000_0000, low: 0x7f00_0001),
        InternetAddress(high: 0x2002_7f00_0001_0000, low: 1), InternetAddress(high: 0, low: 0xffff_0000_7f00_0001),
        InternetAddress(high: 0x2001_0db8 << 32, low: 0x77),
    ]

    func policy() -> DestinationPolicy {
        DestinationPolicy.protectingHost(
            exceptions: [
                DestinationPolicy.Rule(
                    InternetPrefix(Addresses.dns, 32), .allow, protocols: [.tcp, .udp], ports: 53...53),
                DestinationPolicy.Rule(InternetPrefix(Addresses.dns, 32), .refuse),
                DestinationPolicy.Rule(InternetPrefix(Addresses.gateway, 32), .refuse),
            ],
            hostAddresses: [InternetAddress(192, 0, 2, 77), InternetAddress(high: 0x2001_0db8 << 32, low: 0x77)])
    }

    @Test func everySpellingOfTheHostIsRefused() {
        for destination in Self.closed4 + Self.closed6 {
            let harness = Harness(policy: policy())
            let pod = destination.isIPv4 ? Addresses.pod : Addresses.pod6
            let source = InternetEndpoint(pod, 4000)
            let target = InternetEndpoint(destination, 80)
            harness.inject(Segment(source: source, destination: target, flags: .syn))
            harness.inject(frame(ipPacket(17, pod, destination, udpTransport(source, target, [1]))))
            let echo: Bytes = destination.isIPv4 ? [8, 0, 0, 0, 0, 1, 0, 1] : [128, 0, 0, 0, 0, 1, 0, 1]
            let proto: UInt8 = destination.isIPv4 ? 1 : 58
            harness.inject(
                frame(ipPacket(proto, pod, destination, checksummed(echo, pod, destination, proto, field: 2))))
            #expect(harness.events().isEmpty, "\(destination)")
            #expect(harness.stack.tcpFlowCount == 0 && harness.stack.mappingCount == 0)
            #expect(harness.frames().allSatisfy { $0?.proto == proto })
        }
    }

    @Test func theDNSExceptionIsExact() {
        let harness = Harness(policy: policy())
        func attempt(_ port: UInt16) -> [Seen] {
            harness.inject(
                Segment(
                    source: InternetEndpoint(Addresses.pod, 4000 + port),
                    destination: InternetEndpoint(Addresses.dns, port),
                    flags: .syn))
            return harness.events()
        }
        #expect(attempt(53).count == 1)
        #expect(attempt(52).isEmpty && attempt(54).isEmpty)
        #expect(harness.count(of: .tcpRefused) == 2)
    }

    @Test func mappedAddressesOnTheWireAreDropped() {
        let harness = Harness()
        let mapped = InternetAddress(127, 0, 0, 1)
        var packet = ipv6Packet(6, Addresses.pod6, Addresses.server6, Bytes(repeating: 0, count: 20))
        let bytes = Bytes(repeating: 0, count: 10) + [0xff, 0xff] + be32(mapped.ipv4)
        packet.replaceSubrange(24..<40, with: bytes)
        harness.inject(frame(packet))
        packet.replaceSubrange(8..<24, with: bytes)
        harness.inject(frame(packet))
        #expect(harness.count(of: .dropMappedAddress) == 2)
    }

    @Test func foreignSourcesAndGroupsAreDropped() {
        let harness = Harness()
        for source in [Addresses.server, InternetAddress(127, 0, 0, 1), Addresses.gateway, Addresses.dns] {
            harness.inject(
                Segment(
                    source: InternetEndpoint(source, 1), destination: InternetEndpoint(Addresses.server, 2), flags: .syn
                ))
        }
        #expect(harness.count(of: .dropForeignSource) == 4)
        for destination in [
            InternetAddress(224, 0, 0, 251), InternetAddress(255, 255, 255, 255), InternetAddress(240, 0, 0, 1),
        ] {
            harness.inject(
                Segment(
                    source: InternetEndpoint(Addresses.pod, 1), destination: InternetEndpoint(destination, 2),
                    flags: .syn))
        }
        #expect(harness.count(of: .dropMulticast) == 3)
        #expect(harness.events().isEmpty && harness.rawFrames().isEmpty)
    }

    @Test func framesForOthersAndUnknownTypes() {
        let harness = Harness()
        let syn = Segment(
            source: InternetEndpoint(Addresses.pod, 1), destination: InternetEndpoint(Addresses.server, 2), flags: .syn
        ).packet()
        harness.inject(frame(syn, destination: [2, 0, 0, 0, 0, 9]))
        var vlan = frame(syn)
        vlan[24] = 0x81
        vlan[25] = 0
        harness.inject(vlan)
        harness.inject(Bytes(frame(syn)[0..<20]))
        #expect(harness.count(of: .dropForeignMAC) == 1 && harness.count(of: .dropUnknownEtherType) == 1)
        #expect(harness.count(of: .dropMalformedEthernet) == 1)
        #expect(harness.events().isEmpty)
    }

    @Test func malformedIPv4() {
        let harness = Harness()
        let good = Segment(
            source: InternetEndpoint(Addresses.pod, 1), destination: InternetEndpoint(Addresses.server, 2), flags: .syn)
        var corrupt = good.packet()
        corrupt[8] = 63
        harness.inject(frame(corrupt))
        #expect(harness.count(of: .dropIPv4Checksum) == 1)
        var short = good.packet()
        short[3] = 200
        harness.inject(frame(short))
        short[3] = 10
        harness.inject(frame(short))
        short[0] = 0x44
        harness.inject(frame(short))
        #expect(harness.count(of: .dropMalformedIPv4) == 3)
        // Options pass, source routes and broken ones do not.
        harness.inject(
            frame(
                ipv4Packet(6, Addresses.pod, Addresses.server, good.transport(), options: [1, 0x94, 4, 0, 0, 0, 0, 0])))
        #expect(harness.events().count == 1)
        harness.inject(
            frame(ipv4Packet(6, Addresses.pod, Addresses.server, good.transport(), options: [131, 3, 4, 0])))
        #expect(harness.count(of: .dropSourceRoute) == 1)
        harness.inject(frame(ipv4Packet(6, Addresses.pod, Addresses.server, good.transport(), options: [7, 9, 4, 0])))
        #expect(harness.count(of: .dropMalformedIPv4) == 4)
    }

    func extended(_ headers: [(type: UInt8, body: Bytes)]) -> Bytes {
        let segment = Segment(
            source: InternetEndpoint(Addresses.pod6, 1), destination: InternetEndpoint(Addresses.server6, 2),
            flags: .syn)
        var payload = Bytes()
        for (i, header) in headers.enumerated() {
            let next = i + 1 < headers.count ? headers[i + 1].type : 6
            payload += [next, UInt8((header.body.count + 2) / 8 - 1)] + header.body
        }
        return frame(
            ipv6Packet(headers.first?.type ?? 6, Addresses.pod6, Addresses.server6, payload + segment.transport()))
    }

    @Test func extensionHeaders() throws {
        let pad: Bytes = [1, 4, 0, 0, 0, 0]
        let passing: [[(type: UInt8, body: Bytes)]] = [
            [], [(0, pad)], [(0, [5, 2, 0, 0, 0, 0])], [(0, pad), (60, pad)], Array(repeating: (60, pad), count: 8),
            [(60, [0x1e, 4, 0, 0, 0, 0])], [(43, [4, 0, 0, 0, 0, 0])],
            [(44, [0, 0, 0, 0, 0, 9])],
        ]
        for headers in passing {
            let harness = Harness()
            harness.inject(extended(headers))
            #expect(harness.events().count == 1, "\(headers)")
        }
        let silent: [[(type: UInt8, body: Bytes)]] = [
            Array(repeating: (60, pad), count: 9), [(60, [0x5e, 4, 0, 0, 0, 0])], [(60, [1, 40, 0, 0, 0, 0])],
            [
                (60, [1, 250] + Bytes(repeating: 0, count: 252)), (60, [1, 250] + Bytes(repeating: 0, count: 252)),
                (60, pad),
            ],
        ]
        for headers in silent {
            let harness = Harness()
            harness.inject(extended(headers))
            #expect(harness.events().isEmpty && harness.rawFrames().isEmpty)
        }
        // Routing header type 0, a route that goes on, a misplaced hop-by-hop header, an unknown option that says so,
        // a jumbo payload.
        let problems: [([(type: UInt8, body: Bytes)], Bytes)] = [
            ([(43, [0, 0, 0, 0, 0, 0])], [4, 0]), ([(43, [4, 1, 0, 0, 0, 0])], [4, 0]),
            ([(60, pad), (0, pad)], [4, 1]), ([(60, [0x9e, 4, 0, 0, 0, 0])], [4, 2]),
            ([(0, [0xc2, 4, 0, 1, 0, 0])], [4, 2]),
        ]
        for (headers, codes) in problems {
            let harness = Harness()
            harness.inject(extended(headers))
            #expect(harness.events().isEmpty)
            #expect(Bytes(try harness.onlyFrame().transport[0..<2]) == codes)
        }
    }

    @Test func hopLimits() throws {
        for (pod, server, type) in [(Addresses.pod, Addresses.server, 11), (Addresses.pod6, Addresses.server6, 3)] {
            let harness = Harness()
            let segment = Segment(
                source: InternetEndpoint(pod, 1), destination: InternetEndpoint(server, 2), flags: .syn)
            harness.inject(frame(segment.packet(ttl: 1)))
            let report = try harness.onlyFrame()
            #expect(Int(report.transport[0]) == type && report.transport[1] == 0)
            #expect(report.source == (pod.isIPv4 ? Addresses.gateway : Addresses.gateway6))
            harness.inject(frame(segment.packet(ttl: 0)))
            #expect(harness.rawFrames().isEmpty && harness.events().isEmpty)
            harness.inject(frame(segment.packet(ttl: 2)))
            #expect(harness.events().count == 1)
        }
    }

    @Test func unknownProtocols() throws {
        let harness = Harness()
        harness.inject(frame(ipv4Packet(132, Addresses.pod, Addresses.server, Bytes(repeating: 0, count: 40))))
        let report = try harness.onlyFrame()
        #expect(Bytes(report.transport[0..<2]) == [3, 2])
        harness.inject(frame(ipv6Packet(132, Addresses.pod6, Addresses.server6, Bytes(repeating: 0, count: 40))))
        #expect(Bytes(try harness.onlyFrame().transport[0..<2]) == [4, 1])
        harness.inject(frame(ipv6Packet(59, Addresses.pod6, Addresses.server6, [])))
        #expect(harness.rawFrames().isEmpty)
    }

    @Test func errorsAreLimitedAndNeverAnswerErrors() {
        let harness = Harness(policy: DestinationPolicy(otherwise: .refuse))
        let source = InternetEndpoint(Addresses.pod, 5)
        let target = InternetEndpoint(Addresses.server, 6)
        var count = 0
        for _ in 0..<500 {
            harness.inject(frame(ipv4Packet(17, source.address, target.address, udpTransport(source, target, [1]))))
            count += harness.rawFrames().count
        }
        #expect(count <= 50)
        harness.advance(2_000)
        let error = checksummed([3, 3, 0, 0, 0, 0, 0, 0], source.address, target.address, 1, field: 2)
        harness.inject(frame(ipv4Packet(1, source.address, target.address, error, ttl: 1)))
        #expect(harness.rawFrames().isEmpty)
    }

    @Test func echoOfOthersIsAskedAndAnsweredByTheCaller() throws {
        for (pod, server, proto, request, reply) in [
            (Addresses.pod, Addresses.server, 1 as UInt8, 8 as UInt8, 0 as UInt8),
            (Addresses.pod6, Addresses.server6, 58, 128, 129),
        ] {
            let harness = Harness()
            let echo = checksummed([request, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2, 3], pod, server, proto, field: 2)
            harness.inject(frame(ipPacket(proto, pod, server, echo)))
            #expect(
                harness.events() == [
                    .mappingOpened(.echo, InternetEndpoint(pod, 0x1234)), .echo(server, 7, [1, 2, 3]),
                ])
            #expect(harness.rawFrames().isEmpty)
            let mapping = try #require(harness.lastMapping)
            let payload: Bytes = [1, 2, 3]
            payload.withUnsafeBytes {
                harness.stack.replyEcho(mapping, from: server, sequence: 7, payload: $0, now: harness.now)
            }
            let answer = try harness.onlyFrame()
            #expect(answer.source == server && answer.destination == pod)
            #expect(answer.transport[0] == reply && Bytes(answer.transport[4...]) == Bytes(echo[4...]))
            // Without ping sockets: prohibited, once a second.
            for _ in 0..<3 {
                harness.stack.failEcho(
                    mapping, destination: server, sequence: 7, error: .adminProhibited, now: harness.now)
            }
            let refusal = try harness.onlyFrame()
            #expect(Bytes(refusal.transport[0..<2]) == (pod.isIPv4 ? [3, 13] : [1, 1]))
        }
    }

    @Test func largeEchoToTheGatewayIsFragmented() {
        let harness = Harness()
        let data = Bytes(repeating: 0x5a, count: 4000)
        let echo = checksummed([8, 0, 0, 0, 0, 1, 0, 1] + data, Addresses.pod, Addresses.gateway, 1, field: 2)
        for (start, end) in [(0, 1480), (1480, 2960), (2960, 4008)] {
            harness.inject(
                frame(
                    ipv4Packet(
                        1, Addresses.pod, Addresses.gateway, Bytes(echo[start..<end]), id: 3,
                        fragment: start / 8 | (end < 4008 ? 0x2000 : 0))))
        }
        let pieces = harness.frames().compactMap { $0 }
        #expect(pieces.count == 3)
        let whole = pieces.flatMap(\.transport)
        #expect(whole.count == 4008 && whole[0] == 0 && referenceSum(whole) == 0xffff)
        #expect(Bytes(whole[8...]) == data)
    }

    @Test func neighbourDiscovery() throws {
        let solicited = InternetAddress(high: 0xff02 << 48, low: 0x1_ff00_0003)
        func solicit(_ source: InternetAddress, _ target: InternetAddress, hops: UInt8 = 255, options: Bytes = [])
            -> Bytes
        {
            let body: Bytes = [135, 0, 0, 0, 0, 0, 0, 0] + addressBytes(target) + options
            return frame(
                ipv6Packet(58, source, solicited, checksummed(body, source, solicited, 58, field: 2), hops: hops),
                destination: [0x33, 0x33, 0xff, 0, 0, 3])
        }
        let harness = Harness()
        harness.inject(solicit(Addresses.pod6, Addresses.dns6))
        #expect(try harness.onlyFrame().transport[0] == 136)
        // Duplicate address detection is answered to all nodes.
        harness.inject(solicit(.unspecifiedIPv6, Addresses.dns6))
        let defence = try harness.onlyFrame()
        #expect(defence.destination == InternetAddress(high: 0xff02 << 48, low: 1) && defence.transport[4] == 0xa0)
        // From afar, for others, with a broken option: nothing.
        harness.inject(solicit(Addresses.pod6, Addresses.dns6, hops: 64))
        harness.inject(solicit(Addresses.pod6, Addresses.pod6))
        harness.inject(solicit(Addresses.pod6, Addresses.dns6, options: [1, 0, 0, 0, 0, 0, 0, 0]))
        #expect(harness.rawFrames().isEmpty)
        // Router solicitations are ignored.
        let all = InternetAddress(high: 0xff02 << 48, low: 2)
        let router = checksummed([133, 0, 0, 0, 0, 0, 0, 0], Addresses.pod6, all, 58, field: 2)
        harness.inject(
            frame(ipv6Packet(58, Addresses.pod6, all, router, hops: 255), destination: [0x33, 0x33, 0, 0, 0, 2]))
        #expect(harness.rawFrames().isEmpty && harness.count(of: .dropIgnoredICMP) == 1)
    }

    @Test func arpForOthersIsNotAnswered() {
        let harness = Harness()
        for (target, operation) in [([10, 0, 2, 9], 1), ([10, 0, 2, 2], 2)] as [(Bytes, Int)] {
            let message: Bytes = [0, 1, 8, 0, 6, 4] + be16(operation) + Addresses.podMAC + [10, 0, 2, 100]
            let ethernet = Bytes(repeating: 0xff, count: 6) + Addresses.podMAC + [0x08, 0x06]
            harness.inject(Bytes(repeating: 0, count: 12) + ethernet + message + Bytes(repeating: 0, count: 6) + target)
        }
        #expect(harness.rawFrames().isEmpty)
    }
}
