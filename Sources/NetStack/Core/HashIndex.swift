// SPDX-License-Identifier: Apache-2.0

/// Open-addressing index from a 32-bit keyed hash to a slab index: linear probing at a load of at most one half,
/// deletion by backward shift, so that probe lengths do not decay under churn and no tombstone exists.
///
/// The index stores the full hash: a probe compares records only when 32 bits agree, and growing never touches
/// records. It doubles from 256 entries to twice `capacity`, then never allocates again.
package struct HashIndex: ~Copyable {
    private struct Entry {
        var hash: UInt32
        var index: UInt32
    }

    /// A walk over the entries that share one hash.
    package struct Probe {
        fileprivate var position: Int
        fileprivate let hash: UInt32
    }

    private var entries: UnsafeMutablePointer<Entry>
    private var mask: Int
    package private(set) var count = 0

    package init() {
        entries = .allocate(capacity: 256)
        entries.initialize(repeating: Entry(hash: 0, index: .max), count: 256)
        mask = 255
    }

    deinit { entries.deallocate() }

    @inline(__always)
    package func probe(_ hash: UInt32) -> Probe { Probe(position: Int(hash) & mask, hash: hash) }

    /// The next slab index stored under the probe's hash. The index may not change during a walk.
    @inline(__always)
    package func next(_ probe: inout Probe) -> UInt32? {
        // Terminates: at least half of the entries are empty.
        while true {
            let entry = entries[probe.position & mask]
            if entry.index == .max { return nil }
            probe.position = (probe.position &+ 1) & mask
            if entry.hash == probe.hash { return entry.index }
        }
    }

    package mutating func insert(_ hash: UInt32, _ index: UInt32) {
        if (count + 1) * 2 > mask + 1 { grow() }
        place(Entry(hash: hash, index: index))
        count += 1
    }

    private func place(_ entry: Entry) {
        var position = Int(entry.hash) & mask
        while entries[position].index != .max { position = (position &+ 1) & mask }
        entries[position] = entry
    }

    private mutating func grow() {
        let old = entries
        let oldCount = mask + 1
        entries = .allocate(capacity: oldCount * 2)
        entries.initialize(repeating: Entry(hash: 0, index: .max), count: oldCount * 2)
        mask = oldCount * 2 - 1
        for i in 0..<oldCount where old[i].index != .max { place(old[i]) }
        old.deallocate()
    }

    /// Removes the entry of `index`, which must be present under `hash`.
    package mutating func remove(_ hash: UInt32, _ index: UInt32) {
        var hole = Int(hash) & mask
        while entries[hole].index != index {
            precondition(entries[hole].index != .max)
            hole = (hole &+ 1) & mask
        }
        // Pull back every later entry of the run whose home is at or before the hole.
        var position = hole
        while true {
            position = (position &+ 1) & mask
            let entry = entries[position]
            if entry.index == .max { break }
            let home = Int(entry.hash) & mask
            if ((position &- home) & mask) >= ((position &- hole) & mask) {
                entries[hole] = entry
                hole = position
            }
        }
        entries[hole].index = .max
        count -= 1
    }
}
