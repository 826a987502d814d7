// SPDX-License-Identifier: Apache-2.0
import EventLoop
import Testing

private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}

@Suite struct TimerWheelTests {
    @Test func firesExactlyWhatIsDueInAnyMixOfCalls() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(state: seed)
        var now: UInt64 = 1_000_000
        var wheel = TimerWheel(now: now)
        var armed: [UInt32: (deadline: UInt64, id: TimerID)] = [:]
        var next: UInt32 = 0
        for _ in 0..<30_000 {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1:
                let shift = UInt64.random(in: 0...24, using: &generator)
                let deadline = now + UInt64.random(in: 0...(1 << shift), using: &generator)
                next += 1
                let id = wheel.arm(at: deadline, EventToken(kind: 1, slot: next & 0xffff, generation: next))
                armed[next] = (deadline, id)
            case 2:
                if let (key, value) = armed.randomElement(using: &generator) {
                    var id = value.id
                    wheel.cancel(&id)
                    wheel.cancel(&id)
                    armed[key] = nil
                }
            default:
                let timeout = wheel.timeout(now: now)
                let first = armed.values.map(\.deadline).min()
                // It may be early, because timers move down on the way, but never late.
                if let first { #expect(timeout >= 0 && now + UInt64(timeout) <= max(first, now), "seed \(seed)") }
                if first == nil { #expect(timeout == -1, "seed \(seed)") }
                let shift = UInt64.random(in: 0...20, using: &generator)
                now += UInt64.random(in: 0...(1 << shift), using: &generator)
                var fired: Set<UInt32> = []
                while let token = wheel.popExpired(now: now) { fired.insert(token.generation) }
                let due = Set(armed.filter { $0.value.deadline <= now }.keys)
                #expect(fired == due, "seed \(seed)")
                if fired != due { return }
                for key in due { armed[key] = nil }
            }
        }
        let count = wheel.count
        #expect(count == armed.count)
    }

    @Test func aTimerBeyondTheSpanFiresInTime() {
        var wheel = TimerWheel(now: 0)
        _ = wheel.arm(at: 1 << 26, EventToken(kind: 0, slot: 7, generation: 0))
        var now: UInt64 = 0
        var wakeUps = 0
        while now < 1 << 26 {
            let early = wheel.popExpired(now: now)
            #expect(early == nil)
            now += UInt64(max(1, wheel.timeout(now: now)))
            wakeUps += 1
        }
        let token = wheel.popExpired(now: now)
        #expect(token?.slot == 7)
        #expect(now == 1 << 26)
        #expect(wakeUps < 20, "hours cost a handful of wake-ups")
    }

    @Test func nothingArmedNeverWakes() {
        let wheel = TimerWheel(now: 5)
        let timeout = wheel.timeout(now: 1 << 40)
        #expect(timeout == -1)
    }
}

@Suite struct SlabTests {
    private final class Witness {
        nonisolated(unsafe) static var living = 0
        init() { Witness.living += 1 }
        deinit { Witness.living -= 1 }
    }

    private struct Element: ~Copyable {
        var number: Int
        let witness = Witness()
    }

    @Test func namesObjectsOnceAndDestroysThemOnce() {
        do {
            var slab = Slab<Element>(capacity: 1000)
            var slots: [(slot: UInt32, generation: UInt32, number: Int)] = []
            for number in 0..<1000 {
                let slot = slab.insert(Element(number: number))
                slots.append((slot, slab.generation(slot), number))
            }
            let isFull = slab.isFull
            #expect(isFull && Witness.living == 1000)
            for entry in slots where entry.number % 2 == 0 {
                let removed = slab.remove(entry.slot).number
                #expect(removed == entry.number)
            }
            #expect(Witness.living == 500)
            for entry in slots {
                let isCurrent = slab.isCurrent(entry.slot, entry.generation)
                #expect(isCurrent == (entry.number % 2 == 1))
            }
            let again = slab.insert(Element(number: 5000))
            slab[again].number += 1
            let number = slab[again].number
            let isStale = slots.contains { $0.slot == again && slab.isCurrent(again, $0.generation) }
            #expect(number == 5001 && !isStale)
        }
        #expect(Witness.living == 0)
    }

    @Test func tokensKeepTheirParts() {
        let token = EventToken(kind: 15, slot: (1 << 28) - 1, generation: .max)
        #expect(token.kind == 15 && token.slot == (1 << 28) - 1 && token.generation == .max)
        let other = EventToken(rawValue: EventToken(kind: 3, slot: 9, generation: 8).rawValue)
        #expect(other.kind == 3 && other.slot == 9 && other.generation == 8)
    }

    @Test func theQueueKeepsItsOrderWhileItGrows() {
        var queue = ValueQueue()
        var expected: UInt64 = 0
        var next: UInt64 = 0
        for round in 0..<500 {
            for _ in 0..<(round % 7 + 2) {
                queue.append(next)
                next += 1
            }
            for _ in 0..<(round % 3) {
                let value = queue.popFirst()
                #expect(value == expected)
                expected += 1
            }
        }
        while let value = queue.popFirst() {
            #expect(value == expected)
            expected += 1
        }
        #expect(expected == next)
    }
}
