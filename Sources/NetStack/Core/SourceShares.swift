// SPDX-License-Identifier: Apache-2.0

/// How many records of a table each pod address holds, to keep one address from taking all of it.
///
/// Addresses are counted by a keyed hash into 256 counters. Two addresses that collide share one allowance, which is
/// the safe direction; a counter per address would itself be a table to exhaust.
struct SourceShares: ~Copyable {
    private let counts: UnsafeMutablePointer<UInt32>
    private let limit: UInt32
    private let key: HashKey

    init(limit: Int, key: HashKey) {
        counts = .allocate(capacity: 256)
        counts.initialize(repeating: 0, count: 256)
        self.limit = UInt32(max(1, limit))
        self.key = key
    }

    deinit { counts.deallocate() }

    private func slot(_ address: InternetAddress) -> Int {
        Int(key.tableHash(address.high, address.low, 0, 0, 0) & 255)
    }

    /// Books one record for `address`; false when its share is used up.
    func take(_ address: InternetAddress) -> Bool {
        let slot = slot(address)
        guard counts[slot] < limit else { return false }
        counts[slot] += 1
        return true
    }

    func release(_ address: InternetAddress) {
        let slot = slot(address)
        precondition(counts[slot] > 0)
        counts[slot] -= 1
    }
}
