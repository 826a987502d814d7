// SPDX-License-Identifier: Apache-2.0

// Segments that came before what precedes them (RFC 9293, section 3.10.7.4: they SHOULD be held). Without that a guest whose
// frame was lost sends everything behind it again, and mostly not before its timer.

/// A segment that waits for the octets before it.
struct HeldSegment: BitwiseCopyable {
    var sequence: SequenceNumber
    var count: UInt16
    var hasFin: Bool
    /// The flow's next one, in sequence.
    var next: UInt32
}

/// Copies of segments, for all flows together: what does not fit is dropped, as if it had been lost too.
///
/// Only segments of an ordinary MTU are held. Frames that the guest leaves to us to cut do not overtake each other and are
/// not lost one by one. Memory is allocated with the first segment, 256 at a time, and kept.
struct ReorderBuffer: ~Copyable {
    static var limit: Int { 1024 }
    /// The segments of one flow: half, so that no flow starves the others.
    static var flowLimit: Int { 512 }
    static var segmentLimit: Int { 1536 }
    private static var chunkLimit: Int { 4 }

    var segments = Slab<HeldSegment>(capacity: limit)
    private let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer?>

    init() {
        chunks = .allocate(capacity: Self.chunkLimit)
        chunks.initialize(repeating: nil, count: Self.chunkLimit)
    }

    deinit {
        for index in 0..<Self.chunkLimit { chunks[index]?.deallocate() }
        chunks.deallocate()
    }

    /// The octets of segment `index`.
    func memory(_ index: UInt32) -> UnsafeMutableRawBufferPointer {
        let chunk = Int(index >> 8)
        if chunks[chunk] == nil {
            chunks[chunk] = .allocate(byteCount: Self.segmentLimit << 8, alignment: 16)
        }
        guard let base = chunks[chunk] else { preconditionFailure("memory that was allocated") }
        return UnsafeMutableRawBufferPointer(
            start: base + Int(index & 255) * Self.segmentLimit, count: Self.segmentLimit)
    }

    /// Adds a segment to the list that begins at `first`, in sequence. One that begins where another does is not new.
    mutating func hold(
        _ payload: ByteView, at sequence: SequenceNumber, hasFin: Bool, in first: inout UInt32
    ) {
        guard payload.count <= Self.segmentLimit else { return }
        var previous = UInt32.max
        var position = first
        var length = 0
        while position != .max {
            length += 1
            let segment = segments[position].pointee
            if segment.sequence == sequence { return }
            if sequence < segment.sequence { break }
            previous = position
            position = segment.next
        }
        // Behind the last one, most of the time: so this is the whole list's length.
        guard length < Self.flowLimit,
            let new = segments.allocate(
                HeldSegment(sequence: sequence, count: UInt16(payload.count), hasFin: hasFin, next: position))
        else { return }
        MutableByteView(memory(new)).copy(payload, at: 0)
        if previous == .max { first = new } else { segments[previous].pointee.next = new }
    }

    /// Frees the first segment of a list.
    mutating func dropFirst(_ first: inout UInt32) {
        let next = segments[first].pointee.next
        segments.free(first)
        first = next
    }

    mutating func dropAll(_ first: inout UInt32) {
        while first != .max { dropFirst(&first) }
    }
}

extension NetStack {
    /// Keeps a segment for which there is room, but not yet a place.
    mutating func hold(_ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment, _ offset: Int) {
        let hasFin = segment.flags.contains(.fin)
        guard flow.pointee.capacity > 0, offset + segment.payload.count <= flow.pointee.receiveWindow else { return }
        tcp.reordering.hold(segment.payload, at: segment.sequence, hasFin: hasFin, in: &flow.pointee.firstHeld)
    }

    /// Offers the caller what is held and has its place now: one segment, the next when this one is taken.
    mutating func offerHeld(_ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>) {
        while flow.pointee.firstHeld != .max {
            guard flow.pointee.state.acceptsData else { return tcp.reordering.dropAll(&flow.pointee.firstHeld) }
            let position = flow.pointee.firstHeld
            let segment = tcp.reordering.segments[position].pointee
            let offset = segment.sequence - flow.pointee.rcvNxt
            if offset > 0 { return }
            let isNew = -offset < Int(segment.count)
            if !isNew {
                let isFinNext = segment.hasFin && -offset == Int(segment.count)
                tcp.reordering.dropFirst(&flow.pointee.firstHeld)
                if isFinNext { processFin(index, flow) }
                continue
            }
            if flow.pointee.receiveWindow == 0 { return }
            let memory = UnsafeRawBufferPointer(tcp.reordering.memory(position))
            return offer(
                index, flow, ByteView(memory).slice(-offset, Int(segment.count) + offset), hasFin: segment.hasFin)
        }
    }
}
