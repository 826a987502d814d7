// SPDX-License-Identifier: Apache-2.0

/// What a mapping translates.
package enum MappingKind: UInt8, BitwiseCopyable, Sendable {
    case udp
    case echo
}

/// The remote addresses a mapping has talked to, as two Bloom filters of 256 bits, a current and a previous one.
///
/// Filtering by address (RFC 4787, section 5) needs a set per mapping; an exact one is either small, and then forgets
/// peers of a busy socket, or a table to exhaust. A Bloom filter never forgets within its time and at worst admits
/// a stranger, which is what endpoint-independent filtering does always.
struct RemoteFilter: BitwiseCopyable {
    private var current = SIMD4<UInt64>()
    private var previous = SIMD4<UInt64>()
    private var rotated: MonotonicTime

    static var periodMilliseconds: UInt64 { 180_000 }

    init(_ now: MonotonicTime) { rotated = now }

    private mutating func rotate(_ now: MonotonicTime) {
        guard rotated.adding(milliseconds: Self.periodMilliseconds) <= now else { return }
        previous = current
        current = SIMD4()
        rotated = now
    }

    private static func mask(_ hash: UInt32) -> SIMD4<UInt64> {
        var mask = SIMD4<UInt64>()
        mask[Int(hash >> 6 & 3)] |= 1 << UInt64(hash & 63)
        mask[Int(hash >> 14 & 3)] |= 1 << UInt64(hash >> 8 & 63)
        return mask
    }

    mutating func insert(_ hash: UInt32, _ now: MonotonicTime) {
        rotate(now)
        current |= Self.mask(hash)
    }

    mutating func mayContain(_ hash: UInt32, _ now: MonotonicTime) -> Bool {
        rotate(now)
        let mask = Self.mask(hash)
        return (current | previous) & mask == mask
    }
}

/// One pod endpoint that sends datagrams: endpoint-independent mapping (RFC 4787, section 4.1). However many
/// destinations it talks to, the caller has one host socket for it.
struct Mapping: BitwiseCopyable {
    var source: InternetEndpoint
    var kind: MappingKind
    /// Made by the caller for a published port: never expires, admits everyone.
    var isPublished: Bool
    /// A datagram has come back: 180 s instead of 30 s of idleness.
    var isReplied = false
    var hash: UInt32
    var lastUsed: MonotonicTime
    var filter: RemoteFilter
    /// Neighbours in the list by use, `.max` at its ends.
    var older: UInt32 = .max
    var newer: UInt32 = .max

    var deadline: MonotonicTime { lastUsed.adding(milliseconds: isReplied ? 180_000 : 30_000) }
}

/// All mappings, found by endpoint and kind, ordered by use within each kind.
struct MappingTable: ~Copyable {
    var records: Slab<Mapping>
    var index = HashIndex()
    var timers = TimerQueue()
    let udpShares: SourceShares
    let echoShares: SourceShares
    let limits: Configuration.Limits
    let key: HashKey
    private var counts = SIMD2<Int>(0, 0)
    private var oldest = SIMD2<UInt32>(repeating: .max)
    private var newest = SIMD2<UInt32>(repeating: .max)

    init(_ limits: Configuration.Limits, key: HashKey) {
        records = Slab(capacity: limits.udpMappings + limits.echoMappings)
        udpShares = SourceShares(limit: limits.udpMappings * limits.sharePerSource / 100, key: key)
        echoShares = SourceShares(limit: limits.echoMappings * limits.sharePerSource / 100, key: key)
        self.limits = limits
        self.key = key
    }

    func hash(_ source: InternetEndpoint, _ kind: MappingKind) -> UInt32 {
        key.tableHash(source.address.high, source.address.low, UInt64(source.port), UInt64(kind.rawValue), 1)
    }

    func remoteHash(_ address: InternetAddress) -> UInt32 { key.tableHash(address.high, address.low, 0, 0, 2) }

    func find(_ source: InternetEndpoint, _ kind: MappingKind) -> UInt32? {
        var probe = index.probe(hash(source, kind))
        while let candidate = index.next(&probe) {
            let record = records[candidate]
            if record.pointee.source == source && record.pointee.kind == kind { return candidate }
        }
        return nil
    }

    func isFull(_ kind: MappingKind) -> Bool {
        counts[Int(kind.rawValue)] >= (kind == .udp ? limits.udpMappings : limits.echoMappings)
    }

    /// The least recently used mapping that may give way.
    func leastRecentlyUsed(_ kind: MappingKind) -> UInt32? {
        let candidate = oldest[Int(kind.rawValue)]
        return candidate == .max ? nil : candidate
    }

    func takeShare(_ source: InternetAddress, _ kind: MappingKind) -> Bool {
        kind == .udp ? udpShares.take(source) : echoShares.take(source)
    }

    /// Adds a mapping whose share has been taken; nil only when the slab is full.
    mutating func insert(_ mapping: Mapping) -> UInt32? {
        guard let new = records.allocate(mapping) else { return nil }
        index.insert(mapping.hash, new)
        counts[Int(mapping.kind.rawValue)] += 1
        if !mapping.isPublished {
            linkNewest(new)
            timers.schedule(new, at: mapping.deadline)
        }
        return new
    }

    mutating func remove(_ position: UInt32) {
        let record = records[position]
        if !record.pointee.isPublished { unlink(position) }
        timers.cancel(position)
        index.remove(record.pointee.hash, position)
        counts[Int(record.pointee.kind.rawValue)] -= 1
        let shares = record.pointee.kind == .udp
        let address = record.pointee.source.address
        if shares { udpShares.release(address) } else { echoShares.release(address) }
        records.free(position)
    }

    /// Marks the mapping as the most recently used one.
    mutating func touch(_ position: UInt32, _ now: MonotonicTime) {
        let record = records[position]
        record.pointee.lastUsed = now
        if record.pointee.isPublished || newest[Int(record.pointee.kind.rawValue)] == position { return }
        unlink(position)
        linkNewest(position)
    }

    private mutating func linkNewest(_ position: UInt32) {
        let record = records[position]
        let kind = Int(record.pointee.kind.rawValue)
        record.pointee.older = newest[kind]
        record.pointee.newer = .max
        if newest[kind] != .max { records[newest[kind]].pointee.newer = position }
        newest[kind] = position
        if oldest[kind] == .max { oldest[kind] = position }
    }

    private mutating func unlink(_ position: UInt32) {
        let record = records[position].pointee
        let kind = Int(record.kind.rawValue)
        if record.older == .max {
            oldest[kind] = record.newer
        } else {
            records[record.older].pointee.newer = record.newer
        }
        if record.newer == .max {
            newest[kind] = record.older
        } else {
            records[record.newer].pointee.older = record.older
        }
    }
}
