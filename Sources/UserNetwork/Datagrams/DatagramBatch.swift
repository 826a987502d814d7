// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import NetStack

/// What belongs to a datagram of the pod besides its payload.
struct OutgoingDatagram: BitwiseCopyable {
    var mapping: MappingID
    var destination: InternetEndpoint
    /// Payload bytes of each datagram but the last; 0 for a single datagram.
    var segmentSize: Int
    var dontFragment: Bool
}

/// Datagrams of one size from one socket of the pod to one destination, gathered while frames are read: the pod's kernel
/// hands out single ones where the host's takes many in one call, UDP_SEGMENT of udp(7).
struct DatagramBatch: ~Copyable {
    /// Larger ones cost more in the copy than they save in calls.
    static var largestPayload: Int { 8192 }
    /// UDP_MAX_SEGMENTS of kernels before 6.9, and what one IP packet holds.
    static var segmentLimit: Int { 64 }
    static var byteLimit: Int { 65_000 }

    fileprivate var datagram: OutgoingDatagram?
    fileprivate var count = 0
    fileprivate var length = 0
    /// Made with the first datagram: most pods send few.
    fileprivate var memory: UnsafeMutableRawBufferPointer?

    deinit { memory?.deallocate() }

    /// Whether a datagram of `size` bytes may follow those that are there.
    fileprivate func takes(_ other: OutgoingDatagram, _ size: Int) -> Bool {
        guard let datagram else { return false }
        return datagram.mapping == other.mapping && datagram.destination == other.destination
            && datagram.dontFragment == other.dontFragment && size <= datagram.segmentSize
            && count < Self.segmentLimit && length + size <= Self.byteLimit
    }

    fileprivate mutating func append(_ payload: ByteView) {
        let space = memory ?? .allocate(byteCount: Self.byteLimit, alignment: 64)
        memory = space
        UnsafeMutableRawBufferPointer(rebasing: space[length..<(length + payload.count)]).copyMemory(
            from: payload.buffer)
        length += payload.count
        count += 1
    }
}

extension UserNetwork {
    /// Sends a datagram, or lets it wait for more of its kind until the frames that are there have been read.
    mutating func collect(_ datagram: OutgoingDatagram, _ payload: ByteView, _ epoll: borrowing Epoll) {
        if batch.takes(datagram, payload.count), payload.count > 0 {
            batch.append(payload)
            // Only the last of a batch may be shorter.
            if payload.count < batch.datagram?.segmentSize ?? 0 { sendBatch(epoll) }
            return
        }
        sendBatch(epoll)
        guard datagram.segmentSize == 0, (1...DatagramBatch.largestPayload).contains(payload.count),
            mappings.find(datagram.mapping)?.pointee.refusesBatches == false
        else { return sendDatagram(datagram, payload, epoll) }
        batch.datagram = datagram
        batch.datagram?.segmentSize = payload.count
        batch.append(payload)
    }

    /// Sends what has been gathered.
    mutating func sendBatch(_ epoll: borrowing Epoll) {
        guard var datagram = batch.datagram, let memory = batch.memory else { return }
        if batch.count == 1 { datagram.segmentSize = 0 } else { hadBatch = true }
        let payload = ByteView(UnsafeRawBufferPointer(rebasing: memory[..<batch.length]))
        batch.datagram = nil
        batch.count = 0
        batch.length = 0
        sendDatagram(datagram, payload, epoll)
    }
}
