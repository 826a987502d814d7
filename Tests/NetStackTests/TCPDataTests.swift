// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// Synchronized connections: data and windows both ways, segment by segment.
@Suite struct TCPDataTests {
    // MARK: Data from the guest

    @Test func dataIsAcknowledgedWhenTaken() throws {
        var (harness, client) = try connected()
        client.send([.ack, .psh], [1, 2, 3])
        #expect(harness.events() == [.data([1, 2, 3])])
        let ack = try harness.onlyFrame()
        #expect(ack.flags == .ack && ack.ack == client.seq &+ 3 && ack.seq == client.ack)
        // A burst costs one acknowledgement.
        client.seq &+= 3
        for i in 0..<5 { client.send([.ack], [UInt8(i)], seq: client.seq &+ UInt32(i)) }
        #expect(try harness.onlyFrame().ack == client.seq &+ 5)
    }

    @Test func smallAcknowledgementsWaitForData() throws {
        var (harness, client) = try connected()
        harness.stack.defersAcknowledgements = true
        client.send([.ack, .psh], Bytes("request".utf8))
        client.seq &+= 7
        #expect(harness.rawFrames().isEmpty)
        harness.hostSends(Bytes("answer".utf8), client.flow)
        let answer = try harness.onlyFrame()
        #expect(answer.data == Array("answer".utf8) && answer.ack == client.seq)
        harness.stack.flushAcknowledgements()
        #expect(harness.rawFrames().isEmpty)
        // Nothing to go with: it goes when the caller has nothing else to do.
        client.send([.ack, .psh], Bytes("again".utf8), ack: answer.seq &+ 6)
        client.seq &+= 5
        #expect(harness.rawFrames().isEmpty)
        #expect(harness.hasDeferredAcknowledgements())
        harness.stack.flushAcknowledgements()
        #expect(try harness.onlyFrame().ack == client.seq)
        #expect(!harness.hasDeferredAcknowledgements())
        #expect(harness.isConsistent())
    }

    @Test func twoSegmentsAndRepetitionsAreAcknowledgedAtOnce() throws {
        var (harness, client) = try connected()
        harness.stack.defersAcknowledgements = true
        let segment = Bytes(repeating: 1, count: 1460)
        client.send([.ack], segment)
        #expect(harness.rawFrames().isEmpty)
        client.seq &+= 1460
        client.send([.ack], segment)
        client.seq &+= 1460
        #expect(try harness.onlyFrame().ack == client.seq)
        client.send([.ack], segment, seq: client.seq &- 1460)
        #expect(try harness.onlyFrame().ack == client.seq)
        client.send([.fin, .ack])
        #expect(try harness.onlyFrame().ack == client.seq &+ 1)
    }

    @Test func whatWasNotTakenComesAgain() throws {
        let (harness, client) = try connected()
        harness.takeLimit = 2
        harness.capacity = 0
        client.send([.ack], [1, 2, 3, 4])
        #expect(try harness.onlyFrame().ack == client.seq &+ 2)
        harness.takeLimit = .max
        harness.capacity = 1 << 20
        // Room again: a window update and three duplicates, so that the guest does not wait for its timer.
        harness.stack.setReceiveCapacity(client.flow, 1 << 20, now: harness.now)
        let acks = harness.frames()
        #expect(acks.count == 4 && acks.allSatisfy { $0?.ack == client.seq &+ 2 && $0?.flags == .ack })
        #expect(Set(acks.map { $0?.window }).count == 1)
        client.send([.ack], [1, 2, 3, 4])
        #expect(harness.events().last == .data([3, 4]))
        #expect(try harness.onlyFrame().ack == client.seq &+ 4)
        #expect(harness.sockets[client.flow]?.received == [1, 2, 3, 4])
    }

    @Test func unansweredDataIsNotAcknowledged() throws {
        let (harness, client) = try connected()
        let segment = Segment(
            source: client.pod, destination: client.remote, seq: client.seq, ack: client.ack, flags: [.ack],
            data: [9, 9])
        frame(segment.packet()).withUnsafeBytes { harness.stack.receive($0, now: harness.now) }
        while harness.stack.nextEvent() != nil {}
        #expect(try harness.onlyFrame().ack == client.seq)
    }

    @Test func overlapsAreTrimmedAndGapsAreNot() throws {
        let (harness, client) = try connected()
        client.send([.ack], [1, 2, 3, 4])
        _ = harness.frames()
        // Old octets in front.
        client.send([.ack], [3, 4, 5], seq: client.seq &+ 2)
        #expect(harness.events().last == .data([5]))
        #expect(try harness.onlyFrame().ack == client.seq &+ 5)
        // Nothing but old octets: a duplicate acknowledgement.
        client.send([.ack], [1, 2, 3])
        #expect(harness.events().isEmpty)
        #expect(try harness.onlyFrame().ack == client.seq &+ 5)
        // Behind a gap: held, each answered.
        for _ in 0..<3 { client.send([.ack], [7], seq: client.seq &+ 6) }
        #expect(harness.events().isEmpty)
        let duplicates = harness.frames()
        #expect(duplicates.count == 3 && duplicates.allSatisfy { $0?.ack == client.seq &+ 5 })
        // A FIN behind a gap is no end.
        client.send([.ack, .fin], seq: client.seq &+ 9)
        #expect(harness.events().isEmpty)
    }

    @Test func sequenceNumbersWrapInBothDirections() throws {
        let harness = Harness()
        var client = Client(harness: harness)
        client.seq = 0xffff_fffd
        try client.connect()
        client.send([.ack], [1, 2, 3, 4, 5, 6])
        #expect(harness.events() == [.data([1, 2, 3, 4, 5, 6])])
        #expect(try harness.onlyFrame().ack == 4)
        // Towards the guest: a clock that makes the initial sequence number end just below zero.
        let late = Harness()
        var ahead = Client(harness: late)
        ahead.send([.syn])
        let iss = try late.onlyFrame().seq
        let wrap = Harness()
        let steps = UInt64(UInt32(0xffff_ffff) &- iss)
        wrap.now = MonotonicTime(nanoseconds: late.now.nanoseconds + steps * 4000)
        ahead = Client(harness: wrap)
        try ahead.connect()
        #expect(ahead.ack == 0)
        let data = Bytes(repeating: 7, count: 5000)
        wrap.hostSends(data, ahead.flow)
        let sent = try wrap.onlyFrame()
        #expect(sent.seq == 0 && sent.data == data)
        ahead.send([.ack], ack: 5000)
        #expect(wrap.events() == [.acknowledged(5000)])
    }

    @Test func windowIsHonouredAndNeverShrinks() throws {
        let harness = Harness()
        harness.capacity = 8
        var (_, client) = try connected(harness)
        harness.capacity = 0
        client.send([.ack], Bytes(0..<12))
        // Cut at the edge, which does not come back although the caller takes no more.
        #expect(harness.events() == [.data(Bytes(0..<8))])
        let ack = try harness.onlyFrame()
        #expect(ack.ack == client.seq &+ 8 && ack.window == 0)
        client.seq &+= 8
        // Zero-window probe with an octet, and one with an old sequence number: answered, nothing taken.
        client.send([.ack], [8])
        #expect(try harness.onlyFrame().ack == client.seq)
        client.send([.ack], seq: client.seq &- 1)
        #expect(try harness.onlyFrame().ack == client.seq)
        #expect(harness.events().isEmpty)
        // An update comes when it is worth a segment.
        harness.stack.setReceiveCapacity(client.flow, 1, now: harness.now)
        #expect(harness.rawFrames().isEmpty)
        harness.stack.setReceiveCapacity(client.flow, 30_000, now: harness.now)
        #expect(try harness.onlyFrame().window == 30_000)
        // Promised stays promised.
        harness.stack.setReceiveCapacity(client.flow, 0, now: harness.now)
        client.send([.ack], [8])
        let promised = try harness.onlyFrame()
        #expect(promised.ack == client.seq &+ 1 && promised.window == 29_999)
    }

    @Test func scaledWindowRoundsUpInsteadOfShrinking() throws {
        let harness = Harness()
        harness.capacity = 1 << 20
        var (_, client) = try connected(harness, options: [2, 4, 5, 0xb4, 1, 3, 3, 7])
        client.send([.ack], [1])
        var edge: UInt32 = 0
        for i in 0..<300 {
            harness.capacity = i % 3 == 0 ? 1 << 20 : 0
            client.seq &+= i == 0 ? 1 : UInt32(i % 7)
            client.send([.ack], Bytes(repeating: 1, count: (i + 1) % 7))
            for case let ack? in harness.frames() {
                let right = ack.ack &+ UInt32(ack.window) * 128
                if i > 0 { #expect(Int32(bitPattern: right &- edge) >= 0) }
                edge = right
            }
        }
    }

    @Test func keepaliveIsAnswered() throws {
        let (harness, client) = try connected()
        client.send([.ack], seq: client.seq &- 1)
        let answer = try harness.onlyFrame()
        #expect(answer.flags == .ack && answer.ack == client.seq && answer.seq == client.ack)
        client.send([.ack], [0], seq: client.seq &- 1)
        #expect(try harness.onlyFrame().ack == client.seq)
        #expect(harness.events().isEmpty)
    }

    // MARK: Data to the guest

    @Test func bulkGoesInSegmentationOffloadFrames() throws {
        let (harness, client) = try connected(options: [2, 4, 5, 0xb4, 1, 3, 3, 9])
        client.send([.ack], window: 60_000)
        let data = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        harness.hostSends(data, client.flow)
        let frames = harness.frames().compactMap { $0 }
        #expect(frames.count == 4)
        #expect(frames[0].data.count == 42 * 1460)
        #expect(frames[0].offload.gsoType == 1 && frames[0].offload.gsoSize == 1460)
        #expect(frames[0].flags == .ack && frames[3].flags == [.ack, .psh])
        #expect(frames.flatMap(\.data) == data)
        client.send([.ack], ack: client.ack &+ 200_000)
        #expect(harness.events() == [.acknowledged(200_000)])
        #expect(harness.stack.nextDeadline > harness.now)
    }

    @Test func withoutOffloadSegmentsFitTheMTU() throws {
        let (harness, client) = try connected(Harness(virtio: 0))
        let data = Bytes(repeating: 0xa5, count: 4000)
        harness.hostSends(data, client.flow)
        let frames = harness.frames().compactMap { $0 }
        #expect(frames.map(\.data.count) == [1460, 1460, 1080])
        #expect(frames.flatMap(\.data) == data)
    }

    @Test func guestsSegmentSizeIsRespected() throws {
        for (options, size) in [
            ([] as Bytes, 536), ([2, 4, 2, 0], 512), ([2, 4, 0, 1], 64), ([2, 4, 0xff, 0xff], 1460),
        ] {
            let (harness, client) = try connected(options: options)
            harness.hostSends(Bytes(repeating: 1, count: 3000), client.flow)
            #expect(try harness.onlyFrame().offload.gsoSize == size)
        }
    }

    @Test func guestsWindowIsRespected() throws {
        let (harness, client) = try connected(window: 3000)
        harness.hostSends(Bytes(repeating: 1, count: 10_000), client.flow)
        // Two whole segments; the rest of the window is less than one.
        #expect(try harness.onlyFrame().data.count == 2920)
        client.send([.ack], ack: client.ack &+ 2920, window: 3000)
        #expect(try harness.onlyFrame().data.count == 2920)
    }

    @Test func zeroWindowIsProbedUntilItOpens() throws {
        let (harness, client) = try connected(window: 0)
        harness.hostSends([1, 2, 3], client.flow)
        #expect(harness.rawFrames().isEmpty)
        // Answered probes never end the connection.
        var interval: UInt64 = 200
        for _ in 0..<20 {
            harness.advance(interval)
            let probe = try harness.onlyFrame()
            #expect(probe.data.isEmpty && probe.seq == client.ack &- 1 && probe.flags == .ack)
            client.send([.ack], window: 0)
            _ = harness.frames()
            interval = min(interval * 2, 12_800)
        }
        #expect(harness.events().isEmpty)
        client.send([.ack], window: 100)
        #expect(try harness.onlyFrame().data == [1, 2, 3])
    }

    @Test func unansweredProbesEndTheConnection() throws {
        let (harness, client) = try connected(window: 0)
        harness.hostSends([1], client.flow)
        _ = harness.rawFrames()
        for _ in 0..<9 {
            harness.advance(12_800)
            _ = harness.rawFrames()
        }
        #expect(harness.events() == [.reset(.timedOut)])
    }

    @Test func windowTakenBackIsSentAgain() throws {
        let (harness, client) = try connected()
        harness.hostSends([1, 2, 3, 4], client.flow)
        #expect(try harness.onlyFrame().data == [1, 2, 3, 4])
        // Memory pressure in the guest: nothing acknowledged, window closed.
        client.send([.ack], window: 0)
        harness.advance(1000)
        #expect(harness.frames().allSatisfy { $0?.data.isEmpty == true })
        client.send([.ack], window: 1000)
        #expect(harness.frames().compactMap { $0?.data }.flatMap { $0 } == [1, 2, 3, 4])
        client.send([.ack], ack: client.ack &+ 4)
        #expect(harness.events() == [.acknowledged(4)])
    }

    @Test func retransmissionBacksOffAndGivesUp() throws {
        let (harness, client) = try connected()
        harness.hostSends([1, 2, 3], client.flow)
        let first = try harness.onlyFrame()
        for timeout in [200, 400, 800, 1600, 3200, 6400, 12_800, 12_800] as [UInt64] {
            harness.advance(timeout - 1)
            #expect(harness.rawFrames().isEmpty)
            harness.advance(1)
            let again = try harness.onlyFrame()
            #expect(again.seq == first.seq && again.data == first.data)
        }
        harness.advance(12_800)
        #expect(harness.events() == [.reset(.timedOut)])
        let reset = try harness.onlyFrame()
        #expect(reset.flags == [.rst, .ack] && reset.seq == client.ack &+ 3)
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func progressResetsTheBackoff() throws {
        let (harness, client) = try connected()
        harness.hostSends([1, 2, 3], client.flow)
        _ = harness.frames()
        harness.advance(200)
        harness.advance(400)
        _ = harness.frames()
        client.send([.ack], ack: client.ack &+ 1)
        harness.advance(199)
        #expect(harness.rawFrames().isEmpty)
        harness.advance(1)
        let again = try harness.onlyFrame()
        #expect(again.seq == client.ack &+ 1 && again.data == [2, 3])
    }

    @Test func threeDuplicatesRewindOnce() throws {
        let (harness, client) = try connected()
        harness.hostSends(Bytes(repeating: 3, count: 10_000), client.flow)
        _ = harness.frames()
        client.send([.ack], ack: client.ack &+ 1460)
        for _ in 0..<2 { client.send([.ack], ack: client.ack &+ 1460) }
        #expect(harness.rawFrames().isEmpty)
        client.send([.ack], ack: client.ack &+ 1460)
        let again = try harness.onlyFrame()
        #expect(again.seq == client.ack &+ 1460 && again.data.count == 8540)
        // More duplicates of the same loss change nothing.
        for _ in 0..<6 { client.send([.ack], ack: client.ack &+ 1460) }
        #expect(harness.rawFrames().isEmpty)
        client.send([.ack], ack: client.ack &+ 10_000)
        harness.advance(30_000)
        #expect(harness.rawFrames().isEmpty)
        #expect(harness.count(of: .tcpFastRetransmissions) == 1)
    }

    @Test func windowUpdatesAndDataAreNoDuplicates() throws {
        let (harness, client) = try connected()
        harness.hostSends(Bytes(repeating: 3, count: 3000), client.flow)
        _ = harness.frames()
        for i in 0..<6 { client.send([.ack], window: 60_000 + i) }
        #expect(harness.rawFrames().isEmpty)
        #expect(harness.count(of: .tcpFastRetransmissions) == 0)
    }
}
