// SPDX-License-Identifier: Apache-2.0

/// Objects in numbered slots that never move. Insert, remove and access are O(1); memory grows by chunks and is kept.
///
/// A slot's generation changes when its object is removed, so (slot, generation) names one object for ever
/// (for 2^32 reuses of the slot).
public struct Slab<Element: ~Copyable>: ~Copyable {
    /// Slots per chunk.
    @usableFromInline static var chunkSize: Int { 256 }

    @usableFromInline struct SlotState {
        @usableFromInline var generation: UInt32 = 0
        @usableFromInline var isOccupied = false
        /// The next free slot, if this one is free.
        @usableFromInline var nextFree: UInt32 = .max
        @usableFromInline init() {}
    }

    @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    @usableFromInline let states: UnsafeMutablePointer<UnsafeMutablePointer<SlotState>>
    @usableFromInline let capacity: Int
    @usableFromInline var firstFree: UInt32 = .max
    /// Slots that exist; those below have a state.
    public private(set) var slotCount: UInt32 = 0
    /// Objects.
    public private(set) var count = 0

    /// Room for at most `capacity` objects.
    public init(capacity: Int) {
        precondition(capacity > 0, "a slab of nothing")
        let chunkLimit = (capacity + Self.chunkSize - 1) / Self.chunkSize
        chunks = .allocate(capacity: chunkLimit)
        states = .allocate(capacity: chunkLimit)
        self.capacity = capacity
    }

    deinit {
        for slot in 0..<slotCount where isOccupied(slot) { address(slot).deinitialize(count: 1) }
        for chunk in 0..<(Int(slotCount) + Self.chunkSize - 1) / Self.chunkSize {
            chunks[chunk].deallocate()
            states[chunk].deallocate()
        }
        chunks.deallocate()
        states.deallocate()
    }

    public var isFull: Bool { count == capacity }

    @inlinable @inline(__always)
    func address(_ slot: UInt32) -> UnsafeMutablePointer<Element> {
        chunks[Int(slot) / Self.chunkSize] + Int(slot) % Self.chunkSize
    }

    @inlinable @inline(__always)
    func state(_ slot: UInt32) -> UnsafeMutablePointer<SlotState> {
        states[Int(slot) / Self.chunkSize] + Int(slot) % Self.chunkSize
    }

    /// Whether there is an object in `slot`.
    @inlinable public func isOccupied(_ slot: UInt32) -> Bool {
        slot < slotCount && state(slot).pointee.isOccupied
    }

    /// Whether the object that was in `slot` at `generation` is still there.
    @inlinable public func isCurrent(_ slot: UInt32, _ generation: UInt32) -> Bool {
        isOccupied(slot) && state(slot).pointee.generation == generation
    }

    /// The generation of `slot`, which must exist.
    @inlinable public func generation(_ slot: UInt32) -> UInt32 {
        precondition(slot < slotCount, "a slot that exists")
        return state(slot).pointee.generation
    }

    /// Puts an object into a free slot. The slab must not be full.
    public mutating func insert(_ element: consuming Element) -> UInt32 {
        precondition(!isFull, "a slab that is not full")
        let slot: UInt32
        if firstFree != .max {
            slot = firstFree
            firstFree = state(slot).pointee.nextFree
        } else {
            slot = slotCount
            if Int(slot) % Self.chunkSize == 0 { addChunk() }
            slotCount += 1
        }
        state(slot).pointee.isOccupied = true
        address(slot).initialize(to: element)
        count += 1
        return slot
    }

    /// Takes the object out of `slot`.
    public mutating func remove(_ slot: UInt32) -> Element {
        precondition(isOccupied(slot), "an object to remove")
        let state = state(slot)
        state.pointee.isOccupied = false
        state.pointee.generation &+= 1
        state.pointee.nextFree = firstFree
        firstFree = slot
        count -= 1
        return address(slot).move()
    }

    private mutating func addChunk() {
        let chunk = Int(slotCount) / Self.chunkSize
        chunks[chunk] = .allocate(capacity: Self.chunkSize)
        states[chunk] = .allocate(capacity: Self.chunkSize)
        states[chunk].initialize(repeating: SlotState(), count: Self.chunkSize)
    }

    /// The object in `slot`, which must be there.
    @inlinable public subscript(slot: UInt32) -> Element {
        unsafeAddress {
            precondition(isOccupied(slot), "an object to access")
            return UnsafePointer(address(slot))
        }
        unsafeMutableAddress {
            precondition(isOccupied(slot), "an object to access")
            return address(slot)
        }
    }
}

/// A first-in first-out queue of 64-bit values. Allocates only to grow.
public struct ValueQueue: ~Copyable {
    private var storage: UnsafeMutablePointer<UInt64>
    private var capacity: Int
    private var head = 0
    public private(set) var count = 0

    public init() {
        capacity = 64
        storage = .allocate(capacity: capacity)
    }

    deinit { storage.deallocate() }

    public var isEmpty: Bool { count == 0 }

    public mutating func append(_ value: UInt64) {
        if count == capacity { grow() }
        storage[(head + count) & (capacity - 1)] = value
        count += 1
    }

    /// Nil when empty.
    public mutating func popFirst() -> UInt64? {
        if count == 0 { return nil }
        defer {
            head = (head + 1) & (capacity - 1)
            count -= 1
        }
        return storage[head]
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * 2)
        for index in 0..<count { larger[index] = storage[(head + index) & (capacity - 1)] }
        storage.deallocate()
        storage = larger
        capacity *= 2
        head = 0
    }
}
