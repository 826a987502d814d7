// SPDX-License-Identifier: Apache-2.0

/// One timer per record of a slab, as a binary heap with back-pointers.
///
/// The queue's time for a record is a lower bound: `schedule` moves a timer only to an earlier time. Postponing, which
/// every acknowledgement does, costs nothing here: the record keeps the true deadline, and whoever pops a record
/// whose deadline is still ahead schedules it again. The price is one needless wake-up after a burst.
/// A heap rather than a wheel, because `earliest` must be exact and cheap for an idle process to sleep long.
package struct TimerQueue: ~Copyable {
    private struct Entry {
        var time: MonotonicTime
        var record: UInt32
    }

    private var heap: UnsafeMutablePointer<Entry>
    private var heapCapacity = 64
    /// Heap position plus one of each record, 0 when it has no entry.
    private var positions: UnsafeMutablePointer<UInt32>
    private var positionCapacity = 64
    package private(set) var count = 0

    package init() {
        heap = .allocate(capacity: heapCapacity)
        positions = .allocate(capacity: positionCapacity)
        positions.initialize(repeating: 0, count: positionCapacity)
    }

    deinit {
        heap.deallocate()
        positions.deallocate()
    }

    /// The first time at which `popExpired` has something to say.
    package var earliest: MonotonicTime { count == 0 ? .never : heap[0].time }

    /// Makes sure that `record` pops no later than `time`.
    package mutating func schedule(_ record: UInt32, at time: MonotonicTime) {
        if Int(record) >= positionCapacity { growPositions(toHold: Int(record)) }
        let known = positions[Int(record)]
        if known != 0 {
            let position = Int(known) - 1
            if heap[position].time <= time { return }
            heap[position].time = time
            siftUp(position)
            return
        }
        if count == heapCapacity { growHeap() }
        (heap + count).initialize(to: Entry(time: time, record: record))
        count += 1
        positions[Int(record)] = UInt32(count)
        siftUp(count - 1)
    }

    /// Forgets the timer of `record`, if it has one.
    package mutating func cancel(_ record: UInt32) {
        guard Int(record) < positionCapacity, positions[Int(record)] != 0 else { return }
        remove(Int(positions[Int(record)]) - 1)
    }

    /// Takes out one record whose time is at or before `now`.
    package mutating func popExpired(_ now: MonotonicTime) -> UInt32? {
        guard count > 0, heap[0].time <= now else { return nil }
        let record = heap[0].record
        remove(0)
        return record
    }

    private mutating func remove(_ position: Int) {
        positions[Int(heap[position].record)] = 0
        count -= 1
        if position == count { return }
        heap[position] = heap[count]
        positions[Int(heap[position].record)] = UInt32(position + 1)
        siftDown(position)
        siftUp(position)
    }

    private mutating func siftUp(_ start: Int) {
        var position = start
        let entry = heap[position]
        while position > 0 {
            let parent = (position - 1) >> 1
            if heap[parent].time <= entry.time { break }
            heap[position] = heap[parent]
            positions[Int(heap[position].record)] = UInt32(position + 1)
            position = parent
        }
        heap[position] = entry
        positions[Int(entry.record)] = UInt32(position + 1)
    }

    private mutating func siftDown(_ start: Int) {
        var position = start
        let entry = heap[position]
        while true {
            var child = position * 2 + 1
            if child >= count { break }
            if child + 1 < count && heap[child + 1].time < heap[child].time { child += 1 }
            if entry.time <= heap[child].time { break }
            heap[position] = heap[child]
            positions[Int(heap[position].record)] = UInt32(position + 1)
            position = child
        }
        heap[position] = entry
        positions[Int(entry.record)] = UInt32(position + 1)
    }

    private mutating func growHeap() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: heapCapacity * 2)
        larger.moveInitialize(from: heap, count: count)
        heap.deallocate()
        heap = larger
        heapCapacity *= 2
    }

    private mutating func growPositions(toHold record: Int) {
        var capacity = positionCapacity
        while capacity <= record { capacity *= 2 }
        let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
        larger.initialize(repeating: 0, count: capacity)
        larger.update(from: positions, count: positionCapacity)
        positions.deallocate()
        positions = larger
        positionCapacity = capacity
    }
}
