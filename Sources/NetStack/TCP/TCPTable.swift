// SPDX-License-Identifier: Apache-2.0

/// All TCP flows: found by endpoints, linked into the transmit queue and the list of half-open ones.
struct TCPTable: ~Copyable {
    var flows: Slab<TCPFlow>
    var index = HashIndex()
    var timers = TimerQueue()
    var reordering = ReorderBuffer()
    let shares: SourceShares
    let limits: Configuration.Limits
    let key: HashKey
    private(set) var halfOpenCount = 0
    private var oldestHalfOpen: UInt32 = .max
    private var newestHalfOpen: UInt32 = .max
    private var queueHead: UInt32 = .max
    private var queueTail: UInt32 = .max
    private var deferredHead: UInt32 = .max
    private var deferredTail: UInt32 = .max

    init(_ limits: Configuration.Limits, key: HashKey) {
        flows = Slab(capacity: limits.tcpFlows)
        shares = SourceShares(limit: limits.tcpFlows * limits.sharePerSource / 100, key: key)
        self.limits = limits
        self.key = key
    }

    @inline(__always)
    func hash(_ pod: InternetEndpoint, _ remote: InternetEndpoint) -> UInt32 {
        key.tableHash(
            pod.address.high, pod.address.low, remote.address.high, remote.address.low,
            UInt64(pod.port) << 16 | UInt64(remote.port))
    }

    @inline(__always)
    func find(_ pod: InternetEndpoint, _ remote: InternetEndpoint) -> UInt32? {
        var probe = index.probe(hash(pod, remote))
        while let candidate = index.next(&probe) {
            let flow = flows[candidate]
            if flow.pointee.remote == remote && flow.pointee.pod == pod { return candidate }
        }
        return nil
    }

    /// The initial sequence number of RFC 6528: a 4 µs clock plus a keyed hash of the connection.
    func initialSequence(_ pod: InternetEndpoint, _ remote: InternetEndpoint, _ now: MonotonicTime) -> SequenceNumber {
        let offset = key.sequenceHash(
            pod.address.high, pod.address.low, remote.address.high, remote.address.low,
            UInt64(pod.port) << 16 | UInt64(remote.port))
        return SequenceNumber(UInt32(truncatingIfNeeded: now.nanoseconds / 4000) &+ offset)
    }

    /// Adds a half-open flow; nil when the table or the pod address's share of it is full.
    mutating func insert(_ flow: TCPFlow) -> UInt32? {
        guard shares.take(flow.pod.address) else { return nil }
        guard let new = flows.allocate(flow) else {
            shares.release(flow.pod.address)
            return nil
        }
        index.insert(flow.hash, new)
        let record = flows[new]
        record.pointee.flags.insert(.halfOpen)
        record.pointee.listOlder = newestHalfOpen
        record.pointee.listNewer = .max
        if newestHalfOpen != .max { flows[newestHalfOpen].pointee.listNewer = new }
        newestHalfOpen = new
        if oldestHalfOpen == .max { oldestHalfOpen = new }
        halfOpenCount += 1
        return new
    }

    /// The half-open connection that gives way when there are too many.
    var oldestHalfOpenFlow: UInt32? {
        halfOpenCount >= limits.tcpHalfOpen ? oldestHalfOpen : nil
    }

    /// The handshake is over.
    mutating func leaveHalfOpen(_ position: UInt32) {
        let flow = flows[position]
        guard flow.pointee.flags.contains(.halfOpen) else { return }
        flow.pointee.flags.remove(.halfOpen)
        let older = flow.pointee.listOlder
        let newer = flow.pointee.listNewer
        if older == .max { oldestHalfOpen = newer } else { flows[older].pointee.listNewer = newer }
        if newer == .max { newestHalfOpen = older } else { flows[newer].pointee.listOlder = older }
        halfOpenCount -= 1
    }

    mutating func remove(_ position: UInt32) {
        leaveHalfOpen(position)
        unlinkFromQueue(position)
        unlinkDeferred(position)
        timers.cancel(position)
        let flow = flows[position]
        reordering.dropAll(&flow.pointee.firstHeld)
        index.remove(flow.pointee.hash, position)
        shares.release(flow.pointee.pod.address)
        flows.free(position)
    }

    /// Makes sure that the flow is asked for output.
    @inline(__always)
    mutating func enqueue(_ position: UInt32) {
        let flow = flows[position]
        if flow.pointee.flags.contains(.queued) { return }
        flow.pointee.flags.insert(.queued)
        flow.pointee.queueOlder = queueTail
        flow.pointee.queueNewer = .max
        if queueTail == .max { queueHead = position } else { flows[queueTail].pointee.queueNewer = position }
        queueTail = position
    }

    @inline(__always)
    mutating func dequeue() -> UInt32? {
        guard queueHead != .max else { return nil }
        let position = queueHead
        unlinkFromQueue(position)
        return position
    }

    private mutating func unlinkFromQueue(_ position: UInt32) {
        let flow = flows[position]
        guard flow.pointee.flags.contains(.queued) else { return }
        flow.pointee.flags.remove(.queued)
        let older = flow.pointee.queueOlder
        let newer = flow.pointee.queueNewer
        if older == .max { queueHead = newer } else { flows[older].pointee.queueNewer = newer }
        if newer == .max { queueTail = older } else { flows[newer].pointee.queueOlder = older }
    }

    var hasDeferred: Bool { deferredHead != .max }

    /// Lets the flow's acknowledgement wait for `flushDeferred`.
    @inline(__always)
    mutating func deferAcknowledgement(_ position: UInt32) {
        let flow = flows[position]
        if flow.pointee.flags.contains(.ackDeferred) { return }
        flow.pointee.flags.insert(.ackDeferred)
        flow.pointee.listOlder = deferredTail
        flow.pointee.listNewer = .max
        if deferredTail == .max { deferredHead = position } else { flows[deferredTail].pointee.listNewer = position }
        deferredTail = position
    }

    /// Queues every flow whose acknowledgement has found nothing to go with.
    mutating func flushDeferred() {
        while deferredHead != .max {
            let position = deferredHead
            unlinkDeferred(position)
            let flow = flows[position]
            guard flow.pointee.pendingAcks > 0 else { continue }
            flow.pointee.flags.insert(.ackDue)
            enqueue(position)
        }
    }

    private mutating func unlinkDeferred(_ position: UInt32) {
        let flow = flows[position]
        guard flow.pointee.flags.contains(.ackDeferred) else { return }
        flow.pointee.flags.remove(.ackDeferred)
        let older = flow.pointee.listOlder
        let newer = flow.pointee.listNewer
        if older == .max { deferredHead = newer } else { flows[older].pointee.listNewer = newer }
        if newer == .max { deferredTail = older } else { flows[newer].pointee.listOlder = older }
    }

    /// Runs the flow's timer `milliseconds` from now, in place of whatever it was waiting for.
    @inline(__always)
    mutating func arm(_ position: UInt32, _ milliseconds: UInt64, _ now: MonotonicTime) {
        let deadline = now.adding(milliseconds: milliseconds)
        flows[position].pointee.deadline = deadline
        timers.schedule(position, at: deadline)
    }

    /// For checks in tests: every link, count and index agrees. Linear in the number of flows.
    package func isConsistent() -> Bool {
        var total = 0
        var halfOpen = 0
        var queued = 0
        var held = 0
        var next: UInt32 = 0
        while let position = flows.nextInUse(from: next) {
            next = position + 1
            total += 1
            let flow = flows[position].pointee
            if flow.flags.contains(.halfOpen) { halfOpen += 1 }
            if flow.flags.contains(.queued) { queued += 1 }
            var segment = flow.firstHeld
            while segment != .max && held <= reordering.segments.count {
                held += 1
                let next = reordering.segments[segment].pointee.next
                if next != .max,
                    reordering.segments[next].pointee.sequence <= reordering.segments[segment].pointee.sequence
                {
                    return false
                }
                segment = next
            }
            guard find(flow.pod, flow.remote) == position, flow.sndUna <= flow.sndNxt, flow.sndNxt <= flow.sndMax
            else { return false }
        }
        var walked = 0
        var position = queueHead
        while position != .max && walked <= total {
            walked += 1
            position = flows[position].pointee.queueNewer
        }
        return total == flows.count && total == index.count && halfOpen == halfOpenCount && walked == queued
            && held == reordering.segments.count
    }
}

extension NetStack {
    /// Memory of one TCP flow that is not in use: its record, two index entries (half of them are kept empty), a timer
    /// entry with its back-pointer.
    package static var bytesPerIdleFlow: Int { MemoryLayout<Slab<TCPFlow>.Place>.stride + 2 * 8 + 16 + 4 }
}
