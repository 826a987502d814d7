// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// Reassembly of what the guest sends in pieces.
@Suite struct FragmentTests {
    let source = InternetEndpoint(Addresses.pod, 1000)
    let destination = InternetEndpoint(Addresses.server, 2000)
    let source6 = InternetEndpoint(Addresses.pod6, 1000)
    let destination6 = InternetEndpoint(Addresses.server6, 2000)

    func fragment(_ bytes: Bytes, _ range: Range<Int>, more: Bool, id: Int = 7, proto: UInt8 = 17) -> Bytes {
        frame(
            ipv4Packet(
                proto, source.address, destination.address, Bytes(bytes[range]), id: id,
                fragment: range.lowerBound / 8 | (more ? 0x2000 : 0)))
    }

    func fragment6(_ bytes: Bytes, _ range: Range<Int>, more: Bool, id: UInt32 = 7, next: UInt8 = 17) -> Bytes {
        let header: Bytes = [next, 0] + be16(range.lowerBound | (more ? 1 : 0)) + be32(id)
        return frame(ipv6Packet(44, source6.address, destination6.address, header + Bytes(bytes[range])))
    }

    @Test func anyOrderOfAnyCut() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        for isIPv6 in [false, true] {
            for id in 1...30 {
                let harness = Harness()
                let data = random.bytes(Int.random(in: 100...60_000, using: &random))
                let datagram =
                    isIPv6 ? udpTransport(source6, destination6, data) : udpTransport(source, destination, data)
                var cuts = [0]
                while let last = cuts.last, last < datagram.count {
                    cuts.append(min(datagram.count, last + 8 * Int.random(in: 1...1000, using: &random)))
                }
                var pieces = [Bytes]()
                for i in 0..<(cuts.count - 1) {
                    let range = cuts[i]..<cuts[i + 1]
                    let more = cuts[i + 1] < datagram.count
                    pieces.append(
                        isIPv6
                            ? fragment6(datagram, range, more: more, id: UInt32(id))
                            : fragment(datagram, range, more: more, id: id))
                }
                if pieces.count == 1 { continue }
                pieces.shuffle(using: &random)
                for piece in pieces { harness.inject(piece) }
                #expect(
                    harness.events().last
                        == .datagram(isIPv6 ? destination6 : destination, data, segmentSize: 0), "seed \(seed)")
                #expect(harness.count(of: .datagramsReassembled) == 1)
            }
        }
    }

    @Test func anyOverlapKillsTheDatagram() {
        let datagram = udpTransport(source, destination, Bytes(repeating: 1, count: 192))
        for overlap in [(0..<104, 96..<200), (0..<96, 0..<96), (0..<96, 8..<16), (0..<96, 88..<200)] {
            let harness = Harness()
            harness.inject(fragment(datagram, overlap.0, more: true))
            harness.inject(fragment(datagram, overlap.1, more: overlap.1.upperBound < 200))
            #expect(harness.count(of: .dropFragmentOverlap) == 1)
            // Nothing that follows brings it back within its time,
            harness.inject(fragment(datagram, 0..<96, more: true))
            harness.inject(fragment(datagram, 96..<200, more: false))
            #expect(harness.events().isEmpty)
            // and after that the identification is free again.
            harness.advance(15_000)
            harness.inject(fragment(datagram, 0..<96, more: true))
            harness.inject(fragment(datagram, 96..<200, more: false))
            #expect(harness.events().count == 2)
        }
    }

    @Test func contradictionsKillTheDatagram() {
        let datagram = udpTransport(source, destination, Bytes(repeating: 1, count: 392))
        // Two ends; an end before what has come; a piece behind the end.
        for pieces in [
            [(96..<200, false), (200..<240, false)], [(200..<240, true), (96..<200, false)],
            [(96..<200, false), (200..<240, true)],
        ] {
            let harness = Harness()
            for (range, more) in pieces { harness.inject(fragment(datagram, range, more: more)) }
            #expect(harness.count(of: .dropFragmentOverlap) == 1)
        }
    }

    @Test func oddPiecesAndTinyFirstFragmentsAreRefused() {
        let datagram = udpTransport(source, destination, Bytes(repeating: 1, count: 192))
        let harness = Harness()
        // A middle fragment must be a multiple of eight octets long.
        harness.inject(fragment(datagram, 0..<90, more: true))
        #expect(harness.count(of: .dropFragment) == 1 && harness.stack.nextDeadline == .never)
        // TCP needs 20 octets in the first.
        let segment = Segment(source: source, destination: destination, flags: .syn).transport()
        harness.inject(fragment(segment, 0..<8, more: true, id: 9, proto: 6))
        harness.inject(fragment(segment, 8..<20, more: false, id: 9, proto: 6))
        #expect(harness.events().isEmpty && harness.stack.tcpFlowCount == 0)
        // Past 64 KiB (the ping of death).
        let end = Bytes(repeating: 0, count: 65_600)
        harness.inject(
            frame(
                ipv4Packet(
                    17, source.address, destination.address, Bytes(end[0..<100]), id: 11, fragment: 0x1fff)))
        #expect(harness.count(of: .dropFragmentOverlap) >= 1)
    }

    @Test func timeIsLimitedAndReported() throws {
        let harness = Harness()
        let datagram = udpTransport(source, destination, Bytes(repeating: 1, count: 192))
        harness.inject(fragment(datagram, 0..<96, more: true))
        harness.advance(14_999)
        #expect(harness.rawFrames().isEmpty)
        harness.advance(1)
        let report = try harness.onlyFrame()
        #expect(report.transport[0] == 11 && report.transport[1] == 1)
        #expect(report.transport.at16(28) == 1000 && report.transport.at16(30) == 2000)
        harness.inject(fragment(datagram, 96..<200, more: false))
        #expect(harness.events().isEmpty)
    }

    @Test func theOldestOfTooManyGivesWay() {
        let harness = Harness()
        let datagram = udpTransport(source, destination, Bytes(repeating: 1, count: 192))
        for id in 0..<200 {
            harness.inject(fragment(datagram, 0..<96, more: true, id: id))
            harness.advance(1)
        }
        #expect(harness.count(of: .dropFragmentEvicted) == 136)
        harness.inject(fragment(datagram, 96..<200, more: false, id: 100))
        #expect(harness.events().isEmpty)
        harness.inject(fragment(datagram, 96..<200, more: false, id: 199))
        #expect(harness.events().count == 2)
    }

    @Test func connectionInFragments() throws {
        let harness = Harness()
        let syn = Segment(
            source: source, destination: destination, seq: 5, flags: .syn, options: [2, 4, 5, 0xb4, 1, 1, 1, 0]
        ).transport()
        harness.inject(fragment(syn, 0..<24, more: true, proto: 6))
        harness.inject(fragment(syn, 24..<28, more: false, proto: 6))
        #expect(try harness.onlyFrame().flags == [.syn, .ack])
    }

    @Test func extensionHeadersInTheFragmentedPart() {
        let harness = Harness()
        let data = Bytes(repeating: 3, count: 200)
        let whole: Bytes = [17, 0, 1, 4, 0, 0, 0, 0] + udpTransport(source6, destination6, data)
        harness.inject(fragment6(whole, 0..<96, more: true, next: 60))
        harness.inject(fragment6(whole, 96..<216, more: false, next: 60))
        #expect(harness.events().last == .datagram(destination6, data, segmentSize: 0))
        // The first fragment must reach to the transport header.
        harness.inject(fragment6(whole, 0..<8, more: true, id: 8, next: 60))
        harness.inject(fragment6(whole, 8..<216, more: false, id: 8, next: 60))
        #expect(harness.events().isEmpty)
    }
}
