// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem

/// One forwarded TCP connection.
///
///      connecting ──▶ established ──▶ (gone)
///          │               │
///          └─▶ (gone)      └─▶ resetting ──▶ (gone)
struct Flow: ~Copyable {
    enum Phase: UInt8 {
        /// Waiting for a pod socket, or for the pod to answer.
        case connecting
        case established
        /// One side is gone; the other gets its reset once its peer has acknowledged everything.
        case resetting
    }

    /// As whom, and over which family, the pod is tried. In this order, as far as they apply.
    enum Attempt: UInt8 {
        /// The client's address and port.
        case sameAddressAndPort
        /// The client's address: the port is taken, or in TIME_WAIT towards this service.
        case sameAddress
        case gateway
        /// An IPv6 client of a service that only speaks IPv4.
        case gatewayIPv4
    }

    var phase = Phase.connecting
    var attempt = Attempt.sameAddressAndPort
    /// Whether the flow stands in `readyFlows`.
    var isQueued = false
    /// Whether a socket's events include that it is writable. They do not before it once was not: the kernel would
    /// report every new socket as writable, a wake-up per connection for nothing.
    var clientReportsRoom = false
    /// Whether the client's bulk has a queue of its own kind, or needs none.
    var hasBulkQueue = false
    var podReportsRoom = false
    /// In `resetting`: whether the client is the side that is left.
    var clientIsLeft = false
    /// In `resetting`: milliseconds before the next look at the queue of the side that is left.
    var resetDelay: UInt16 = 1
    /// In `resetting`: when the reset is sent in any case.
    var resetDeadline: UInt64 = 0
    let podPort: UInt16
    let targetsLoopback: Bool
    let clientAddress: SocketAddress
    var client: OwnedFD?
    var pod: OwnedFD?
    /// Client to pod.
    var up = Direction()
    /// Pod to client.
    var down = Direction()
    /// In `established` the start of keepalive, in `resetting` the next look at the queue.
    var timer = TimerID.none

    init(client: consuming OwnedFD, address: SocketAddress, podPort: UInt16, targetsLoopback: Bool) {
        self.client = consume client
        clientAddress = address
        self.podPort = podPort
        self.targetsLoopback = targetsLoopback
    }

    /// -1 when closed.
    var clientFD: Int32 {
        switch client {
        case .some(let fd): fd.raw
        case .none: -1
        }
    }

    /// -1 when closed or not yet there.
    var podFD: Int32 {
        switch pod {
        case .some(let fd): fd.raw
        case .none: -1
        }
    }

    mutating func clientIsReady(_ readiness: Readiness) { Self.apply(readiness, source: &up, sink: &down) }

    mutating func podIsReady(_ readiness: Readiness) { Self.apply(readiness, source: &down, sink: &up) }

    /// Tells both directions what a socket is ready for: it is the source of one and the sink of the other.
    private static func apply(_ readiness: Readiness, source: inout Direction, sink: inout Direction) {
        let isBroken = !readiness.isDisjoint(with: [.hangUp, .error])
        if readiness.contains(.urgent) { source.sourceUrgent() }
        if readiness.contains(.peerEnded), !readiness.contains(.error) { source.sourceEndQueued() }
        if isBroken || readiness.contains(.readable) { source.sourceReady(mayHaveMore: isBroken) }
        if readiness.contains(.error) { source.sourceReset() }
        if !readiness.isDisjoint(with: [.writable, .hangUp, .error]) { sink.sinkReady() }
    }
}
