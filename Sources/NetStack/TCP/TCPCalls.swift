// SPDX-License-Identifier: Apache-2.0

// What the caller does with TCP flows. Every call with a stale ID, or in a state that does not permit it, does nothing:
// events and calls cross, and the flow that an event spoke of may have ended since.

extension NetStack {
    /// The host side is connected: the guest gets its SYN-ACK.
    /// - Parameter receiveCapacity: octets that the caller can take.
    package mutating func acceptConnection(_ id: FlowID, receiveCapacity: Int, now: MonotonicTime) {
        self.now = now
        guard let flow = tcp.flows.find(id), flow.pointee.state == .connecting else { return }
        flow.pointee.state = .synReceived
        setCapacity(flow, receiveCapacity)
        flow.pointee.flags.insert(.sendSyn)
        tcp.enqueue(id.index)
        tcp.arm(id.index, flow.pointee.retransmissionTimeout, now)
    }

    /// The host side could not be reached. The flow has ended, without an event.
    /// - Parameter error: nil for a reset (`ECONNREFUSED`, `ETIMEDOUT`), else the error that the guest's connect gets:
    ///   `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` as `.networkUnreachable`, `.hostUnreachable`, `.adminProhibited`.
    package mutating func refuseConnection(_ id: FlowID, error: ICMPError?, now: MonotonicTime) {
        self.now = now
        guard let flow = tcp.flows.find(id), flow.pointee.state == .connecting else { return }
        counters.count(.tcpRefused)
        if let error {
            reportError(
                error, protocolNumber: IPProtocol.tcp, from: flow.pointee.pod, to: flow.pointee.remote,
                detail: flow.pointee.irs.value)
        } else {
            sendReset(
                flow.pointee.pod, flow.pointee.remote, sequence: SequenceNumber(0),
                acknowledgement: flow.pointee.rcvNxt)
        }
        tcp.remove(id.index)
    }

    /// Opens a connection towards the guest in the name of `remote`; `tcpEstablished` or `tcpReset` follows. Nil when the
    /// endpoints are connected already or the table is full.
    package mutating func openConnection(
        from remote: InternetEndpoint, to pod: InternetEndpoint, receiveCapacity: Int, now: MonotonicTime
    ) -> FlowID? {
        self.now = now
        guard remote.address.isIPv4 == pod.address.isIPv4, tcp.find(pod, remote) == nil, events.room >= 2 else {
            return nil
        }
        if let victim = tcp.oldestHalfOpenFlow {
            counters.count(.tcpHalfOpenEvicted)
            events.append(.tcpReset(tcp.flows.id(victim), .evicted))
            tcp.remove(victim)
        }
        guard let index = tcp.insert(newFlow(.synSent, pod, remote, minimumSequence: nil)) else {
            counters.count(.tcpTableFull)
            return nil
        }
        let flow = tcp.flows[index]
        setCapacity(flow, receiveCapacity)
        flow.pointee.flags.insert(.sendSyn)
        counters.count(.tcpOpened)
        tcp.enqueue(index)
        tcp.arm(index, flow.pointee.retransmissionTimeout, now)
        return tcp.flows.id(index)
    }

    /// Answers `tcpData`: the first `octets` of it are with the host socket and are acknowledged.
    /// - Parameters:
    ///   - octets: 0...the event's length.
    ///   - receiveCapacity: octets that the caller can take from here on.
    package mutating func take(_ id: FlowID, octets: Int, receiveCapacity: Int, now: MonotonicTime) {
        self.now = now
        guard let flow = tcp.flows.find(id) else { return }
        let offered = Int(flow.pointee.offered)
        flow.pointee.offered = 0
        setCapacity(flow, receiveCapacity)
        guard offered > 0 else { return }
        precondition(octets >= 0 && octets <= offered)
        flow.pointee.rcvNxt += octets
        flow.pointee.pendingAcks = 1
        tcp.enqueue(id.index)
        if octets < offered { return }
        flow.pointee.flags.remove(.droppedInput)
        if flow.pointee.flags.contains(.offeredFin) { return processFin(id.index, flow) }
        if flow.pointee.firstHeld != .max { offerHeld(id.index, flow) }
    }

    /// The caller can take `octets` from here on (the host socket has become writable). Tells the guest when it is worth
    /// a segment; what the guest was promised before stays promised.
    package mutating func setReceiveCapacity(_ id: FlowID, _ octets: Int, now: MonotonicTime) {
        self.now = now
        guard let flow = tcp.flows.find(id) else { return }
        setCapacity(flow, octets)
        guard flow.pointee.state.acceptsData, octets > 0 else { return }
        if flow.pointee.flags.contains(.droppedInput) {
            // The guest sent octets that were dropped and waits for its timer. The first acknowledgement updates the
            // window; the three behind it are duplicates and make it send again at once.
            flow.pointee.flags.remove(.droppedInput)
            flow.pointee.pendingAcks = 4
            tcp.enqueue(id.index)
            return
        }
        let opened = flow.pointee.rcvNxt + Int(flow.pointee.capacity) - flow.pointee.rcvAdv
        if opened >= min(2 * Int(flow.pointee.mss), Int(flow.pointee.maxCapacity) / 2) && opened > 0 {
            flow.pointee.pendingAcks = max(flow.pointee.pendingAcks, 1)
            tcp.enqueue(id.index)
        }
    }

    private func setCapacity(_ flow: UnsafeMutablePointer<TCPFlow>, _ octets: Int) {
        flow.pointee.capacity = UInt32(max(0, min(octets, TCPFlow.maximumCapacity)))
        flow.pointee.maxCapacity = max(flow.pointee.maxCapacity, flow.pointee.capacity)
    }

    /// The host socket has become readable, or has ended: `nextOutput` will ask for its bytes.
    package mutating func hostReadable(_ id: FlowID) {
        guard let flow = tcp.flows.find(id), !flow.pointee.flags.contains(.finKnown),
            flow.pointee.state != .timeWait
        else { return }
        flow.pointee.flags.insert(.hostReadable)
        tcp.enqueue(id.index)
    }

    /// Breaks the connection: the guest gets a reset. The flow has ended, without an event.
    package mutating func resetConnection(_ id: FlowID, now: MonotonicTime) {
        self.now = now
        guard let flow = tcp.flows.find(id) else { return }
        switch flow.pointee.state {
        case .timeWait: return
        case .synSent: break
        case .connecting:
            sendReset(
                flow.pointee.pod, flow.pointee.remote, sequence: SequenceNumber(0),
                acknowledgement: flow.pointee.rcvNxt)
        default:
            sendReset(
                flow.pointee.pod, flow.pointee.remote, sequence: flow.pointee.controlSequence,
                acknowledgement: flow.pointee.rcvNxt)
        }
        counters.count(.tcpReset)
        tcp.remove(id.index)
    }

    /// The flow's state, nil when it has ended.
    package func state(of id: FlowID) -> TCPState? { tcp.flows.find(id)?.pointee.state }

    /// For checks in tests: all tables agree with each other.
    package func isConsistent() -> Bool { tcp.isConsistent() }
}
