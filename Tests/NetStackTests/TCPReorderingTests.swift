// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// Segments that come before what precedes them.
@Suite struct TCPReorderingTests {
    private func received(_ harness: Harness, _ client: Client) -> Bytes {
        harness.sockets[client.flow]?.received ?? []
    }

    @Test func whatIsHeldFollowsWhatWasMissing() throws {
        let (harness, client) = try connected()
        let data = Bytes((0..<50).map { UInt8($0) })
        for start in [10, 30, 20, 40] {
            client.send([.ack], Bytes(data[start..<(start + 10)]), seq: client.seq + UInt32(start))
        }
        // Each is answered as a duplicate.
        #expect(harness.frames().compactMap { $0?.ack } == Bytes(repeating: 0, count: 4).map { _ in client.seq })
        #expect(harness.events().isEmpty)
        client.send([.ack], Bytes(data[..<10]))
        #expect(received(harness, client) == data)
        #expect(harness.events() == stride(from: 0, to: 50, by: 10).map { .data(Bytes(data[$0..<($0 + 10)])) })
        // One acknowledgement for all.
        #expect(try harness.onlyFrame().ack == client.seq + 50)
        #expect(harness.isConsistent())
    }

    @Test func overlapsAndRepetitionsAreTakenOnce() throws {
        let (harness, client) = try connected()
        let data = Bytes((0..<60).map { UInt8($0) })
        for (start, end) in [(10, 30), (10, 40), (25, 50), (20, 22), (5, 12)] {
            client.send([.ack], Bytes(data[start..<end]), seq: client.seq + UInt32(start))
        }
        client.send([.ack], Bytes(data[..<20]))
        #expect(received(harness, client) == Bytes(data[..<50]))
        client.send([.ack], Bytes(data[40..<60]), seq: client.seq + 40)
        #expect(received(harness, client) == data && harness.isConsistent())
    }

    @Test func anEndIsHeldWithItsData() throws {
        for isAlone in [false, true] {
            let (harness, client) = try connected()
            if isAlone {
                client.send([.ack], [4, 5, 6], seq: client.seq + 3)
                client.send([.ack, .fin], seq: client.seq + 6)
            } else {
                client.send([.ack, .fin], [4, 5, 6], seq: client.seq + 3)
            }
            #expect(harness.events().isEmpty)
            client.send([.ack], [1, 2, 3])
            #expect(harness.events() == [.data([1, 2, 3]), .data([4, 5, 6]), .finished])
            #expect(harness.frames().compactMap { $0 }.last?.ack == client.seq + 7)
            #expect(harness.state(of: client.flow) == .closeWait && harness.isConsistent())
        }
    }

    @Test func aCallerThatTakesLittleLosesNothing() throws {
        let (harness, client) = try connected()
        let data = Bytes((0..<40).map { UInt8($0) })
        harness.takeLimit = 4
        client.send([.ack], Bytes(data[10..<40]), seq: client.seq + 10)
        client.send([.ack], Bytes(data[..<10]))
        for _ in 0..<20 {
            // What was not taken comes again.
            let count = received(harness, client).count
            if count < 40 {
                client.send([.ack], Bytes(data[count..<min(40, count + 10)]), seq: client.seq + UInt32(count))
            }
        }
        #expect(received(harness, client) == data && harness.isConsistent())
    }

    @Test func thereIsALimit() throws {
        let harness = Harness(mtu: 65_520)
        var (_, client) = try connected(harness, options: [2, 4, 5, 0xb4, 1, 3, 3, 7])
        for number in 0..<600 as Range<UInt32> {
            client.send([.ack], [UInt8(truncatingIfNeeded: number)], seq: client.seq + 1 + number)
        }
        // Too large to be held, and outside of the window.
        client.send([.ack], Bytes(repeating: 1, count: 2_000), seq: client.seq + 700)
        client.send([.ack], [1], seq: client.seq + UInt32(harness.capacity) + 1_000)
        client.send([.ack], [0xff])
        #expect(received(harness, client).count == 513)
        client.seq += 513
        client.send([.rst], seq: client.seq)
        #expect(harness.stack.tcpFlowCount == 0 && harness.isConsistent())
    }

    @Test func anyOrderMakesTheSameStream() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("TCPReorderingTests.anyOrderMakesTheSameStream seed \(seed)")
        var random = SeededGenerator(seed)
        for _ in 0..<30 {
            let (harness, client) = try connected()
            let data = random.bytes(3_000)
            var pieces = (0..<80).map { _ in
                let start = Int.random(in: 0..<3_000, using: &random)
                return start..<min(3_000, start + Int.random(in: 1...120, using: &random))
            }
            pieces += stride(from: 0, to: 3_000, by: 100).map { $0..<($0 + 100) }
            pieces.shuffle(using: &random)
            for piece in pieces {
                client.send([.ack], Bytes(data[piece]), seq: client.seq + UInt32(piece.lowerBound))
                _ = harness.rawFrames()
            }
            // A segment that begins where a held one begins is dropped, also when it is longer: the guest sends it again.
            while received(harness, client).count < 3_000 {
                let count = received(harness, client).count
                client.send([.ack], Bytes(data[count..<min(3_000, count + 100)]), seq: client.seq + UInt32(count))
                _ = harness.rawFrames()
            }
            #expect(received(harness, client) == data && harness.isConsistent(), "seed \(seed)")
        }
    }
}
