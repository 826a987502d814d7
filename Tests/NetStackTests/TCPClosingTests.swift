// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// How connections end: closing in every order, and breaking.
@Suite struct TCPClosingTests {
    // MARK: Closing

    @Test func guestClosesFirst() throws {
        var (harness, client) = try connected()
        client.send([.fin, .ack], [5])
        #expect(harness.events() == [.data([5]), .finished])
        #expect(try harness.onlyFrame().ack == client.seq &+ 2)
        client.seq &+= 2
        #expect(harness.state(of: client.flow) == .closeWait)
        // Half-closed: the host goes on for as long as it likes.
        harness.advance(3_600_000)
        harness.hostSends([1, 2, 3], client.flow)
        #expect(try harness.onlyFrame().data == [1, 2, 3])
        client.ack &+= 3
        client.send([.ack])
        harness.hostEnds(client.flow)
        let fin = try harness.onlyFrame()
        #expect(fin.flags == [.fin, .ack] && fin.seq == client.ack)
        #expect(harness.state(of: client.flow) == .lastAck)
        _ = harness.events()
        client.send([.ack], ack: client.ack &+ 1)
        #expect(harness.events() == [.closed])
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func hostClosesFirst() throws {
        var (harness, client) = try connected()
        harness.hostSends([1, 2], client.flow)
        harness.hostEnds(client.flow)
        let frames = harness.frames().compactMap { $0 }
        #expect(frames.map(\.flags) == [.ack, [.fin, .ack]] && frames[1].seq == client.ack &+ 2)
        #expect(harness.state(of: client.flow) == .finWait1)
        client.ack &+= 3
        client.send([.ack])
        #expect(harness.events() == [.acknowledged(2)])
        #expect(harness.state(of: client.flow) == .finWait2)
        // The guest's half stays open without limit.
        harness.advance(3_600_000)
        client.send([.ack], [9])
        #expect(harness.events() == [.data([9])])
        client.seq &+= 1
        client.send([.fin, .ack])
        #expect(harness.events() == [.finished, .closed])
        #expect(harness.frames().last??.ack == client.seq &+ 1)
        #expect(harness.state(of: client.flow) == .timeWait)
        // A repeated FIN is acknowledged again and restarts the second.
        harness.advance(900)
        client.send([.fin, .ack])
        #expect(try harness.onlyFrame().ack == client.seq &+ 1)
        harness.advance(900)
        #expect(harness.state(of: client.flow) == .timeWait)
        harness.advance(100)
        #expect(harness.stack.tcpFlowCount == 0 && harness.events().isEmpty)
    }

    @Test func finGoesWithTheLastBytes() throws {
        let (harness, client) = try connected()
        harness.endsWithData = true
        harness.hostSends(Bytes("last".utf8), client.flow)
        harness.hostEnds(client.flow)
        let frame = try harness.onlyFrame()
        #expect(frame.flags == [.ack, .psh, .fin] && frame.data == Array("last".utf8))
        #expect(harness.state(of: client.flow) == .finWait1)
        // Lost: data and FIN are repeated, in whatever frames.
        harness.advance(250)
        let again = harness.frames().compactMap { $0 }
        #expect(again.first?.data == Array("last".utf8) && again.last?.flags.contains(.fin) == true)
        client.send([.ack], ack: frame.seq &+ 5)
        #expect(harness.state(of: client.flow) == .finWait2)
        #expect(harness.events() == [.acknowledged(4)])
        client.send([.fin, .ack], ack: frame.seq &+ 5)
        #expect(harness.state(of: client.flow) == .timeWait)
        #expect(harness.isConsistent())
    }

    @Test func simultaneousClose() throws {
        let (harness, client) = try connected()
        harness.hostEnds(client.flow)
        #expect(try harness.onlyFrame().flags == [.fin, .ack])
        // The guest's FIN crosses ours.
        client.send([.fin, .ack])
        #expect(harness.events() == [.finished])
        #expect(harness.state(of: client.flow) == .closing)
        #expect(try harness.onlyFrame().ack == client.seq &+ 1)
        client.send([.ack], seq: client.seq &+ 1, ack: client.ack &+ 1)
        #expect(harness.events() == [.closed])
        #expect(harness.state(of: client.flow) == .timeWait)
        harness.advance(1000)
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func finWithAcknowledgementOfOurs() throws {
        let (harness, client) = try connected()
        harness.hostEnds(client.flow)
        _ = harness.frames()
        client.send([.fin, .ack], ack: client.ack &+ 1)
        #expect(harness.events() == [.finished, .closed])
        #expect(harness.state(of: client.flow) == .timeWait)
    }

    @Test func lostFinIsRepeatedBehindTheData() throws {
        let (harness, client) = try connected()
        harness.hostSends([1, 2, 3], client.flow)
        harness.hostEnds(client.flow)
        #expect(harness.frames().count == 2)
        harness.advance(200)
        let again = harness.frames().compactMap { $0 }
        #expect(again.map(\.data) == [[1, 2, 3], []] && again[1].flags == [.fin, .ack])
        #expect(again[1].seq == client.ack &+ 3)
        client.send([.ack], ack: client.ack &+ 3)
        harness.advance(200)
        let fin = try harness.onlyFrame()
        #expect(fin.flags == [.fin, .ack] && fin.seq == client.ack &+ 3)
    }

    @Test func finWaitsUntilEverythingIsTaken() throws {
        let (harness, client) = try connected()
        harness.takeLimit = 1
        client.send([.fin, .ack], [1, 2])
        #expect(harness.events() == [.data([1, 2])])
        #expect(try harness.onlyFrame().ack == client.seq &+ 1)
        harness.takeLimit = .max
        client.send([.fin, .ack], [1, 2])
        #expect(harness.events() == [.data([2]), .finished])
        #expect(try harness.onlyFrame().ack == client.seq &+ 3)
    }

    @Test func newConnectionOverTimeWait() throws {
        var (harness, client) = try connected()
        harness.hostEnds(client.flow)
        _ = harness.frames()
        client.send([.fin, .ack], ack: client.ack &+ 1)
        _ = harness.frames()
        _ = harness.events()
        let old = client.flow
        // An old SYN is answered with an acknowledgement, a newer one opens.
        client.send([.syn], seq: client.seq &- 5_000)
        #expect(try harness.onlyFrame().flags == .ack)
        client.seq &+= 70_000
        client.send([.syn])
        #expect(harness.events() == [.connect(source: client.pod, destination: client.remote)])
        let synAck = try harness.onlyFrame()
        #expect(synAck.flags == [.syn, .ack])
        #expect(Int32(bitPattern: synAck.seq &- client.ack) > 0)
        #expect(harness.state(of: old) == nil)
    }

    // MARK: Breaking

    @Test func onlyTheExactResetIsBelieved() throws {
        let (harness, client) = try connected()
        client.send([.rst], seq: client.seq &+ 1)
        let challenge = try harness.onlyFrame()
        #expect(challenge.flags == .ack && challenge.ack == client.seq && challenge.seq == client.ack)
        client.send([.rst], seq: client.seq &- 1)
        client.send([.rst], seq: client.seq &+ 2_000_000)
        #expect(harness.rawFrames().isEmpty && harness.events().isEmpty)
        client.send([.rst], seq: client.seq)
        #expect(harness.events() == [.reset(.peer)])
        #expect(harness.rawFrames().isEmpty && harness.stack.tcpFlowCount == 0)
    }

    @Test func synOnAConnectionIsChallenged() throws {
        let (harness, client) = try connected()
        for offset in [0, 5, 0xf000_0000] as [UInt32] {
            client.send([.syn], seq: client.seq &+ offset)
            let challenge = try harness.onlyFrame()
            #expect(challenge.flags == .ack && challenge.ack == client.seq)
        }
        #expect(harness.state(of: client.flow) == .established)
    }

    @Test func impossibleAcknowledgementsAreChallengedAndIgnored() throws {
        let (harness, client) = try connected()
        client.send([.ack], [1], ack: client.ack &+ 1)
        #expect(try harness.onlyFrame().ack == client.seq)
        client.send([.ack], [1], ack: client.ack &- 70_000)
        #expect(try harness.onlyFrame().ack == client.seq)
        #expect(harness.events().isEmpty)
        // Old, but within the window it may be: its data counts.
        client.send([.ack], [1], ack: client.ack &- 60_000)
        #expect(harness.events() == [.data([1])])
        // No ACK bit: nothing.
        client.send([], [2], seq: client.seq &+ 1)
        #expect(harness.events().isEmpty)
    }

    @Test func challengesAreLimited() throws {
        let (harness, client) = try connected()
        var answers = 0
        for _ in 0..<2_000 {
            client.send([.syn])
            answers += harness.rawFrames().count
        }
        #expect(answers <= 210)
        harness.advance(1000)
        client.send([.syn])
        #expect(harness.rawFrames().count == 1)
    }

    @Test func resetByTheCaller() throws {
        let (harness, client) = try connected()
        harness.hostSends([1, 2, 3], client.flow)
        _ = harness.frames()
        harness.stack.resetConnection(client.flow, now: harness.now)
        let reset = try harness.onlyFrame()
        #expect(reset.flags == [.rst, .ack] && reset.seq == client.ack &+ 3 && reset.ack == client.seq)
        #expect(harness.stack.tcpFlowCount == 0 && harness.events().isEmpty)
        // Stale IDs do nothing.
        harness.stack.hostReadable(client.flow)
        harness.stack.take(client.flow, octets: 0, receiveCapacity: 5, now: harness.now)
        harness.stack.resetConnection(client.flow, now: harness.now)
        #expect(harness.rawFrames().isEmpty)
        // What the guest sends afterwards is reset too.
        client.send([.ack], [1], ack: client.ack &+ 3)
        #expect(try harness.onlyFrame().seq == client.ack &+ 3)
    }

    @Test func idleConnectionsHaveNoTimer() throws {
        let (harness, client) = try connected()
        harness.hostSends([1], client.flow)
        _ = harness.frames()
        client.send([.ack], ack: client.ack &+ 1)
        harness.advance(20_000)
        #expect(harness.stack.nextDeadline == .never)
        #expect(harness.state(of: client.flow) == .established)
    }

    @Test func urgentAndCongestionBitsAreIgnored() throws {
        let (harness, client) = try connected()
        client.send([.ack, TCPFlags(rawValue: 0xe0)], [1, 2])
        #expect(harness.events() == [.data([1, 2])])
        #expect(try harness.onlyFrame().flags == .ack)
    }

    @Test func corruptSegmentsAreDropped() throws {
        let (harness, client) = try connected()
        var bytes = frame(
            Segment(
                source: client.pod, destination: client.remote, seq: client.seq, ack: client.ack, flags: .ack,
                data: [1, 2]
            )
            .packet())
        bytes[bytes.count - 1] ^= 1
        harness.inject(bytes)
        #expect(harness.events().isEmpty && harness.rawFrames().isEmpty)
        #expect(harness.count(of: .dropTCPChecksum) == 1)
    }
}
