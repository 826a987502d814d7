// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// Opening connections, scripted segment by segment.
@Suite struct TCPHandshakeTests {
    @Test func synAckWaitsForTheHost() throws {
        let harness = Harness()
        harness.accepts = false
        let client = Client(harness: harness)
        client.send([.syn])
        #expect(harness.events() == [.connect(source: client.pod, destination: client.remote)])
        #expect(harness.rawFrames().isEmpty)
        // Duplicates of the SYN while the host dials cause nothing.
        client.send([.syn])
        harness.advance(5_000)
        #expect(harness.events().isEmpty && harness.rawFrames().isEmpty)
        #expect(harness.state(of: client.flow) == .connecting)
        harness.stack.acceptConnection(client.flow, receiveCapacity: 1000, now: harness.now)
        let synAck = try harness.onlyFrame()
        #expect(synAck.flags == [.syn, .ack] && synAck.ack == 1001 && synAck.window == 1000)
        // No scale was offered, so none comes back: MSS only.
        #expect(synAck.tcpOptions == [2, 4, 0x05, 0xb4])
        #expect(harness.state(of: client.flow) == .synReceived)
    }

    @Test func segmentSizeIsSmallWhateverTheMTU() throws {
        let harness = Harness(mtu: 65_520)
        Client(harness: harness).send([.syn])
        #expect(try harness.onlyFrame().tcpOptions == [2, 4, 0x05, 0xb4])
        let six = Harness(mtu: 65_520)
        Client(
            harness: six, pod: InternetEndpoint(Addresses.pod6, 1), remote: InternetEndpoint(Addresses.server6, 2)
        ).send([.syn])
        #expect(try six.onlyFrame().tcpOptions == [2, 4, 0x05, 0xa0])
        let small = Harness(mtu: 1280)
        Client(harness: small).send([.syn])
        #expect(try small.onlyFrame().tcpOptions == [2, 4, 0x04, 0xd8])
    }

    @Test(
        arguments: [
            (ICMPError.networkUnreachable, [3, 0], [1, 0]), (.hostUnreachable, [3, 1], [1, 3]),
            (.adminProhibited, [3, 13], [1, 1]),
        ] as [(ICMPError, Bytes, Bytes)])
    func unreachableHostIsReported(_ error: ICMPError, _ codes4: Bytes, _ codes6: Bytes) throws {
        for (pod, server, codes) in [
            (Addresses.pod, Addresses.server, codes4), (Addresses.pod6, Addresses.server6, codes6),
        ] {
            let harness = Harness()
            harness.accepts = false
            let client = Client(
                harness: harness, pod: InternetEndpoint(pod, 40_000), remote: InternetEndpoint(server, 80))
            client.send([.syn])
            harness.stack.refuseConnection(client.flow, error: error, now: harness.now)
            let report = try harness.onlyFrame()
            #expect(report.proto == (pod.isIPv4 ? 1 : 58))
            #expect(Bytes(report.transport[0..<2]) == codes)
            #expect(report.source == (pod.isIPv4 ? Addresses.gateway : Addresses.gateway6))
            // What the guest's kernel finds its socket by: addresses, ports, sequence number.
            let quote = Bytes(report.transport[8...])
            let header = pod.isIPv4 ? 20 : 40
            #expect(quote.at16(header) == 40_000 && quote.at16(header + 2) == 80 && quote.at32(header + 4) == 1000)
            #expect(harness.stack.tcpFlowCount == 0)
        }
    }

    @Test func timestampsAreEchoed() throws {
        func option(_ value: UInt8) -> Bytes { [1, 1, 8, 10, 0, 0, 0, value, 0, 0, 0, 0] }
        let harness = Harness()
        var client = Client(harness: harness)
        client.send([.syn], options: [2, 4, 5, 0xb4] + option(7))
        let synAck = try harness.onlyFrame()
        #expect(Array(synAck.tcpOptions.suffix(12).prefix(4)) == [1, 1, 8, 10])
        #expect(Array(synAck.tcpOptions.suffix(4)) == [0, 0, 0, 7])
        client.seq &+= 1
        client.ack = synAck.seq &+ 1
        client.send([.ack], options: option(8))
        // Of two segments that are acknowledged together the first one's is echoed (RFC 7323, section 4.3).
        client.send([.ack], Bytes(repeating: 1, count: 10), options: option(9))
        client.send([.ack], Bytes(repeating: 1, count: 10), seq: client.seq &+ 10, options: option(10))
        #expect(Array(try harness.onlyFrame().tcpOptions.suffix(4)) == [0, 0, 0, 9])
        harness.hostSends(Bytes(repeating: 2, count: 3_000), client.flow)
        let frames = harness.frames().compactMap { $0 }
        #expect(frames.first?.offload.gsoSize == 1448)
        #expect(frames.allSatisfy { $0.tcpOptions.count == 12 })
        #expect(frames.reduce(0) { $0 + $1.data.count } == 3_000)
    }

    @Test func refusedHostResetsAtOnce() throws {
        let harness = Harness()
        harness.accepts = false
        let client = Client(harness: harness)
        client.send([.syn])
        harness.stack.refuseConnection(client.flow, error: nil, now: harness.now)
        let reset = try harness.onlyFrame()
        #expect(reset.flags == [.rst, .ack] && reset.seq == 0 && reset.ack == 1001)
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func guestGivesUpWhileDialling() {
        let harness = Harness()
        harness.accepts = false
        let client = Client(harness: harness)
        client.send([.syn])
        // Far off the SYN: not believed.
        client.send([.rst], seq: 5_000)
        #expect(harness.state(of: client.flow) == .connecting)
        client.send([.rst, .ack], seq: 1001)
        #expect(harness.events().last == .reset(.peer))
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func newAttemptFromTheSamePortWhileDialling() throws {
        let harness = Harness()
        harness.accepts = false
        let client = Client(harness: harness)
        client.send([.syn])
        client.send([.syn], seq: 777_000)
        _ = harness.events()
        harness.stack.acceptConnection(client.flow, receiveCapacity: 1000, now: harness.now)
        #expect(try harness.onlyFrame().ack == 777_001)
    }

    @Test func lostSynAckIsRepeated() throws {
        let harness = Harness()
        let client = Client(harness: harness)
        client.send([.syn])
        let first = try harness.onlyFrame()
        // The guest's duplicate asks for it,
        client.send([.syn])
        #expect(try harness.onlyFrame().transport == first.transport)
        // and so does time: 200, 400, ... 12,800 ms, then it is over.
        var waits = [UInt64]()
        for timeout in [200, 400, 800, 1600, 3200, 6400, 12_800, 12_800] as [UInt64] {
            harness.advance(timeout - 1)
            #expect(harness.rawFrames().isEmpty)
            harness.advance(1)
            #expect(try harness.onlyFrame().flags == [.syn, .ack])
            waits.append(timeout)
        }
        _ = harness.events()
        harness.advance(12_800)
        #expect(harness.events() == [.reset(.timedOut)])
        #expect(try harness.onlyFrame().flags == [.rst, .ack])
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func wrongAcknowledgementInSynReceived() throws {
        let harness = Harness()
        let client = Client(harness: harness)
        client.send([.syn])
        let synAck = try harness.onlyFrame()
        client.send([.ack], seq: 1001, ack: synAck.seq &+ 2)
        let reset = try harness.onlyFrame()
        #expect(reset.flags == .rst && reset.seq == synAck.seq &+ 2)
        #expect(harness.state(of: client.flow) == .synReceived)
        client.send([.rst], seq: 1001)
        #expect(harness.events().last == .reset(.peer))
    }

    @Test func segmentsWithoutAConnection() throws {
        let harness = Harness()
        let client = Client(harness: harness)
        client.send([.rst])
        #expect(harness.rawFrames().isEmpty)
        client.send([.ack], ack: 4711)
        let toAck = try harness.onlyFrame()
        #expect(toAck.flags == .rst && toAck.seq == 4711 && toAck.window == 0)
        client.send([.fin], [1, 2, 3], seq: 50)
        let toFin = try harness.onlyFrame()
        #expect(toFin.flags == [.rst, .ack] && toFin.seq == 0 && toFin.ack == 54)
        client.send([.syn, .fin])
        #expect(harness.rawFrames().isEmpty && harness.events().isEmpty)
        #expect(harness.stack.tcpFlowCount == 0)
    }

    @Test func dataInTheSynIsNotAcknowledged() throws {
        let harness = Harness()
        let client = Client(harness: harness)
        client.send([.syn], [1, 2, 3, 4])
        #expect(try harness.onlyFrame().ack == 1001)
    }

    @Test func openingTowardsTheGuest() throws {
        let harness = Harness()
        let pod = InternetEndpoint(Addresses.pod, 80)
        let remote = InternetEndpoint(Addresses.server, 5555)
        // The guest's MAC address is known from any frame.
        Client(harness: harness, pod: InternetEndpoint(Addresses.pod, 9)).send([.rst])
        let id = try #require(
            harness.open(from: remote, to: pod))
        harness.lastFlow = id
        let syn = try harness.onlyFrame()
        #expect(syn.flags == .syn && syn.source == Addresses.server && syn.sourcePort == 5555)
        #expect(syn.tcpOptions == [2, 4, 0x05, 0xb4, 1, 3, 3, 7])
        // An acknowledgement of something else is reset and changes nothing.
        let guest = Client(harness: harness, pod: pod, remote: remote)
        guest.send([.syn, .ack], seq: 500, ack: syn.seq &+ 9)
        #expect(try harness.onlyFrame().flags == .rst)
        guest.send([.syn, .ack], seq: 500, ack: syn.seq &+ 1, options: [1, 3, 3, 4])
        #expect(harness.events() == [.established])
        let ack = try harness.onlyFrame()
        #expect(ack.flags == .ack && ack.ack == 501 && ack.seq == syn.seq &+ 1)
        // Both sides scale: 1 MiB in units of 128.
        #expect(ack.window == (1 << 20) / 128)
    }

    @Test func simultaneousOpen() throws {
        let harness = Harness()
        let pod = InternetEndpoint(Addresses.pod, 80)
        let remote = InternetEndpoint(Addresses.server, 5555)
        let id = try #require(
            harness.open(from: remote, to: pod))
        let syn = try #require(harness.rawFrames().first.flatMap { Received($0) })
        let guest = Client(harness: harness, pod: pod, remote: remote)
        guest.send([.syn], seq: 500)
        let synAck = try harness.onlyFrame()
        #expect(synAck.flags == [.syn, .ack] && synAck.seq == syn.seq && synAck.ack == 501)
        #expect(harness.state(of: id) == .synReceived)
        guest.send([.syn, .ack], seq: 500, ack: syn.seq &+ 1)
        #expect(harness.events() == [.established])
        #expect(harness.state(of: id) == .established)
    }

    @Test func refusedByTheGuest() throws {
        let harness = Harness()
        let pod = InternetEndpoint(Addresses.pod, 80)
        let remote = InternetEndpoint(Addresses.server, 5555)
        _ = harness.open(from: remote, to: pod)
        let syn = try #require(harness.rawFrames().first.flatMap { Received($0) })
        let guest = Client(harness: harness, pod: pod, remote: remote)
        guest.send([.rst], seq: 0)
        #expect(harness.events().isEmpty)
        guest.send([.rst, .ack], seq: 0, ack: syn.seq &+ 1)
        #expect(harness.events() == [.reset(.peer)])
    }

    @Test func halfOpenConnectionsAreBounded() throws {
        var limits = Configuration.Limits()
        limits.tcpHalfOpen = 16
        let harness = Harness(limits: limits)
        harness.accepts = false
        for port in 1...40 { Client(harness: harness, pod: InternetEndpoint(Addresses.pod, UInt16(port))).send([.syn]) }
        #expect(harness.stack.tcpFlowCount == 16 && harness.stack.tcpHalfOpenCount == 16)
        #expect(harness.events().filter { $0 == .reset(.evicted) }.count == 24)
        // The oldest went, silently: the youngest is still there.
        #expect(harness.rawFrames().isEmpty)
        #expect(harness.state(of: try #require(harness.lastFlow)) == .connecting)
        #expect(harness.isConsistent())
    }

    @Test func oneAddressHoldsHalfOfTheTable() {
        var limits = Configuration.Limits()
        limits.tcpFlows = 64
        let harness = Harness(limits: limits)
        for port in 1...60 { Client(harness: harness, pod: InternetEndpoint(Addresses.pod, UInt16(port))).send([.syn]) }
        #expect(harness.stack.tcpFlowCount == 32)
        #expect(harness.count(of: .tcpTableFull) == 28)
        let other = InternetAddress(10, 0, 2, 101)
        for port in 1...60 { Client(harness: harness, pod: InternetEndpoint(other, UInt16(port))).send([.syn]) }
        #expect(harness.stack.tcpFlowCount == 64)
    }
}
