// SPDX-License-Identifier: Apache-2.0

/// An armed timer. Stale after it has fired or was cancelled; a stale one is harmless.
public struct TimerID: Equatable, Sendable {
    public static let none = TimerID(slot: .max, generation: 0)
    let slot: UInt32
    let generation: UInt32

    public var isNone: Bool { slot == .max }
}

/// A hierarchical timing wheel: 4 levels of 64 slots, 1 ms at the lowest. Arming and cancelling are O(1); a timer moves
/// down at most 3 times. Timers beyond 4.6 hours wait in the last slot and are sorted in again from there.
///
/// It knows no clock: the owner passes the time in milliseconds, which must not go backwards.
public struct TimerWheel: ~Copyable {
    private struct Node {
        var deadline: UInt64
        var token: EventToken
        var previous: UInt32
        var next: UInt32
        /// level * 64 + slot
        var bucket: UInt16
    }

    private static let levels = 4
    private static let span: UInt64 = 1 << 24

    private var nodes: Slab<Node>
    private let heads: UnsafeMutablePointer<UInt32>
    private var occupied: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private var current: UInt64

    /// `now` in milliseconds; at most `capacity` timers at a time.
    public init(now: UInt64, capacity: Int = 1 << 20) {
        current = now
        nodes = Slab(capacity: capacity)
        heads = .allocate(capacity: Self.levels * 64)
        heads.initialize(repeating: .max, count: Self.levels * 64)
    }

    deinit { heads.deallocate() }

    public var count: Int { nodes.count }

    /// Fires `token` at `deadline` (milliseconds) or as soon as possible after it.
    public mutating func arm(at deadline: UInt64, _ token: EventToken) -> TimerID {
        let node = Node(deadline: deadline, token: token, previous: .max, next: .max, bucket: 0)
        let slot = nodes.insert(node)
        link(slot)
        return TimerID(slot: slot, generation: nodes.generation(slot))
    }

    /// Cancels the timer unless it is stale, and makes `timer` none.
    public mutating func cancel(_ timer: inout TimerID) {
        defer { timer = .none }
        if timer.isNone || !nodes.isCurrent(timer.slot, timer.generation) { return }
        unlink(timer.slot)
        _ = nodes.remove(timer.slot)
    }

    /// Milliseconds until `popExpired` may have something to do: 0 if it has, -1 if nothing is armed.
    public func timeout(now: UInt64) -> Int32 {
        guard let next = nextStop() else { return -1 }
        return next <= now ? 0 : Int32(clamping: next - now)
    }

    /// The token of one timer whose deadline is not after `now`, or nil when there is none (left).
    public mutating func popExpired(now: UInt64) -> EventToken? {
        while let stop = nextStop(), stop <= now {
            if stop > current { advance(to: stop) }
            let bucket = Int(current & 63)
            let slot = heads[bucket]
            // A stop of a higher level has only moved timers down.
            if slot == .max { continue }
            unlink(slot)
            return nodes.remove(slot).token
        }
        // Nothing is linked between the last stop and now, so the wheel may jump.
        if now > current { current = now }
        return nil
    }

    // MARK: Structure

    /// The time of the first slot that holds timers, at any level.
    private func nextStop() -> UInt64? {
        var first: UInt64?
        for level in 0..<Self.levels {
            let bits = bitmap(level)
            if bits == 0 { continue }
            let position = current >> UInt64(6 * level)
            let rotation = position & 63
            let rotated = rotation == 0 ? bits : bits >> rotation | bits << (64 - rotation)
            let stop = (position + UInt64(rotated.trailingZeroBitCount)) << UInt64(6 * level)
            first = min(first ?? stop, stop)
        }
        return first
    }

    /// Moves the time on to a stop and sorts the timers of the slots that begin there into lower levels.
    private mutating func advance(to stop: UInt64) {
        current = stop
        var level = Self.levels - 1
        while level > 0 {
            let shift = UInt64(6 * level)
            if stop & ((1 << shift) - 1) == 0 {
                let bucket = level * 64 + Int(stop >> shift & 63)
                while heads[bucket] != .max {
                    let slot = heads[bucket]
                    unlink(slot)
                    link(slot)
                }
            }
            level -= 1
        }
    }

    /// Links into the lowest level whose 64 slots reach the deadline. On levels above 0 that is never the slot of the
    /// current time, because a difference of 64 below is a difference of at least 1 above.
    private mutating func link(_ slot: UInt32) {
        let deadline = min(max(nodes[slot].deadline, current), current + Self.span - 1 - (1 << 18))
        var level = 0
        while level < Self.levels - 1, deadline >> UInt64(6 * level) - current >> UInt64(6 * level) > 63 { level += 1 }
        let bucket = level * 64 + Int(deadline >> UInt64(6 * level) & 63)
        let head = heads[bucket]
        nodes[slot].bucket = UInt16(bucket)
        nodes[slot].previous = .max
        nodes[slot].next = head
        if head != .max { nodes[head].previous = slot }
        heads[bucket] = slot
        setBit(bucket, true)
    }

    private mutating func unlink(_ slot: UInt32) {
        let (previous, next, bucket) = (nodes[slot].previous, nodes[slot].next, Int(nodes[slot].bucket))
        if previous == .max { heads[bucket] = next } else { nodes[previous].next = next }
        if next != .max { nodes[next].previous = previous }
        if heads[bucket] == .max { setBit(bucket, false) }
    }

    private func bitmap(_ level: Int) -> UInt64 {
        switch level {
        case 0: occupied.0
        case 1: occupied.1
        case 2: occupied.2
        default: occupied.3
        }
    }

    private mutating func setBit(_ bucket: Int, _ value: Bool) {
        let bit: UInt64 = 1 << UInt64(bucket & 63)
        switch bucket >> 6 {
        case 0: occupied.0 = value ? occupied.0 | bit : occupied.0 & ~bit
        case 1: occupied.1 = value ? occupied.1 | bit : occupied.1 & ~bit
        case 2: occupied.2 = value ? occupied.2 | bit : occupied.2 & ~bit
        default: occupied.3 = value ? occupied.3 | bit : occupied.3 & ~bit
        }
    }
}
