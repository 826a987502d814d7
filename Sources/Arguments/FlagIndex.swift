// SPDX-License-Identifier: Apache-2.0

/// Positions of flags by name: an open hash table of names' hashes.
///
/// Not a Dictionary: in a process that lives some milliseconds, instantiating one and seeding its hash function costs
/// more than all look-ups together. The names are this program's own, so nobody can choose them to collide.
struct FlagIndex {
    /// Positions plus one; 0 is free. The size is a power of two, at least twice the number of names.
    private var slots = [UInt16](repeating: 0, count: 64)
    private var hashes = [UInt32](repeating: 0, count: 64)
    private var count = 0

    /// Positions come in ascending order; the last one of a name counts.
    mutating func insert(_ name: String, _ position: Int) {
        if (count + 1) * 2 > slots.count { grow() }
        place(UInt16(truncatingIfNeeded: position + 1), FlagIndex.hash(name))
        count += 1
    }

    /// The latest position of `name` that `matches` agrees to; nil if there is none.
    func find(_ name: String, _ matches: (Int) -> Bool) -> Int? {
        let hash = FlagIndex.hash(name)
        var slot = Int(hash) & (slots.count - 1)
        var found: Int?
        while slots[slot] != 0 {
            if hashes[slot] == hash, matches(Int(slots[slot]) - 1) { found = max(found ?? 0, Int(slots[slot]) - 1) }
            slot = (slot + 1) & (slots.count - 1)
        }
        return found
    }

    private mutating func place(_ value: UInt16, _ hash: UInt32) {
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = value
        hashes[slot] = hash
    }

    private mutating func grow() {
        let former = (slots, hashes)
        slots = [UInt16](repeating: 0, count: former.0.count * 2)
        hashes = [UInt32](repeating: 0, count: former.0.count * 2)
        for slot in former.0.indices where former.0[slot] != 0 { place(former.0[slot], former.1[slot]) }
    }

    /// FNV-1a, 32 bits.
    private static func hash(_ name: String) -> UInt32 {
        var value: UInt32 = 0x811c_9dc5
        for byte in name.utf8 { value = (value ^ UInt32(byte)) &* 0x0100_0193 }
        return value
    }
}
