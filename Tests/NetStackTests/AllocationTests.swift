// SPDX-License-Identifier: Apache-2.0
import CAllocationCount
import Glibc
import NetStack
import Testing

/// A guest's frames in fixed memory: only sequence numbers change between them, which the offload flag lets pass.
private struct FrameTemplate {
    let memory: UnsafeMutableRawBufferPointer

    init(_ bytes: Bytes) {
        memory = .allocate(byteCount: bytes.count, alignment: 16)
        memory.copyBytes(from: bytes)
    }

    static func tcp(_ flags: TCPFlags, payload: Int, port: UInt16 = 40_000) -> FrameTemplate {
        let segment = Segment(
            source: InternetEndpoint(Addresses.pod, port), destination: InternetEndpoint(Addresses.server, 80),
            seq: 1000, flags: flags, window: 60_000, options: flags.contains(.syn) ? [2, 4, 5, 0xb4, 1, 3, 3, 7] : [],
            data: Bytes(repeating: 7, count: payload))
        let isBatch = payload > 1460
        return FrameTemplate(
            frame(
                segment.packet(),
                offload: Offload(
                    needsChecksum: true, gsoType: isBatch ? 1 : 0, gsoSize: isBatch ? 1460 : 0, start: 34, offset: 16)))
    }

    func set(seq: UInt32, ack: UInt32) {
        memory.storeBytes(of: seq.bigEndian, toByteOffset: 12 + 34 + 4, as: UInt32.self)
        memory.storeBytes(of: ack.bigEndian, toByteOffset: 12 + 34 + 8, as: UInt32.self)
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }
}

@Suite struct AllocationTests {
    /// In a process of its own, where nobody else allocates.
    @Test func warmPathsAllocateNothing() async {
        await #expect(processExitsWith: .success) {
            let counted = exercise(rounds: 2_000)
            // A counter that counts nothing proves nothing: the tables themselves were allocated.
            guard counted.total > 20 else { exit(3) }
            // Unoptimised code boxes what the closures of this test capture; the contract is about release builds.
            #if !DEBUG
                if counted.afterWarmUp != 0 { exit(2) }
            #endif
        }
    }
}

/// Rounds of everything that happens per packet; how often malloc was called in all, and after the first 100 rounds.
private func exercise(rounds: Int) -> (total: Int, afterWarmUp: Int) {
    let before = Int(samara_allocation_count())
    var stack = NetStack(Harness.configuration(), policy: .protectingHost())
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: NetStack.outputCapacity, alignment: 16)
    let bulk = FrameTemplate.tcp([.ack], payload: 42 * 1460)
    let acknowledgement = FrameTemplate.tcp([.ack], payload: 0)
    let syn = FrameTemplate.tcp([.syn], payload: 0)
    let shortSyn = FrameTemplate.tcp([.syn], payload: 0, port: 50_000)
    let shortReset = FrameTemplate.tcp([.rst], payload: 0, port: 50_000)
    let pod = InternetEndpoint(Addresses.pod, 5000)
    let resolver = InternetEndpoint(Addresses.server, 53)
    let query = FrameTemplate(
        frame(ipPacket(17, pod.address, resolver.address, udpTransport(pod, resolver, [1, 2, 3]))))
    let echo = FrameTemplate(
        frame(
            ipPacket(
                1, pod.address, Addresses.gateway,
                checksummed([8, 0, 0, 0, 0, 1, 0, 1], pod.address, Addresses.gateway, 1, field: 2))))
    let half = udpTransport(pod, resolver, Bytes(repeating: 3, count: 88))
    let fragments = [
        FrameTemplate(
            frame(ipv4Packet(17, pod.address, resolver.address, Bytes(half[0..<48]), id: 5, fragment: 0x2000))),
        FrameTemplate(frame(ipv4Packet(17, pod.address, resolver.address, Bytes(half[48...]), id: 5, fragment: 6))),
    ]
    var now = MonotonicTime(milliseconds: 1000)
    var flow = FlowID(index: .max, generation: 0)
    var mapping = MappingID(index: .max, generation: 0)
    var taken = 0

    func turn(_ input: UnsafeRawBufferPointer, _ stack: inout NetStack) {
        stack.receive(input, now: now)
        while let event = stack.nextEvent() {
            switch event {
            case .tcpConnect(let id, let source, _):
                stack.acceptConnection(id, receiveCapacity: 1 << 20, now: now)
                if source.port == 40_000 { flow = id }
            case .tcpData(let id, let data):
                taken += data.count
                stack.take(id, octets: data.count, receiveCapacity: 1 << 20, now: now)
            case .mappingOpened(let id, _, _): mapping = id
            default: break
            }
        }
    }
    func drain(_ stack: inout NetStack) -> (frames: Int, seq: UInt32) {
        var frames = 0
        var seq: UInt32 = 0
        while true {
            switch stack.nextOutput(into: output, now: now) {
            case .none: return (frames, seq)
            case .frame: break
            case .payload(let request):
                let result: PayloadResult = frames < 3 ? .bytes(request.maximumLength, more: false) : .wouldBlock
                _ = stack.finish(request, result, in: output, now: now)
            }
            frames += 1
            seq = UInt32(bigEndian: output.loadUnaligned(fromByteOffset: 12 + 34 + 4, as: UInt32.self))
        }
    }

    turn(syn.bytes, &stack)
    let iss = drain(&stack).seq
    var seq: UInt32 = 1001
    var acknowledged = iss &+ 1
    acknowledgement.set(seq: seq, ack: acknowledged)
    turn(acknowledgement.bytes, &stack)
    var mark = Int(samara_allocation_count())
    for round in 0..<rounds {
        if round == 100 { mark = Int(samara_allocation_count()) }
        bulk.set(seq: seq, ack: acknowledged)
        turn(bulk.bytes, &stack)
        seq &+= 42 * 1460
        _ = drain(&stack)
        stack.hostReadable(flow)
        _ = drain(&stack)
        // The window is 60,000 << 7: one burst of 61,320.
        acknowledged &+= 61_320
        acknowledgement.set(seq: seq, ack: acknowledged)
        turn(acknowledgement.bytes, &stack)
        turn(query.bytes, &stack)
        turn(echo.bytes, &stack)
        turn(fragments[0].bytes, &stack)
        turn(fragments[1].bytes, &stack)
        if var transmission = stack.beginDatagrams(mapping, from: resolver, payloadLength: 4_000, now: now) {
            while stack.nextDatagramFrame(&transmission, in: output) != nil {}
        }
        turn(shortSyn.bytes, &stack)
        _ = drain(&stack)
        shortReset.set(seq: 1001, ack: 0)
        turn(shortReset.bytes, &stack)
        now = now.adding(milliseconds: 3)
        stack.advance(now: now)
        _ = drain(&stack)
    }
    let end = Int(samara_allocation_count())
    guard taken == rounds * 42 * 1460 else { exit(4) }
    guard stack.count(of: .datagramsReassembled) == UInt64(rounds), stack.count(of: .tcpTimedOut) == 0 else { exit(5) }
    return (end - before, end - mark)
}
