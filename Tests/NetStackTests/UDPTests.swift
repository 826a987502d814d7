// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

@Suite struct UDPTests {
    let pod = InternetEndpoint(Addresses.pod, 5000)
    let server = InternetEndpoint(Addresses.server, 53)
    let pod6 = InternetEndpoint(Addresses.pod6, 5000)
    let server6 = InternetEndpoint(Addresses.server6, 53)

    func datagram(_ source: InternetEndpoint, _ destination: InternetEndpoint, _ data: Bytes) -> Bytes {
        frame(ipPacket(17, source.address, destination.address, udpTransport(source, destination, data)))
    }

    @Test func oneMappingForAllDestinations() {
        let harness = Harness()
        let other = InternetEndpoint(InternetAddress(203, 0, 113, 9), 99)
        harness.inject(datagram(pod, server, [1]))
        harness.inject(datagram(pod, other, []))
        #expect(
            harness.events() == [
                .mappingOpened(.udp, pod), .datagram(server, [1], segmentSize: 0), .datagram(other, [], segmentSize: 0),
            ])
        #expect(harness.stack.mappingCount == 1)
        harness.inject(datagram(pod6, server6, [2]))
        #expect(harness.stack.mappingCount == 2)
    }

    @Test func strangersAreFiltered() throws {
        let harness = Harness()
        harness.inject(datagram(pod, server, [1]))
        // The address counts, not the port.
        #expect(try harness.sendDatagrams([1], from: InternetEndpoint(Addresses.server, 7)).count == 1)
        #expect(throws: Unexpected.self) {
            try harness.sendDatagrams([1], from: InternetEndpoint(InternetAddress(203, 0, 113, 9), 53))
        }
        #expect(harness.count(of: .udpFiltered) == 1)
        #expect(throws: Unexpected.self) { try harness.sendDatagrams([1], from: self.server6) }
    }

    @Test func publishedPortsAdmitEveryoneAndStay() throws {
        let harness = Harness()
        harness.inject(datagram(InternetEndpoint(Addresses.pod, 1), server, [1]))
        _ = harness.events()
        harness.lastMapping = harness.publish(pod)
        #expect(harness.publish(pod) == nil)
        let client = InternetEndpoint(InternetAddress(203, 0, 113, 9), 4444)
        let sent = try #require(Received(try harness.sendDatagrams([1, 2], from: client)[0]))
        #expect(sent.source == client.address && sent.sourcePort == 4444 && sent.destinationPort == 5000)
        harness.advance(3_600_000)
        _ = harness.events()
        harness.inject(datagram(pod, client, [3]))
        #expect(harness.events() == [.datagram(client, [3], segmentSize: 0)])
    }

    @Test func idlenessEndsMappings() throws {
        let harness = Harness()
        harness.inject(datagram(pod, server, [1]))
        harness.advance(29_000)
        harness.inject(datagram(pod, server, [1]))
        harness.advance(29_999)
        #expect(!harness.events().contains(.mappingClosed))
        harness.advance(1)
        #expect(harness.events() == [.mappingClosed] && harness.stack.mappingCount == 0)
        // With a reply it is three minutes.
        harness.inject(datagram(pod, server, [1]))
        _ = try harness.sendDatagrams([1], from: server)
        harness.advance(179_999)
        #expect(harness.stack.mappingCount == 1)
        harness.advance(1)
        #expect(harness.stack.mappingCount == 0)
    }

    @Test func leastRecentlyUsedGivesWay() {
        var limits = Configuration.Limits()
        limits.udpMappings = 8
        limits.sharePerSource = 100
        let harness = Harness(limits: limits)
        for port in 1...8 { harness.inject(datagram(InternetEndpoint(Addresses.pod, UInt16(port)), server, [1])) }
        harness.inject(datagram(InternetEndpoint(Addresses.pod, 1), server, [1]))
        _ = harness.events()
        harness.inject(datagram(InternetEndpoint(Addresses.pod, 9), server, [1]))
        #expect(harness.events().first == .mappingClosed && harness.stack.mappingCount == 8)
        // Port 1 was used again, so port 2 went.
        harness.inject(datagram(InternetEndpoint(Addresses.pod, 1), server, [1]))
        #expect(harness.events() == [.datagram(server, [1], segmentSize: 0)])
        harness.inject(datagram(InternetEndpoint(Addresses.pod, 2), server, [1]))
        #expect(harness.events().contains(.mappingOpened(.udp, InternetEndpoint(Addresses.pod, 2))))
    }

    @Test func batchFromTheGuest() {
        let harness = Harness()
        let data = Bytes(repeating: 5, count: 24_000)
        var transport = udpTransport(pod, server, data)
        // As the kernel leaves it: the pseudo-header sum only.
        let sum = referenceSum(pseudoHeader(pod.address, server.address, 17, transport.count))
        transport.replaceSubrange(6..<8, with: be16(Int(sum)))
        let packet = ipv4Packet(17, pod.address, server.address, transport)
        harness.inject(
            frame(packet, offload: Offload(needsChecksum: true, gsoType: 5, gsoSize: 1200, start: 34, offset: 6)))
        #expect(harness.events().last == .datagram(server, data, segmentSize: 1200))
        // TCP segmentation on a datagram, a checksum somewhere else, no size, an unknown type: contradictions.
        for bad in [
            Offload(needsChecksum: true, gsoType: 1, gsoSize: 1200, start: 34, offset: 6),
            Offload(needsChecksum: true, gsoType: 5, gsoSize: 1200, start: 35, offset: 6),
            Offload(needsChecksum: true, gsoType: 5, gsoSize: 1200, start: 34, offset: 16),
            Offload(needsChecksum: true, gsoType: 5, gsoSize: 0, start: 34, offset: 6),
            Offload(needsChecksum: false, gsoType: 5, gsoSize: 1200),
            Offload(needsChecksum: true, gsoType: 3, gsoSize: 1200, start: 34, offset: 6),
            Offload(needsChecksum: true, gsoType: 77, gsoSize: 1200, start: 34, offset: 6),
        ] {
            harness.inject(frame(packet, offload: bad))
            #expect(harness.events().isEmpty)
        }
    }

    @Test func batchToTheGuest() throws {
        let harness = Harness()
        harness.inject(datagram(pod, server, [1]))
        let data = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let frames = try harness.sendDatagrams(data, from: server, segmentSize: 1200).map { try #require(Received($0)) }
        #expect(frames.count == 1 && frames[0].offload.gsoType == 5 && frames[0].offload.gsoSize == 1200)
        #expect(Bytes(frames[0].transport[8...]) == data)
        // More segments than a kernel takes in one frame.
        let many = try harness.sendDatagrams(data, from: server, segmentSize: 100).map { try #require(Received($0)) }
        #expect(many.count == 8 && many.map { ($0.transport.count - 8 + 99) / 100 }.allSatisfy { $0 <= 64 })
        #expect(many.flatMap { $0.transport[8...] } == data)
        // Without segmentation offload, one by one.
        let plain = Harness(offload: false)
        plain.inject(datagram(pod, server, [1]))
        let single = try plain.sendDatagrams(Bytes(data[0..<5000]), from: server, segmentSize: 1200)
            .map { try #require(Received($0)) }
        #expect(single.map { $0.transport.count - 8 } == [1200, 1200, 1200, 1200, 200])
        #expect(single.flatMap { $0.transport[8...] } == Bytes(data[0..<5000]))
    }

    @Test(arguments: [(1500, 12), (1280, 0), (9000, 10), (65_520, 12)])
    func largeDatagramsAreFragmented(_ mtu: Int, _ virtio: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        for (pod, server) in [(pod, server), (pod6, server6)] {
            for size in [0, 1, 1232, 1252, 1253, 1472, 1473, 30_001, 65_507] {
                let harness = Harness(mtu: mtu, virtio: virtio)
                harness.inject(
                    frame(
                        ipPacket(17, pod.address, server.address, udpTransport(pod, server, [1])), virtio: virtio))
                let data = random.bytes(size)
                let raw = try harness.sendDatagrams(data, from: server)
                var whole = Bytes()
                for (i, bytes) in raw.enumerated() {
                    #expect(bytes.count <= virtio + 14 + mtu)
                    let piece = try #require(Received(bytes, virtio: virtio))
                    #expect(piece.fragmentOffset == whole.count)
                    #expect(piece.more == (i < raw.count - 1))
                    whole += piece.transport
                }
                let header = pod.address.isIPv4 ? 20 : 40
                #expect((raw.count == 1) == (size + 8 + header <= mtu))
                if raw.count > 1 {
                    #expect(
                        referenceSum(pseudoHeader(server.address, pod.address, 17, whole.count) + whole) == 0xffff,
                        "seed \(seed)")
                }
                #expect(Bytes(whole[8...]) == data && whole.at16(4) == size + 8)
            }
        }
    }

    @Test func failuresAreReported() throws {
        let harness = Harness()
        harness.inject(datagram(pod, server, [1]))
        let mapping = try #require(harness.lastMapping)
        harness.stack.failDatagram(mapping, destination: server, error: .packetTooBig(mtu: 1400), now: harness.now)
        let tooBig = try harness.onlyFrame()
        #expect(Bytes(tooBig.transport[0..<2]) == [3, 4] && tooBig.transport.at32(4) == 1400)
        #expect(tooBig.transport.at16(28) == 5000 && tooBig.transport.at16(30) == 53)
        harness.stack.failDatagram(mapping, destination: server, error: .portUnreachable, now: harness.now)
        let closed = try harness.onlyFrame()
        #expect(Bytes(closed.transport[0..<2]) == [3, 3] && closed.source == Addresses.server)
        harness.inject(datagram(pod6, server6, [1]))
        let mapping6 = try #require(harness.lastMapping)
        harness.stack.failDatagram(mapping6, destination: server6, error: .packetTooBig(mtu: 1300), now: harness.now)
        let tooBig6 = try harness.onlyFrame()
        #expect(Bytes(tooBig6.transport[0..<2]) == [2, 0] && tooBig6.transport.at32(4) == 1300)
    }

    @Test func malformedDatagramsAreDropped() {
        let harness = Harness()
        var bad = udpTransport(pod, server, [1, 2, 3])
        bad[9] ^= 1
        harness.inject(frame(ipv4Packet(17, pod.address, server.address, bad)))
        #expect(harness.count(of: .dropUDPChecksum) == 1)
        // A length beyond the packet, one below the header, port zero.
        for (length, port) in [(12, 53), (7, 53), (11, 0)] {
            let header = be16(5000) + be16(port) + be16(length) + [0, 0] + [1, 2, 3]
            harness.inject(frame(ipv4Packet(17, pod.address, server.address, header)))
        }
        #expect(harness.count(of: .dropMalformedUDP) == 3)
        #expect(harness.events().isEmpty)
        // No checksum is fine for IPv4 and an error for IPv6.
        let without = be16(5000) + be16(53) + be16(9) + [0, 0, 7]
        harness.inject(frame(ipv4Packet(17, pod.address, server.address, without)))
        #expect(harness.events().last == .datagram(server, [7], segmentSize: 0))
        harness.inject(frame(ipv6Packet(17, pod6.address, server6.address, without)))
        #expect(harness.events().isEmpty)
    }
}

extension Harness {
    func publish(_ source: InternetEndpoint) -> MappingID? { stack.publishUDP(source, now: now) }
}
