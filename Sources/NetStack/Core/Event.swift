// SPDX-License-Identifier: Apache-2.0

/// Names a TCP connection of the guest. Stale once the flow has ended: calls with a stale ID do nothing.
package typealias FlowID = SlabID

/// Names a UDP or echo mapping of the guest.
package typealias MappingID = SlabID

/// What the caller must act on. Drain the events after every `receive`, `advance` and `nextOutput`; byte views are valid
/// until the next `receive`.
package enum Event: BitwiseCopyable {
    /// The pod opened a connection: dial `destination`, then `acceptConnection` or `refuseConnection`. No SYN-ACK has
    /// been sent. Duplicates of the SYN produce no further event.
    case tcpConnect(FlowID, source: InternetEndpoint, destination: InternetEndpoint)
    /// The handshake is complete; the guest takes data from here on.
    case tcpEstablished(FlowID)
    /// In-order data. Answer with `take` before the next `receive`: what was not taken by then is dropped and the
    /// guest sends it again.
    case tcpData(FlowID, ByteView)
    /// The guest has acknowledged this many further octets: consume them from the host socket (`MSG_TRUNC`).
    case tcpAcknowledged(FlowID, Int)
    /// The guest has finished sending and everything was taken: shut down the host socket's writing side.
    case tcpFinished(FlowID)
    /// Both directions are finished and acknowledged: close the host socket. The flow has ended.
    case tcpClosed(FlowID)
    /// The connection broke: close the host socket with a reset. The flow has ended.
    case tcpReset(FlowID, TCPResetReason)
    /// A pod address and port (or echo identifier) sends for the first time: open one unconnected host socket for it.
    case mappingOpened(MappingID, kind: MappingKind, source: InternetEndpoint)
    /// One datagram, or a batch of them back to back when `segmentSize` is not 0: all of that many bytes but the last.
    case datagram(
        MappingID, destination: InternetEndpoint, payload: ByteView, segmentSize: Int, dontFragment: Bool)
    /// An echo request for someone else than the gateway; `payload` is what follows the sequence number.
    case echoRequest(MappingID, destination: InternetAddress, sequence: UInt16, payload: ByteView)
    /// The mapping idled out or gave way to another one: close its host socket. The mapping has ended.
    case mappingClosed(MappingID)
}

/// Why a connection ended abruptly.
package enum TCPResetReason: UInt8, BitwiseCopyable, Sendable {
    /// The guest sent a valid reset.
    case peer
    /// The guest stopped acknowledging.
    case timedOut
    /// A half-open connection gave way to a younger one.
    case evicted
    /// The guest opened a new connection over this one.
    case replaced
}

/// A fixed ring of events.
struct EventRing: ~Copyable {
    private let slots: UnsafeMutablePointer<Event>
    private let capacity: Int
    private var head = 0
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        slots = .allocate(capacity: capacity)
    }

    deinit { slots.deallocate() }

    @inline(__always)
    var room: Int { capacity - count }

    /// Callers make sure of room first: an event may not be lost, each one changes who owns what.
    @inline(__always)
    mutating func append(_ event: Event) {
        precondition(count < capacity)
        var tail = head + count
        if tail >= capacity { tail -= capacity }
        (slots + tail).initialize(to: event)
        count += 1
    }

    @inline(__always)
    mutating func pop() -> Event? {
        guard count > 0 else { return nil }
        let event = slots[head]
        head += 1
        if head == capacity { head = 0 }
        count -= 1
        return event
    }
}
