// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage
import Testing

@testable import PortForwarder

/// A generator whose runs can be repeated: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

/// Sockets, pipes and buffers in memory, with the readiness rules of edge-triggered epoll.
struct ModelTransfer: StreamTransfer, ~Copyable {
    let bufferSize = 16
    var generator: SeededGenerator
    var input: [UInt8] = []
    /// Bytes of `input` that have "arrived".
    var arrived = 0
    var taken = 0
    var sourceEnds = false
    var sourceIsReset = false
    var urgentMark: Int?
    var output: [UInt8] = []
    var room = 0
    /// SOCK_NOSPACE: the sink owes an event when there is room.
    var owesWritable = false
    var sinkIsBroken = false
    var sinkEnded = false
    /// Whether the last segment waits for the end that was announced.
    var keepsBack = false
    var scratch: [UInt8] = []
    var overflow: [Int32: [UInt8]] = [:]
    var overflowLimit: Int
    var pipes: [Int32: [UInt8]] = [:]
    var pipeLimit: Int
    var nextHandle: Int32 = 1
    var violations: [String] = []

    init(seed: UInt64, overflowLimit: Int, pipeLimit: Int) {
        generator = SeededGenerator(seed: seed)
        self.overflowLimit = overflowLimit
        self.pipeLimit = pipeLimit
    }

    private mutating func available(upTo limit: Int) -> TransferOutcome {
        if arrived > taken {
            var end = min(arrived, taken + limit)
            // A read stops at the urgent mark, however much is behind it.
            if let mark = urgentMark, mark > taken, mark < end { end = mark }
            return .bytes(end - taken)
        }
        if taken == input.count, sourceIsReset { return .failed(.connectionReset) }
        if taken == input.count, sourceEnds { return .endOfFile }
        return .wouldBlock
    }

    mutating func receive(_ source: Int32) -> TransferOutcome {
        let outcome = available(upTo: bufferSize)
        if case .bytes(let count) = outcome {
            scratch = Array(input[taken..<(taken + count)])
            taken += count
        }
        return outcome
    }

    mutating func peek(_ source: Int32) -> TransferOutcome {
        let outcome = available(upTo: bufferSize)
        if case .bytes(let count) = outcome { scratch = Array(input[taken..<(taken + count)]) }
        return outcome
    }

    mutating func discard(_ source: Int32, _ count: Int) -> TransferOutcome {
        if taken + count > arrived { violations.append("discarded what is not there") }
        taken += count
        return .bytes(count)
    }

    private mutating func write(_ bytes: ArraySlice<UInt8>) -> TransferOutcome {
        if sinkEnded { violations.append("written after the end") }
        if bytes.isEmpty { violations.append("an empty write") }
        if sinkIsBroken { return .failed(.brokenPipe) }
        if room == 0 {
            owesWritable = true
            return .wouldBlock
        }
        let count = min(bytes.count, Int.random(in: 1...room, using: &generator))
        output += bytes.prefix(count)
        room -= count
        return .bytes(count)
    }

    mutating func send(_ sink: Int32, offset: Int, end: Int, endFollows: Bool) -> TransferOutcome {
        let outcome = write(scratch[offset..<end])
        keepsBack = endFollows && outcome == .bytes(end - offset)
        return outcome
    }

    var hasOverflow: Bool { overflow.count < overflowLimit }

    mutating func takeOverflow(offset: Int, end: Int) -> Int32 {
        if !hasOverflow { violations.append("an overflow buffer beyond the limit") }
        nextHandle += 1
        overflow[nextHandle] = Array(scratch[offset..<end])
        return nextHandle
    }

    mutating func sendOverflow(_ buffer: Int32, _ sink: Int32, offset: Int, end: Int) -> TransferOutcome {
        guard let bytes = overflow[buffer] else { return .failed(.badFileDescriptor) }
        return write(bytes[offset..<end])
    }

    mutating func releaseOverflow(_ buffer: Int32) {
        if overflow.removeValue(forKey: buffer) == nil { violations.append("released twice") }
    }

    mutating func takePipe() -> Int32? {
        if pipes.count == pipeLimit || Int.random(in: 0..<8, using: &generator) == 0 { return nil }
        nextHandle += 1
        pipes[nextHandle] = []
        return nextHandle
    }

    mutating func fill(_ pipe: Int32, from source: Int32) -> TransferOutcome {
        if pipes[pipe] != [] { violations.append("filled a pipe that was not empty") }
        // A pipe takes as many fragments as it has slots, whatever their size.
        let outcome = available(upTo: Int.random(in: 1...64, using: &generator))
        if case .bytes(let count) = outcome {
            pipes[pipe] = Array(input[taken..<(taken + count)])
            taken += count
        }
        return outcome
    }

    mutating func drain(_ pipe: Int32, into sink: Int32, _ count: Int) -> TransferOutcome {
        guard let bytes = pipes[pipe], bytes.count == count else {
            violations.append("the count of bytes in the pipe is wrong")
            return .failed(.badFileDescriptor)
        }
        let outcome = write(bytes[...])
        if case .bytes(let moved) = outcome { pipes[pipe] = Array(bytes.dropFirst(moved)) }
        return outcome
    }

    mutating func releasePipe(_ pipe: Int32, isEmpty: Bool) {
        if let bytes = pipes.removeValue(forKey: pipe), bytes.isEmpty != isEmpty {
            violations.append("a pipe given back with \(bytes.count) bytes as empty: \(isEmpty)")
        }
    }

    mutating func endSending(_ sink: Int32) { (sinkEnded, keepsBack) = (true, false) }
}

@Suite struct DirectionModelTests {
    enum Ending: CaseIterable { case end, reset }

    /// Random arrival, room and turns; at the end everything arrives and there is room for it, and nothing but the
    /// events that a kernel would send may have been needed.
    private static func play(_ seed: UInt64, ending: Ending, overflowLimit: Int, pipeLimit: Int) -> [String] {
        var world = ModelTransfer(seed: seed, overflowLimit: overflowLimit, pipeLimit: pipeLimit)
        var generator = SeededGenerator(seed: seed ^ 0xabcd)
        let length = Int.random(in: 0...600, using: &generator)
        world.input = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
        if Bool.random(using: &generator), length > 2 {
            world.urgentMark = Int.random(in: 1..<length, using: &generator)
        }
        var direction = Direction()
        var result = Direction.Result.waiting

        func arrive(_ count: Int, _ world: inout ModelTransfer, _ direction: inout Direction) {
            let before = world.arrived
            world.arrived = min(world.input.count, world.arrived + count)
            let isUrgent = world.urgentMark.map { $0 <= world.arrived } ?? false
            if world.arrived > before, isUrgent { direction.sourceUrgent() }
            if world.arrived > before { direction.sourceReady(mayHaveMore: false) }
        }
        func makeRoom(_ count: Int, _ world: inout ModelTransfer, _ direction: inout Direction) {
            world.room += count
            if world.owesWritable {
                world.owesWritable = false
                direction.sinkReady()
            }
        }
        func finishSource(_ world: inout ModelTransfer, _ direction: inout Direction) {
            arrive(world.input.count, &world, &direction)
            if ending == .end {
                world.sourceEnds = true
                direction.sourceEndQueued()
            } else {
                world.sourceIsReset = true
                direction.sourceReset()
            }
        }

        var isFinished = false
        for _ in 0..<Int.random(in: 0...200, using: &generator) {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0...3: if !isFinished { arrive(Int.random(in: 1...80, using: &generator), &world, &direction) }
            case 4...6: makeRoom(Int.random(in: 1...60, using: &generator), &world, &direction)
            case 7:
                if !isFinished, Int.random(in: 0..<8, using: &generator) == 0 {
                    finishSource(&world, &direction)
                    isFinished = true
                }
            default: break
            }
            if Bool.random(using: &generator) {
                let next = direction.run(from: 1, to: 2, &world, budget: Int.random(in: 1...100, using: &generator))
                if world.keepsBack { world.violations.append("an end was announced that does not come") }
                if next == .ended || next == .sourceReset { result = next }
            }
        }
        if !isFinished { finishSource(&world, &direction) }
        var turns = 0
        while !direction.isEnded, turns < 10_000 {
            let next = direction.run(from: 1, to: 2, &world, budget: 50)
            if world.keepsBack { world.violations.append("an end was announced that does not come") }
            if next == .ended || next == .sourceReset { result = next }
            if next == .waiting {
                if !world.owesWritable { break }
                makeRoom(Int.random(in: 1...100, using: &generator), &world, &direction)
            }
            turns += 1
        }
        var problems = world.violations
        if !direction.isEnded { problems.append("hangs at \(world.output.count) of \(world.input.count) bytes") }
        if world.output != world.input { problems.append("the bytes differ") }
        if direction.total != UInt64(world.input.count) { problems.append("counted \(direction.total)") }
        if result != (ending == .end ? .ended : .sourceReset) { problems.append("ended as \(result)") }
        if world.sinkEnded != (ending == .end) { problems.append("FIN passed on: \(world.sinkEnded)") }
        if !world.overflow.isEmpty || !world.pipes.isEmpty { problems.append("resources are left") }
        return problems
    }

    @Test(arguments: Ending.allCases, [(4, 4), (0, 4), (4, 0), (0, 0)])
    func everyByteArrivesInOrderBeforeTheEnd(ending: Ending, limits: (overflow: Int, pipes: Int)) {
        let base = UInt64.random(in: 0...UInt64.max)
        for offset in 0..<1500 {
            let seed = base &+ UInt64(offset)
            let problems = Self.play(seed, ending: ending, overflowLimit: limits.overflow, pipeLimit: limits.pipes)
            #expect(problems.isEmpty, "seed \(seed), limits \(limits), \(ending): \(problems)")
            if !problems.isEmpty { return }
        }
    }

    @Test func aBrokenSinkGivesEverythingBack() {
        let base = UInt64.random(in: 0...UInt64.max)
        for offset in 0..<500 {
            let seed = base &+ UInt64(offset)
            var generator = SeededGenerator(seed: seed)
            var world = ModelTransfer(seed: seed, overflowLimit: 2, pipeLimit: 2)
            world.input = [UInt8](repeating: 7, count: 500)
            var direction = Direction()
            world.arrived = 500
            world.room = Int.random(in: 0...300, using: &generator)
            direction.sourceReady(mayHaveMore: false)
            var result = direction.run(from: 1, to: 2, &world)
            world.sinkIsBroken = true
            direction.sinkReady()
            if result != .sinkFailed { result = direction.run(from: 1, to: 2, &world) }
            #expect(result == .sinkFailed && direction.isEnded, "seed \(seed)")
            let isClean = world.overflow.isEmpty && world.pipes.isEmpty && world.violations.isEmpty
            #expect(isClean, "seed \(seed)")
        }
    }

    @Test func anEndThatAnErrorTurnedIntoAnOrdinaryOneIsStillAReset() {
        var world = ModelTransfer(seed: 1, overflowLimit: 2, pipeLimit: 2)
        world.sourceEnds = true
        var direction = Direction()
        direction.sourceReset()
        let result = direction.run(from: 1, to: 2, &world)
        let sinkEnded = world.sinkEnded
        #expect(result == .sourceReset && !sinkEnded)
    }

    @Test func oneTurnMovesNoMoreThanItsBudget() {
        var world = ModelTransfer(seed: 1, overflowLimit: 2, pipeLimit: 0)
        world.input = [UInt8](repeating: 1, count: 10_000)
        world.arrived = 10_000
        world.room = 100_000
        var direction = Direction()
        direction.sourceReady(mayHaveMore: false)
        let result = direction.run(from: 1, to: 2, &world, budget: 100)
        #expect(result == .again)
        #expect(direction.total >= 100 && direction.total <= 116)
    }
}
