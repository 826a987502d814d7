// SPDX-License-Identifier: Apache-2.0

// Opening connections: segments without a flow, and the states before `established`.

extension NetStack {
    /// TCP from the guest: checks, then the flow's state decides.
    mutating func receiveTCP(_ datagram: InternetDatagram) {
        let segmentation = datagram.offload.segmentation
        guard let segment = TCPSegment(datagram.transport),
            segmentation == .none || segmentation == (datagram.source.isIPv4 ? .tcpIPv4 : .tcpIPv6)
        else {
            counters.count(.dropMalformedTCP)
            return
        }
        guard checksumIsGood(datagram, field: 16) else {
            counters.count(.dropTCPChecksum)
            return
        }
        let pod = InternetEndpoint(datagram.source, segment.sourcePort)
        let remote = InternetEndpoint(datagram.destination, segment.destinationPort)
        guard let index = tcp.find(pod, remote) else {
            receiveWithoutFlow(datagram, segment, pod, remote)
            return
        }
        let flow = tcp.flows[index]
        // An event that was not answered by now means that nothing was taken.
        flow.pointee.offered = 0
        switch flow.pointee.state {
        case .connecting: receiveWhileConnecting(index, flow, segment)
        case .synSent: receiveInSynSent(index, flow, segment)
        default: receiveSynchronized(datagram, index, flow, segment)
        }
    }

    /// CLOSED and LISTEN of RFC 9293, section 3.10.7.
    private mutating func receiveWithoutFlow(
        _ datagram: InternetDatagram, _ segment: TCPSegment, _ pod: InternetEndpoint, _ remote: InternetEndpoint
    ) {
        if segment.flags.contains(.rst) { return }
        if segment.flags.contains(.ack) {
            sendReset(pod, remote, sequence: segment.acknowledgement, acknowledgement: nil)
        } else if !segment.flags.contains(.syn) {
            sendReset(
                pod, remote, sequence: SequenceNumber(0),
                acknowledgement: segment.sequence + segment.sequenceLength)
        } else if segment.flags.contains(.fin) {
            // No stack sends SYN with FIN; scanners do.
            counters.count(.dropMalformedTCP)
        } else {
            openFromGuest(datagram, segment, pod, remote, minimumSequence: nil)
        }
    }

    /// A SYN for a connection that does not exist: the policy first, then a record, then the caller.
    /// - Parameter minimumSequence: below which our initial sequence number may not lie (after TIME-WAIT).
    mutating func openFromGuest(
        _ datagram: InternetDatagram, _ segment: TCPSegment, _ pod: InternetEndpoint, _ remote: InternetEndpoint,
        minimumSequence: SequenceNumber?
    ) {
        let verdict = policy.verdict(remote, .tcp)
        guard verdict == .allow else {
            counters.count(.tcpRefused)
            if verdict == .refuse {
                sendReset(
                    pod, remote, sequence: SequenceNumber(0), acknowledgement: segment.sequence + 1)
            } else if let error = verdict.icmpError(refused: .portUnreachable) {
                reportError(
                    error, about: datagram, from: pod, to: remote, detail: segment.sequence.value)
            }
            return
        }
        if let victim = tcp.oldestHalfOpenFlow {
            // Silently: its SYN is repeated, a reset would fail it for good.
            counters.count(.tcpHalfOpenEvicted)
            events.append(.tcpReset(tcp.flows.id(victim), .evicted))
            tcp.remove(victim)
        }
        var flow = newFlow(.connecting, pod, remote, minimumSequence: minimumSequence)
        adoptSyn(&flow, segment)
        guard let index = tcp.insert(flow) else {
            counters.count(.tcpTableFull)
            return
        }
        counters.count(.tcpOpened)
        events.append(.tcpConnect(tcp.flows.id(index), source: pod, destination: remote))
    }

    func newFlow(
        _ state: TCPState, _ pod: InternetEndpoint, _ remote: InternetEndpoint, minimumSequence: SequenceNumber?
    ) -> TCPFlow {
        var flow = TCPFlow(
            pod: pod, remote: remote, state: state, mss: 536, irs: SequenceNumber(0), rcvNxt: SequenceNumber(0),
            rcvAdv: SequenceNumber(0), rcvAcked: SequenceNumber(0), hash: tcp.hash(pod, remote))
        flow.iss = tcp.initialSequence(pod, remote, now)
        if let minimumSequence, flow.iss <= minimumSequence { flow.iss = minimumSequence + 128_000 }
        flow.sndUna = flow.iss
        flow.sndNxt = flow.iss + 1
        flow.sndMax = flow.iss + 1
        return flow
    }

    /// Takes over what a SYN says: sequence number, segment size, window and scale (never scaled itself).
    private func adoptSyn(_ flow: inout TCPFlow, _ segment: TCPSegment) {
        flow.irs = segment.sequence
        flow.rcvNxt = segment.sequence + 1
        flow.rcvAdv = flow.rcvNxt
        flow.rcvAcked = flow.rcvNxt
        let headers = (flow.pod.address.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length) + 20
        let assumed: UInt16 = flow.pod.address.isIPv4 ? 536 : 1220
        let requested = segment.maximumSegmentSize == 0 ? assumed : segment.maximumSegmentSize
        // Below 64 octets the segments of one frame would number a thousand: the guest may harm itself less.
        flow.mss = UInt16(max(64, min(Int(requested), configuration.mtu - headers)))
        if flow.state == .connecting, let timestamp = segment.timestamp {
            flow.flags.insert(.timestamps)
            flow.recentTimestamp = timestamp
            // The size that was requested does not allow for options (RFC 6691).
            flow.mss -= UInt16(flow.headerLength - TCPSegment.minimumLength)
        } else {
            flow.flags.remove(.timestamps)
        }
        flow.sndWnd = UInt32(segment.window)
        flow.maxSndWnd = flow.sndWnd
        flow.sndWl1 = segment.sequence
        flow.sndWl2 = flow.iss
        if let scale = segment.windowScale {
            flow.flags.insert(.scaling)
            flow.sendScale = scale
        } else {
            flow.flags.remove(.scaling)
            flow.sendScale = 0
        }
    }

    /// The segment size to announce: 1460 or 1440 even with a larger MTU, since the guest segments by offload.
    func announcedSegmentSize(_ address: InternetAddress) -> UInt16 {
        let headers = (address.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length) + 20
        return UInt16(min(1500, configuration.mtu) - headers)
    }

    private mutating func receiveWhileConnecting(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment
    ) {
        if segment.flags.contains(.rst) {
            // Nothing was acknowledged, so no exact sequence exists; a reset of a connect attempt follows its SYN.
            let offset = segment.sequence - flow.pointee.irs
            if offset == 0 || offset == 1 { endFlow(index, .peer) }
            return
        }
        if segment.flags.contains(.syn) && !segment.flags.contains(.ack) && segment.sequence != flow.pointee.irs {
            // The guest gave up and tries again from the same port: the dial under way serves the new attempt.
            adoptSyn(&flow.pointee, segment)
        }
    }

    /// SYN-SENT of RFC 9293, section 3.10.7.3.
    private mutating func receiveInSynSent(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment
    ) {
        let acknowledges = segment.flags.contains(.ack)
        if acknowledges && segment.acknowledgement != flow.pointee.iss + 1 {
            if !segment.flags.contains(.rst) {
                sendReset(
                    flow.pointee.pod, flow.pointee.remote, sequence: segment.acknowledgement, acknowledgement: nil)
            }
            return
        }
        if segment.flags.contains(.rst) {
            if acknowledges { endFlow(index, .peer) }
            return
        }
        guard segment.flags.contains(.syn) else { return }
        adoptSyn(&flow.pointee, segment)
        if acknowledges {
            flow.pointee.pendingAcks = 1
            becomeEstablished(index, flow, segment)
        } else {
            // Simultaneous open (section 3.5, figure 7).
            flow.pointee.state = .synReceived
            flow.pointee.flags.insert(.sendSyn)
        }
        tcp.enqueue(index)
    }

    func becomeEstablishedWindow(_ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment) {
        let scale = segment.flags.contains(.syn) ? 0 : flow.pointee.sendScale
        flow.pointee.sndWnd = UInt32(segment.window) << UInt32(scale)
        flow.pointee.maxSndWnd = max(flow.pointee.maxSndWnd, flow.pointee.sndWnd)
        flow.pointee.sndWl1 = segment.sequence
        flow.pointee.sndWl2 = segment.acknowledgement
    }

    /// The guest has acknowledged our SYN.
    mutating func becomeEstablished(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment
    ) {
        flow.pointee.state = .established
        flow.pointee.sndUna = flow.pointee.iss + 1
        flow.pointee.backoff = 0
        flow.pointee.silence = 0
        flow.pointee.deadline = .never
        flow.pointee.flags.remove(.sendSyn)
        becomeEstablishedWindow(flow, segment)
        tcp.leaveHalfOpen(index)
        counters.count(.tcpEstablished)
        events.append(.tcpEstablished(tcp.flows.id(index)))
        tcp.enqueue(index)
    }

    /// Ends a flow with an event.
    mutating func endFlow(_ index: UInt32, _ reason: TCPResetReason) {
        counters.count(reason == .timedOut ? .tcpTimedOut : .tcpReset)
        events.append(.tcpReset(tcp.flows.id(index), reason))
        tcp.remove(index)
    }
}
