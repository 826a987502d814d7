// SPDX-License-Identifier: Apache-2.0

// Segments of synchronized connections: RFC 9293, section 3.10.7.4, with the checks of RFC 5961.

extension NetStack {
    mutating func receiveSynchronized(
        _ datagram: InternetDatagram, _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment
    ) {
        let offset = segment.sequence - flow.pointee.rcvNxt
        if flow.pointee.state == .synReceived && segment.sequence == flow.pointee.irs
            && segment.flags.contains(.syn)
        {
            if !segment.flags.contains(.ack) {
                // Our SYN-ACK was lost.
                flow.pointee.flags.insert(.sendSyn)
                tcp.enqueue(index)
                return
            }
            if segment.acknowledgement == flow.pointee.iss + 1 {
                // The other half of a simultaneous open.
                flow.pointee.pendingAcks = 1
                becomeEstablished(index, flow, segment)
                return
            }
        }
        guard isAcceptable(flow, segment, offset) else {
            receiveUnacceptable(datagram, index, flow, segment)
            return
        }
        if let timestamp = segment.timestamp, segment.sequence <= flow.pointee.rcvAcked,
            Int32(bitPattern: timestamp &- flow.pointee.recentTimestamp) > 0
        {
            flow.pointee.recentTimestamp = timestamp
        }
        if segment.flags.contains(.rst) {
            // Only the exact next octet is believed (RFC 5961, section 3.2).
            if offset != 0 {
                challenge(index, flow)
            } else if flow.pointee.state == .timeWait {
                tcp.remove(index)
            } else {
                endFlow(index, .peer)
            }
            return
        }
        if segment.flags.contains(.syn) {
            challenge(index, flow)
            return
        }
        guard segment.flags.contains(.ack) else { return }
        if flow.pointee.state == .synReceived {
            guard segment.acknowledgement == flow.pointee.iss + 1 else {
                sendReset(
                    flow.pointee.pod, flow.pointee.remote, sequence: segment.acknowledgement, acknowledgement: nil)
                return
            }
            becomeEstablished(index, flow, segment)
        } else {
            guard processAcknowledgement(index, flow, segment) else { return }
        }
        processText(index, flow, segment, offset)
    }

    /// The four cases of RFC 9293, section 3.4, table 5, in octets from rcvNxt.
    @inline(__always)
    private func isAcceptable(
        _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment, _ offset: Int
    ) -> Bool {
        let window = flow.pointee.receiveWindow
        let length = segment.sequenceLength
        // A segment at the right edge is taken for its acknowledgement: a guest that has filled the window sends its
        // pure acknowledgements from there.
        if length == 0 { return offset >= 0 && offset <= window }
        // With a zero window only its acknowledgement counts (section 3.10.7.4, "special allowance").
        if window == 0 { return offset == 0 }
        return offset < window && offset + length > 0
    }

    private mutating func receiveUnacceptable(
        _ datagram: InternetDatagram, _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment
    ) {
        if segment.flags.contains(.rst) { return }
        if flow.pointee.state == .timeWait {
            if segment.flags.contains(.syn) && !segment.flags.contains(.ack)
                && segment.sequence > flow.pointee.rcvNxt
            {
                // A new connection over the old one (RFC 9293, section 3.6.1; RFC 6191).
                let pod = flow.pointee.pod
                let remote = flow.pointee.remote
                let highest = flow.pointee.sndMax
                tcp.remove(index)
                openFromGuest(datagram, segment, pod, remote, minimumSequence: highest)
                return
            }
            if segment.flags.contains(.fin) { tcp.arm(index, 1000, now) }
        }
        // The guest repeats data because our acknowledgement was lost: repeat that. Anything without data may be part
        // of an exchange of mere acknowledgements, which the limit on challenges ends.
        if segment.payload.count > 0 || segment.flags.contains(.fin) {
            flow.pointee.pendingAcks = max(flow.pointee.pendingAcks, 1)
            tcp.enqueue(index)
        } else {
            challenge(index, flow)
        }
    }

    /// Sends an acknowledgement of the present state, so that a real peer can correct itself (RFC 5961).
    mutating func challenge(_ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>) {
        guard challengeBucket.take(now) else {
            counters.count(.dropRateLimited)
            return
        }
        counters.count(.tcpChallengeAcks)
        flow.pointee.pendingAcks = max(flow.pointee.pendingAcks, 1)
        tcp.enqueue(index)
    }

    /// The segment's data and FIN, within the window: now when they are in order, otherwise when what precedes them has come.
    private mutating func processText(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment, _ offset: Int
    ) {
        guard flow.pointee.state.acceptsData else {
            if flow.pointee.state == .timeWait && segment.flags.contains(.fin) { tcp.arm(index, 1000, now) }
            return
        }
        var payload = segment.payload
        let hasFin = segment.flags.contains(.fin)
        if payload.count == 0 && !hasFin { return }
        if offset > 0 {
            counters.count(.tcpOutOfOrder)
            hold(flow, segment, offset)
            // Each out-of-order segment is answered, so that three of them make the guest repeat the missing one; a guest
            // that has seen reordering waits for as many as it has seen segments overtaken. While the caller can take
            // nothing, repeating is in vain.
            let limit: UInt8 = flow.pointee.capacity > 0 ? 128 : 1
            flow.pointee.pendingAcks = min(flow.pointee.pendingAcks + 1, limit)
            tcp.enqueue(index)
            return
        }
        if offset < 0 { payload = payload.from(min(-offset, payload.count)) }
        flow.pointee.pendingAcks = max(flow.pointee.pendingAcks, 1)
        tcp.enqueue(index)
        if payload.count == 0 {
            if hasFin { processFin(index, flow) }
        } else if flow.pointee.receiveWindow > 0 {
            offer(index, flow, payload, hasFin: hasFin)
        }
    }

    /// Offers the caller octets that are in order, as many as the window, which is not closed, has room for.
    mutating func offer(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ payload: ByteView, hasFin: Bool
    ) {
        let count = min(payload.count, flow.pointee.receiveWindow)
        flow.pointee.offered = UInt32(count)
        flow.pointee.flags.insert(.droppedInput)
        if hasFin, count == payload.count {
            flow.pointee.flags.insert(.offeredFin)
        } else {
            flow.pointee.flags.remove(.offeredFin)
        }
        events.append(.tcpData(tcp.flows.id(index), payload.prefix(count)))
    }

    /// The guest's FIN, everything before it being taken.
    mutating func processFin(_ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>) {
        flow.pointee.rcvNxt += 1
        if flow.pointee.rcvAdv < flow.pointee.rcvNxt { flow.pointee.rcvAdv = flow.pointee.rcvNxt }
        flow.pointee.pendingAcks = 1
        flow.pointee.flags.remove(.droppedInput)
        tcp.enqueue(index)
        tcp.reordering.dropAll(&flow.pointee.firstHeld)
        events.append(.tcpFinished(tcp.flows.id(index)))
        switch flow.pointee.state {
        case .established: flow.pointee.state = .closeWait
        case .finWait1: flow.pointee.state = .closing
        case .finWait2: enterTimeWait(index, flow)
        default: break
        }
    }

    mutating func enterTimeWait(_ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>) {
        flow.pointee.state = .timeWait
        flow.pointee.flags.remove([.hostReadable, .probe, .recovering])
        events.append(.tcpClosed(tcp.flows.id(index)))
        // One second instead of twice the maximum segment lifetime: the link is inside this machine.
        tcp.arm(index, 1000, now)
    }
}
