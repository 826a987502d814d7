// SPDX-License-Identifier: Apache-2.0
import Foundation
import NetStack
import Testing

/// Hostile input: frames of noise, and valid frames with a few octets changed, while the caller does anything at any time.
/// What must hold: no trap, tables within their limits and in agreement, and every frame sent is well-formed.
@Suite struct FuzzTests {
    /// What the harness is fed with.
    enum Target: String, CaseIterable, Sendable {
        case noise, traffic, names

        /// All, or the one that SAMARA_FUZZ_TARGET names: long runs have a process for each.
        static var wanted: [Self] {
            let name = ProcessInfo.processInfo.environment["SAMARA_FUZZ_TARGET"]
            return allCases.filter { name == nil || name == $0.rawValue }
        }
    }

    /// Random seeds for as long as SAMARA_FUZZ_SECONDS says, by default a second each.
    @Test(arguments: Target.wanted) func randomSeeds(_ target: Target) {
        let wanted = ProcessInfo.processInfo.environment["SAMARA_FUZZ_SECONDS"].flatMap(Double.init) ?? 1
        let deadline = ContinuousClock.now + .seconds(wanted)
        var inputs = 0
        var runs = 0
        repeat {
            let seed = UInt64.random(in: 0 ... .max)
            print("FuzzTests.randomSeeds \(target) seed \(seed)")
            switch target {
            case .noise: inputs += noise(seed, 500)
            case .traffic: inputs += traffic(seed, 2_000)
            case .names: inputs += names(seed, 5_000)
            }
            runs += 1
        } while ContinuousClock.now < deadline
        print("FuzzTests.randomSeeds \(target): \(inputs) inputs, \(runs) seeds")
    }

    @Test func noiseIsSurvived() { _ = noise(1, 1_000) }

    /// Returns the number of frames.
    func noise(_ seed: UInt64, _ count: Int) -> Int {
        var random = SeededGenerator(seed)
        for virtio in [0, 10, 12] {
            let harness = Harness(virtio: virtio)
            for _ in 0..<count {
                var bytes = random.bytes(Int.random(in: 0...(random.chance(50) ? 3_000 : 120), using: &random))
                // Past the first gates, or nothing beyond them is ever reached.
                let type = virtio + 12
                if bytes.count >= type + 2 && random.chance(900) {
                    if virtio > 0 { for i in 0..<virtio { bytes[i] = 0 } }
                    bytes.replaceSubrange(virtio..<(virtio + 6), with: Addresses.gatewayMAC)
                    bytes.replaceSubrange((virtio + 6)..<type, with: Addresses.podMAC)
                    let types: [Bytes] = [[8, 0], [8, 6], [0x86, 0xdd]]
                    bytes.replaceSubrange(type..<(type + 2), with: types.randomElement(using: &random) ?? [8, 0])
                }
                harness.inject(bytes)
                #expect(harness.frames().allSatisfy { $0 != nil }, "seed \(seed)")
            }
            #expect(harness.isConsistent())
        }
        return 3 * count
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func mutatedTrafficIsSurvived(_ seed: UInt64) { _ = traffic(seed, 12_000) }

    func traffic(_ seed: UInt64, _ count: Int) -> Int {
        var random = SeededGenerator(seed)
        var limits = Configuration.Limits()
        limits.tcpFlows = 48
        limits.tcpHalfOpen = 10
        limits.udpMappings = 12
        limits.echoMappings = 6
        limits.controlFrameBytes = 8_192
        limits.events = 32
        let harness = Harness(mtu: random.chance(500) ? 1500 : 65_520, limits: limits)
        harness.stack.defersAcknowledgements = random.chance(500)
        var flows = [FlowID]()
        for step in 0..<count {
            harness.endsWithData = random.chance(500)
            if random.chance(200) { harness.stack.flushAcknowledgements() }
            harness.accepts = random.chance(700)
            harness.takeLimit = random.chance(800) ? .max : Int.random(in: 0...50, using: &random)
            harness.capacity = random.chance(800) ? 1 << 20 : Int.random(in: 0...3_000, using: &random)
            harness.inject(mutated(validFrame(&random, harness), &random))
            if let flow = harness.lastFlow, flows.last != flow { flows.append(flow) }
            if flows.count > 60 { flows.removeFirst() }
            if let flow = flows.randomElement(using: &random) { act(on: flow, harness, &random) }
            if random.chance(100) {
                harness.advance(UInt64.random(in: 0...(random.chance(100) ? 200_000 : 500), using: &random))
            }
            if random.chance(600) {
                for frame in harness.frames() { #expect(frame != nil, "seed \(seed) step \(step)") }
            }
            #expect(harness.stack.tcpFlowCount <= 48 && harness.stack.tcpHalfOpenCount <= 10)
            #expect(harness.stack.mappingCount <= 18)
            if step % 100 == 0 { #expect(harness.isConsistent(), "seed \(seed) step \(step)") }
            _ = harness.events()
        }
        // Everything ends when the guest falls silent: nothing half-open, no timer, no mapping is left behind.
        for _ in 0..<40 {
            harness.advance(200_000)
            _ = harness.frames()
        }
        #expect(harness.stack.mappingCount == 0 && harness.isConsistent(), "seed \(seed)")
        return count
    }

    func act(on flow: FlowID, _ harness: Harness, _ random: inout SeededGenerator) {
        switch Int.random(in: 0..<40, using: &random) {
        case 0..<6: harness.hostSends(random.bytes(Int.random(in: 1...4_000, using: &random)), flow)
        case 6: harness.hostEnds(flow)
        case 7: harness.stack.resetConnection(flow, now: harness.now)
        case 8:
            harness.stack.refuseConnection(flow, error: random.chance(500) ? nil : .hostUnreachable, now: harness.now)
        case 9: harness.stack.acceptConnection(flow, receiveCapacity: 5_000, now: harness.now)
        case 10..<13:
            harness.stack.setReceiveCapacity(flow, Int.random(in: 0...9_000, using: &random), now: harness.now)
        case 13:
            if let mapping = harness.lastMapping { harness.stack.closeMapping(mapping) }
        case 14..<18:
            _ = try? harness.sendDatagrams(
                random.bytes(Int.random(in: 0...5_000, using: &random)),
                from: InternetEndpoint(Addresses.server, 53), segmentSize: random.chance(500) ? 300 : 0)
        case 18:
            if let mapping = harness.lastMapping {
                harness.stack.failDatagram(
                    mapping, destination: InternetEndpoint(Addresses.server, 53), error: .portUnreachable,
                    now: harness.now)
            }
        case 19:
            _ = harness.open(
                from: InternetEndpoint(Addresses.server, UInt16.random(in: 1...9, using: &random)),
                to: InternetEndpoint(Addresses.pod, UInt16.random(in: 1...9, using: &random)))
        default: break
        }
    }

    /// A frame of some protocol from few endpoints, so that flows are hit again and again.
    func validFrame(_ random: inout SeededGenerator, _ harness: Harness) -> Bytes {
        let isIPv6 = random.chance(300)
        let pod = isIPv6 ? Addresses.pod6 : Addresses.pod
        let server = isIPv6 ? Addresses.server6 : Addresses.server
        let source = InternetEndpoint(pod, UInt16.random(in: 1...30, using: &random))
        let target = InternetEndpoint(server, UInt16.random(in: 1...3, using: &random))
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<12:
            let kinds: [TCPFlags] = [.syn, .ack, [.ack, .psh], [.fin, .ack], .rst, [.syn, .ack], [], [.rst, .ack]]
            // Sequence numbers near each other: inside, before and behind windows.
            return frame(
                Segment(
                    source: source, destination: target, seq: UInt32.random(in: 990...1_300, using: &random),
                    ack: random.chance(500)
                        ? lastSequence(harness, &random) : UInt32.random(in: 0 ... .max, using: &random),
                    flags: kinds.randomElement(using: &random) ?? .ack,
                    window: random.chance(300) ? 0 : Int.random(in: 0...65_535, using: &random),
                    options: random.chance(300) ? [2, 4, 5, 0xb4, 1, 3, 3, 7] : [],
                    data: random.bytes(Int.random(in: 0...100, using: &random))
                ).packet())
        case 12..<15:
            return frame(
                ipPacket(
                    17, pod, server, udpTransport(source, target, random.bytes(Int.random(in: 0...200, using: &random)))
                ))
        case 15..<17:
            let proto: UInt8 = isIPv6 ? 58 : 1
            let body: Bytes = [isIPv6 ? 128 : 8, 0, 0, 0, 0, UInt8(source.port), 0, 1, 1, 2, 3]
            let to = random.chance(500) ? server : (isIPv6 ? Addresses.gateway6 : Addresses.gateway)
            return frame(ipPacket(proto, pod, to, checksummed(body, pod, to, proto, field: 2)))
        case 17:
            return frame(
                ipv4Packet(
                    17, Addresses.pod, Addresses.server, random.bytes(Int.random(in: 1...20, using: &random) * 8),
                    id: Int.random(in: 0...90, using: &random),
                    fragment: Int.random(in: 0...40, using: &random) | (random.chance(700) ? 0x2000 : 0)))
        case 18:
            let body: Bytes = [135, 0, 0, 0, 0, 0, 0, 0] + addressBytes(Addresses.gateway6)
            return frame(
                ipv6Packet(
                    58, Addresses.pod6, Addresses.gateway6,
                    checksummed(body, Addresses.pod6, Addresses.gateway6, 58, field: 2), hops: 255))
        default:
            let types: [UInt8] = [0, 43, 44, 60]
            let first = types.randomElement(using: &random) ?? 0
            let body = [types.randomElement(using: &random) ?? 6, 0] + random.bytes(62)
            return frame(ipv6Packet(first, Addresses.pod6, Addresses.server6, body))
        }
    }

    /// The acknowledgement a real guest might send: of the last frame that the stack has sent.
    func lastSequence(_ harness: Harness, _ random: inout SeededGenerator) -> UInt32 {
        guard case let frame?? = harness.frames().last, frame.proto == 6 else { return 1_000 }
        return frame.seq &+ UInt32(frame.data.count) &+ UInt32.random(in: 0...1, using: &random)
    }

    func mutated(_ bytes: Bytes, _ random: inout SeededGenerator) -> Bytes {
        var out = bytes
        if random.chance(400) { return out }
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: out.removeLast(Int.random(in: 0..<out.count, using: &random))
            case 1: out += random.bytes(Int.random(in: 0...40, using: &random))
            case 2..<4 where out.count > 12:
                // The offload header: its claims vouch for the checksum, so everything behind it is reached.
                let fields: [Bytes] = [[1, 0], [1, 1], [1, 4], [1, 5], [2, 0], [0, 5]]
                out.replaceSubrange(0..<2, with: fields.randomElement(using: &random) ?? [0, 0])
                out[4] = UInt8.random(in: 0...255, using: &random)
                out[6] = [34, 54, 40, 14].randomElement(using: &random) ?? 34
                out[8] = [16, 6, 2].randomElement(using: &random) ?? 16
            default:
                guard out.count > 26 else { return out }
                out[Int.random(in: 12..<out.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if out.isEmpty { return out }
        }
        // A correct IPv4 header checksum, mostly, or the mutation goes no further than that.
        if out.count >= 46 && out[24] == 8 && out[25] == 0 && out[26] >> 4 == 4 && random.chance(900) {
            let length = min(max(20, Int(out[26] & 15) * 4), out.count - 26)
            out[36] = 0
            out[37] = 0
            out.replaceSubrange(36..<38, with: be16(Int(~referenceSum(Bytes(out[26..<(26 + length)])))))
        }
        return out
    }

    @Test func messagesOfTheDNS() { _ = names(1, 20_000) }

    func names(_ seed: UInt64, _ count: Int) -> Int {
        var random = SeededGenerator(seed)
        let valid = hex(
            """
            1234 0100 0001 0000 0000 0001  // query, recursion desired
            0377 6562 03 706f 6400 0001 0001  // web.pod A IN
            00 0029 04d0 0000 0000 0000  // OPT, 1232
            """)
        for _ in 0..<count {
            var bytes = random.chance(300) ? random.bytes(Int.random(in: 0...80, using: &random)) : valid
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if random.chance(300) { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
            bytes.withUnsafeBytes { message in
                guard let query = try? DNSQuery(ByteView(message)) else { return }
                withUnsafeTemporaryAllocation(byteCount: 300, alignment: 8) { text in
                    if let length = query.copyName(into: MutableByteView(text)) {
                        let name = ByteView(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[..<length]))
                        #expect(query.nameEquals(name) || length == 0, "seed \(seed)")
                    }
                    _ = query.reverseAddress
                    var response = DNSResponse(to: MutableByteView(text), answering: query)
                    response?.add(Addresses.pod, timeToLive: 1)
                    if let length = response?.finish(.noError) { #expect(length <= 300) }
                }
            }
        }
        return count
    }
}
