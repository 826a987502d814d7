// SPDX-License-Identifier: Apache-2.0

/// What fragments of one datagram share (RFC 791, section 3.2; RFC 8200, section 4.5).
struct FragmentKey: Equatable, BitwiseCopyable {
    var source: InternetAddress
    var destination: InternetAddress
    var identification: UInt32
    var protocolNumber: UInt8
}

/// Datagrams under reassembly: at most 64, of 64 KiB each, for at most 15 seconds.
///
/// A place's buffer is allocated at its first use and kept. Which octets have arrived is one bit per eight octets, the
/// granularity of fragment offsets, so that "does it overlap" is a mask and no list of holes exists to corrupt.
struct FragmentTable: ~Copyable {
    static var capacity: Int { 64 }
    /// Octets of a reassembled payload: the largest IPv4 datagram without its header.
    static var maximumLength: Int { 65_515 }
    static var lifetimeMilliseconds: UInt64 { 15_000 }
    static var bitmapWords: Int { 128 }

    enum State: UInt8, BitwiseCopyable {
        case free
        case collecting
        /// Broken by an overlap or a contradiction. Kept until its time is over, so that the rest of its fragments
        /// cannot form another datagram (RFC 5722, section 4).
        case dead
    }

    struct Slot: BitwiseCopyable {
        var state = State.free
        var hasFirst = false
        var key = FragmentKey(
            source: .unspecifiedIPv6, destination: .unspecifiedIPv6, identification: 0, protocolNumber: 0)
        var deadline = MonotonicTime.never
        /// Octets that have arrived.
        var received = 0
        /// Where the furthest fragment ends.
        var end = 0
        /// Octets of the whole payload, -1 until the last fragment has arrived.
        var total = -1
        var payload: UnsafeMutableRawBufferPointer?
        var bitmap: UnsafeMutablePointer<UInt64>?
    }

    let slots: UnsafeMutablePointer<Slot>
    /// A lower bound of the deadlines in use.
    var earliest = MonotonicTime.never

    init() {
        slots = .allocate(capacity: Self.capacity)
        slots.initialize(repeating: Slot(), count: Self.capacity)
    }

    deinit {
        for i in 0..<Self.capacity {
            slots[i].payload?.deallocate()
            slots[i].bitmap?.deallocate()
        }
        slots.deallocate()
    }

    /// Number of datagrams held, dead ones included.
    var count: Int {
        var count = 0
        for i in 0..<Self.capacity where slots[i].state != .free { count += 1 }
        return count
    }

    func find(_ key: FragmentKey) -> Int? {
        for i in 0..<Self.capacity where slots[i].state != .free && slots[i].key == key { return i }
        return nil
    }

    /// A fresh place for `key`: a free one, or that of the oldest datagram (`evicted` then).
    mutating func claim(_ key: FragmentKey, now: MonotonicTime) -> (index: Int, evicted: Bool) {
        var choice = 0
        var evicted = true
        for i in 0..<Self.capacity {
            if slots[i].state == .free {
                choice = i
                evicted = false
                break
            }
            if slots[i].deadline < slots[choice].deadline { choice = i }
        }
        let payload =
            slots[choice].payload ?? .allocate(byteCount: Self.maximumLength + 5, alignment: 16)
        let bitmap = slots[choice].bitmap ?? .allocate(capacity: Self.bitmapWords)
        bitmap.initialize(repeating: 0, count: Self.bitmapWords)
        slots[choice] = Slot()
        slots[choice].payload = payload
        slots[choice].bitmap = bitmap
        slots[choice].state = .collecting
        slots[choice].key = key
        slots[choice].deadline = now.adding(milliseconds: Self.lifetimeMilliseconds)
        earliest = min(earliest, slots[choice].deadline)
        return (choice, evicted)
    }

    /// Marks the blocks of octets `start..<end` as arrived; false when any of them had arrived before.
    func mark(_ index: Int, _ start: Int, _ end: Int) -> Bool {
        guard let bitmap = slots[index].bitmap else { return false }
        var block = start / 8
        let last = (end + 7) / 8
        while block < last {
            let word = block / 64
            let bit = block % 64
            let width = min(64 - bit, last - block)
            let mask = (width == 64 ? UInt64.max : (1 << UInt64(width)) - 1) << UInt64(bit)
            if bitmap[word] & mask != 0 { return false }
            bitmap[word] |= mask
            block += width
        }
        return true
    }
}

extension NetStack {
    /// Adds one fragment; returns the datagram when it is complete. Its transport bytes are valid until the next fragment
    /// is received.
    mutating func reassemble(
        _ key: FragmentKey, _ fragment: InternetDatagram, offset: Int, more: Bool
    ) -> InternetDatagram? {
        let length = fragment.transport.count
        guard length > 0, !more || length % 8 == 0, !fragment.offload.needsChecksum else {
            counters.count(.dropFragment)
            return nil
        }
        let index: Int
        if let known = fragments.find(key) {
            index = known
        } else {
            let claimed = fragments.claim(key, now: now)
            if claimed.evicted { counters.count(.dropFragmentEvicted) }
            index = claimed.index
        }
        let slot = fragments.slots + index
        guard slot.pointee.state == .collecting, let payload = slot.pointee.payload else {
            counters.count(.dropFragment)
            return nil
        }
        let end = offset + length
        let contradicts =
            end > FragmentTable.maximumLength || (slot.pointee.total >= 0 && end > slot.pointee.total)
            || (!more && (slot.pointee.total >= 0 || end < slot.pointee.end))
            || (offset == 0 && !holdsTransportHeader(fragment))
        if contradicts || !fragments.mark(index, offset, end) {
            slot.pointee.state = .dead
            counters.count(.dropFragmentOverlap)
            return nil
        }
        MutableByteView(payload).copy(fragment.transport, at: offset)
        slot.pointee.received += length
        slot.pointee.end = max(slot.pointee.end, end)
        if offset == 0 { slot.pointee.hasFirst = true }
        if !more { slot.pointee.total = end }
        guard slot.pointee.received == slot.pointee.total else { return nil }
        slot.pointee.state = .free
        counters.count(.datagramsReassembled)
        var whole = fragment
        whole.transport = ByteView(UnsafeRawBufferPointer(payload)).prefix(slot.pointee.total)
        whole.packet = .empty
        whole.offload = VirtioNetHeader()
        return whole
    }

    /// The first fragment must carry the whole transport header (RFC 7112; RFC 1858 for IPv4): filters decide by it.
    private func holdsTransportHeader(_ fragment: InternetDatagram) -> Bool {
        var number = fragment.protocolNumber
        var length = fragment.transport.count
        if !fragment.source.isIPv4 {
            guard
                let upper = try? IPv6Header.upperLayer(of: fragment.transport, protocolNumber: number)
            else { return false }
            number = upper.protocolNumber
            length -= upper.offset
        }
        return length >= (number == IPProtocol.tcp ? TCPSegment.minimumLength : 8)
    }

    mutating func expireFragments() {
        guard fragments.earliest <= now else { return }
        var earliest = MonotonicTime.never
        for i in 0..<FragmentTable.capacity {
            let slot = fragments.slots + i
            guard slot.pointee.state != .free else { continue }
            if slot.pointee.deadline > now {
                earliest = min(earliest, slot.pointee.deadline)
                continue
            }
            let wasCollecting = slot.pointee.state == .collecting
            slot.pointee.state = .free
            counters.count(.dropFragmentTimeout)
            let key = slot.pointee.key
            guard wasCollecting, slot.pointee.hasFirst, let payload = slot.pointee.payload,
                key.protocolNumber == IPProtocol.tcp || key.protocolNumber == IPProtocol.udp
            else { continue }
            let first = ByteView(UnsafeRawBufferPointer(payload))
            reportError(
                .reassemblyTimeExceeded, protocolNumber: key.protocolNumber,
                from: InternetEndpoint(key.source, first.u16(0)),
                to: InternetEndpoint(key.destination, first.u16(2)), detail: first.u32(4))
        }
        fragments.earliest = earliest
    }
}
