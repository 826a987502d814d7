// SPDX-License-Identifier: Apache-2.0

/// A record's place in a slab, with the generation that tells a reused place from the record it named.
package struct SlabID: Hashable, BitwiseCopyable, Sendable {
    /// 0..<capacity of the table; dense from zero, so a caller can keep its own parallel table.
    package let index: UInt32
    /// Changes every time the place is freed.
    package let generation: UInt32

    package init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// Fixed-capacity storage for records of one trivial type.
///
/// Memory comes in chunks of 256 records, allocated when the first record of a chunk is used and kept: a stack that
/// carries three connections touches one chunk, and a warmed-up one allocates nothing. Freed places are reused last
/// in, first out (the hottest memory first). Records do not move, so a pointer stays good until its record is freed.
package struct Slab<Record: BitwiseCopyable>: ~Copyable {
    package struct Place {
        var record: Record
        var generation: UInt32
        /// Index of the next free place plus two, 1 for the end of the list; 0 while in use.
        var freeLink: UInt32
    }

    /// The number that no record has.
    package static var none: UInt32 { .max }

    private static var chunkShift: UInt32 { 8 }
    private static var chunkSize: Int { 1 << 8 }

    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Place>?>
    private let chunkCount: Int
    private var firstFree: UInt32 = Slab.none
    /// Places from here on were never used.
    private var highWater: UInt32 = 0

    package let capacity: Int
    /// Records in use.
    package private(set) var count = 0

    package init(capacity: Int) {
        precondition(capacity > 0 && capacity < 1 << 24)
        self.capacity = capacity
        chunkCount = (capacity + Self.chunkSize - 1) >> Int(Self.chunkShift)
        chunks = .allocate(capacity: chunkCount)
        chunks.initialize(repeating: nil, count: chunkCount)
    }

    deinit {
        for i in 0..<chunkCount { chunks[i]?.deallocate() }
        chunks.deallocate()
    }

    @inline(__always)
    private func place(_ index: UInt32) -> UnsafeMutablePointer<Place> {
        precondition(index < highWater)
        // SAFETY: index < highWater implies that the chunk exists, since allocate() makes it before raising the mark.
        return chunks[Int(index &>> Self.chunkShift)].unsafelyUnwrapped + Int(index & 255)
    }

    /// The record at `index`, which must be in use. The pointer is good until the record is freed.
    @inline(__always)
    package subscript(index: UInt32) -> UnsafeMutablePointer<Record> {
        let place = place(index)
        precondition(place.pointee.freeLink == 0)
        return UnsafeMutableRawPointer(place).assumingMemoryBound(to: Record.self)
    }

    /// The record that `id` names, or nil when it was freed.
    @inline(__always)
    package func find(_ id: SlabID) -> UnsafeMutablePointer<Record>? {
        guard id.index < highWater else { return nil }
        let place = place(id.index)
        guard place.pointee.generation == id.generation, place.pointee.freeLink == 0 else { return nil }
        return UnsafeMutableRawPointer(place).assumingMemoryBound(to: Record.self)
    }

    @inline(__always)
    package func id(_ index: UInt32) -> SlabID {
        SlabID(index: index, generation: place(index).pointee.generation)
    }

    /// Stores `record` and returns its index, or nil when the slab is full.
    package mutating func allocate(_ record: Record) -> UInt32? {
        if firstFree != Self.none {
            let index = firstFree
            let place = place(index)
            firstFree = place.pointee.freeLink &- 2
            place.pointee.freeLink = 0
            place.pointee.record = record
            count += 1
            return index
        }
        guard Int(highWater) < capacity else { return nil }
        let index = highWater
        let chunk = Int(index >> Self.chunkShift)
        if chunks[chunk] == nil { chunks[chunk] = .allocate(capacity: Self.chunkSize) }
        highWater += 1
        place(index).initialize(to: Place(record: record, generation: 1, freeLink: 0))
        count += 1
        return index
    }

    package mutating func free(_ index: UInt32) {
        let place = place(index)
        precondition(place.pointee.freeLink == 0)
        place.pointee.generation &+= 1
        place.pointee.freeLink = firstFree &+ 2
        firstFree = index
        count -= 1
    }

    /// The first index in use at or after `start`, for walks over the whole table.
    package func nextInUse(from start: UInt32) -> UInt32? {
        var index = start
        while index < highWater {
            if place(index).pointee.freeLink == 0 { return index }
            index += 1
        }
        return nil
    }
}
