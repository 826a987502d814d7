// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// How a link treats frames, in parts of a thousand; delays in milliseconds.
struct Impairment: CustomTestStringConvertible, Sendable {
    var loss = 0
    var duplication = 0
    var reordering = 0
    var corruption = 0
    var name: String
    var testDescription: String { name }
}

/// Whole transfers, both ways at once, between the stack and a model guest over a link that loses, repeats, reorders and
/// corrupts, on a virtual clock.
@Suite struct TCPTransferTests {
    struct Outcome {
        var longestStall: UInt64 = 0
        var isComplete = false
        var milliseconds: UInt64 = 0
    }

    static func random(_ name: String, _ loss: Int, _ duplication: Int, _ reordering: Int, _ corruption: Int)
        -> Impairment
    {
        Impairment(loss: loss, duplication: duplication, reordering: reordering, corruption: corruption, name: name)
    }

    @Test(arguments: [
        random("clean", 0, 0, 0, 0), random("loss 1 %", 10, 0, 0, 0), random("duplicates", 0, 50, 0, 0),
        random("reordering", 0, 0, 50, 0), random("corruption", 0, 0, 0, 10), random("everything", 10, 10, 10, 5),
    ])
    func bytesArriveWithoutStalling(_ impairment: Impairment) {
        for seed in 1...6 as ClosedRange<UInt64> {
            let outcome = transfer(impairment, seed: seed, isIPv6: seed > 3, octets: 800_000)
            #expect(outcome.isComplete, "seed \(seed)")
            #expect(outcome.longestStall <= 1000, "seed \(seed) took \(outcome.milliseconds) ms")
        }
    }

    /// Seeds that nobody has seen before, and a link so bad that only completeness is asked for.
    @Test func bytesArriveOverAVeryBadLink() {
        let seed = UInt64.random(in: 0 ... .max)
        print("TCPTransferTests.bytesArriveOverAVeryBadLink seed \(seed)")
        let outcome = transfer(
            Self.random("bad", 60, 50, 100, 20), seed: seed, isIPv6: seed & 1 == 1, octets: 100_000)
        #expect(outcome.isComplete, "seed \(seed)")
    }

    /// A host side that takes and gives little at a time, and a guest that reads slowly.
    @Test func slowEndsOnBothSides() {
        for seed in 1...4 as ClosedRange<UInt64> {
            let outcome = transfer(
                Self.random("slow", 5, 5, 5, 0), seed: seed, isIPv6: false, octets: 150_000, isSlow: true)
            #expect(outcome.isComplete, "seed \(seed)")
            #expect(outcome.longestStall <= 1000, "seed \(seed) took \(outcome.milliseconds) ms")
        }
    }

    func transfer(
        _ impairment: Impairment, seed: UInt64, isIPv6: Bool, octets: Int, isSlow: Bool = false
    ) -> Outcome {
        var random = SeededGenerator(seed)
        let harness = Harness(mtu: [1500, 9000, 65_520].randomElement(using: &random) ?? 1500)
        let toHost = random.bytes(octets)
        let toGuest = random.bytes(octets)
        // Sequence numbers that wrap during the transfer.
        var guest = GuestTCP(
            local: InternetEndpoint(isIPv6 ? Addresses.pod6 : Addresses.pod, 40_000),
            remote: InternetEndpoint(isIPv6 ? Addresses.server6 : Addresses.server, 443),
            iss: 0xffff_ffff &- UInt32(octets / 2), outgoing: toHost, usesOffload: seed & 1 == 0,
            bufferSize: isSlow ? 20_000 : 256 * 1024)
        var link = [(time: UInt64, order: Int, toStack: Bool, bytes: Bytes)]()
        var order = 0
        let start = harness.now.nanoseconds / 1_000_000
        var now = start
        var outcome = Outcome()
        var lastProgress = now
        var progress = 0
        var hostSent = false
        harness.capacity = isSlow ? 8_000 : 1 << 20
        harness.endsWithData = seed & 2 == 0
        harness.stack.defersAcknowledgements = seed % 3 != 0

        func put(_ bytes: Bytes, toStack: Bool) {
            if random.chance(impairment.loss) { return }
            var copies = 1
            if random.chance(impairment.duplication) { copies = 2 }
            for _ in 0..<copies {
                var sent = bytes
                if random.chance(impairment.corruption) {
                    let bit = Int.random(in: (12 * 8)..<(sent.count * 8), using: &random)
                    sent[bit / 8] ^= 1 << UInt8(bit % 8)
                }
                order += 1
                let delay: UInt64 = random.chance(impairment.reordering) ? UInt64.random(in: 1...5, using: &random) : 0
                link.append((now + delay, order, toStack, sent))
            }
        }

        while now < start + 600_000 {
            harness.now = MonotonicTime(milliseconds: now)
            for segment in guest.output(now) { put(frame(segment.packet()), toStack: true) }
            harness.advance(0)
            harness.stack.flushAcknowledgements()
            for raw in harness.rawFrames() {
                // The kernel segments before anything can be lost, and completes the checksums.
                for piece in segmented(raw) { put(piece, toStack: false) }
            }
            link.sort { ($0.time, $0.order) < ($1.time, $1.order) }
            while let first = link.first, first.time <= now {
                link.removeFirst()
                if first.toStack {
                    if isSlow {
                        harness.takeLimit = random.chance(200) ? Int.random(in: 0...2_000, using: &random) : .max
                    }
                    harness.inject(first.bytes)
                } else if let received = Received(first.bytes) {
                    guest.receive(received, now)
                }
            }
            if let flow = harness.lastFlow, let socket = harness.sockets[flow] {
                if !hostSent && guest.isConnected {
                    hostSent = true
                    harness.hostSends(toGuest, flow)
                    harness.hostEnds(flow)
                }
                if isSlow {
                    harness.readLimit = Int.random(in: 1...3_000, using: &random)
                    harness.stack.setReceiveCapacity(
                        flow, Int.random(in: 0...8_000, using: &random), now: harness.now)
                    harness.stack.hostReadable(flow)
                }
                let total = guest.progress + socket.received.count + socket.consumed
                if total > progress {
                    progress = total
                    lastProgress = now
                }
                if guest.isDone && socket.isFinished && link.isEmpty { break }
            }
            outcome.longestStall = max(outcome.longestStall, now - lastProgress)
            guest.read(isSlow ? Int.random(in: 0...6_000, using: &random) : .max)
            if guest.wasReset { break }
            now += 1
        }
        outcome.milliseconds = now - start
        let socket = harness.lastFlow.flatMap { harness.sockets[$0] }
        outcome.isComplete =
            guest.isDone && guest.incoming == toGuest && socket?.received == toHost && socket?.isFinished == true
        #expect(harness.isConsistent())
        return outcome
    }

    /// What a kernel makes of an offloaded frame: segments with complete checksums.
    func segmented(_ raw: Bytes) -> [Bytes] {
        guard let whole = Received(raw) else {
            Issue.record("the stack has sent a broken frame")
            return []
        }
        // An error about a frame that was corrupted on its way.
        if whole.proto != 6 { return [raw] }
        let data = whole.data
        let size = whole.offload.gsoType == 0 ? max(1, data.count) : whole.offload.gsoSize
        var out = [Bytes]()
        var offset = 0
        repeat {
            let end = min(offset + size, data.count)
            var flags = whole.flags
            if end < data.count { flags.remove([.fin, .psh]) }
            let segment = Segment(
                source: InternetEndpoint(whole.source, UInt16(whole.sourcePort)),
                destination: InternetEndpoint(whole.destination, UInt16(whole.destinationPort)),
                seq: whole.seq &+ UInt32(offset), ack: whole.ack, flags: flags, window: whole.window,
                options: whole.tcpOptions, data: Bytes(data[offset..<end]))
            let packet = segment.packet()
            out.append(
                Bytes(repeating: 0, count: 12) + Addresses.podMAC + Addresses.gatewayMAC
                    + (whole.source.isIPv4 ? [8, 0] : [0x86, 0xdd]) + packet)
            offset = end
        } while offset < data.count
        return out
    }
}
