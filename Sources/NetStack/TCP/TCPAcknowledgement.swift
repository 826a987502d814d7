// SPDX-License-Identifier: Apache-2.0

// What the guest's acknowledgements and windows do to the sending side.

extension NetStack {
    /// The fifth check of RFC 9293, section 3.10.7.4. False when the segment needs no further processing.
    mutating func processAcknowledgement(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment
    ) -> Bool {
        let acknowledgement = segment.acknowledgement
        let advance = acknowledgement - flow.pointee.sndUna
        // Acknowledgements of what was not sent, or of what no window can still hold, are blind attacks (RFC 5961,
        // section 5.2).
        if acknowledgement > flow.pointee.sndMax || advance < -Int(flow.pointee.maxSndWnd) {
            challenge(index, flow)
            return false
        }
        flow.pointee.silence = 0
        let window = UInt32(segment.window) << UInt32(flow.pointee.sendScale)
        if advance > 0 {
            advanceUnacknowledged(index, flow, acknowledgement)
        } else if advance == 0 && flow.pointee.hasOutstanding && segment.sequenceLength == 0
            && window == flow.pointee.sndWnd && window > 0
        {
            countDuplicate(index, flow)
        }
        updateWindow(index, flow, segment, window)
        if advance > 0 && flow.pointee.flags.contains(.finKnown)
            && flow.pointee.sndUna == flow.pointee.finSeq + 1
        {
            switch flow.pointee.state {
            case .finWait1: flow.pointee.state = .finWait2
            case .closing: enterTimeWait(index, flow)
            case .lastAck:
                events.append(.tcpClosed(tcp.flows.id(index)))
                tcp.remove(index)
                return false
            default: break
            }
        }
        return true
    }

    private mutating func advanceUnacknowledged(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ acknowledgement: SequenceNumber
    ) {
        var octets = acknowledgement - flow.pointee.sndUna
        if flow.pointee.flags.contains(.finKnown) && acknowledgement == flow.pointee.finSeq + 1 { octets -= 1 }
        flow.pointee.sndUna = acknowledgement
        // The guest had kept what followed a gap: what it has is not sent again.
        if flow.pointee.sndNxt < acknowledgement { flow.pointee.sndNxt = acknowledgement }
        if flow.pointee.flags.contains(.recovering) && acknowledgement >= flow.pointee.recover {
            flow.pointee.flags.remove(.recovering)
        }
        flow.pointee.dupAckCount = 0
        flow.pointee.backoff = 0
        if flow.pointee.hasOutstanding {
            tcp.arm(index, flow.pointee.retransmissionTimeout, now)
        } else {
            flow.pointee.deadline = .never
        }
        if octets > 0 { events.append(.tcpAcknowledged(tcp.flows.id(index), octets)) }
        tcp.enqueue(index)
    }

    /// Three duplicates: the segment at sndUna was lost (RFC 5681, section 3.2). All from there is sent again, a frame at a
    /// time while it is not known what the guest has kept.
    private mutating func countDuplicate(_ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>) {
        if flow.pointee.flags.contains(.recovering) { return }
        flow.pointee.dupAckCount += 1
        guard flow.pointee.dupAckCount == 3 else { return }
        flow.pointee.dupAckCount = 0
        counters.count(.tcpFastRetransmissions)
        rewind(index, flow)
        tcp.arm(index, flow.pointee.retransmissionTimeout, now)
    }

    /// Goes back to the first unacknowledged octet.
    mutating func rewind(_ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>) {
        flow.pointee.sndNxt = flow.pointee.sndUna
        flow.pointee.recover = flow.pointee.sndMax
        flow.pointee.flags.insert(.recovering)
        tcp.enqueue(index)
    }

    private mutating func updateWindow(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ segment: TCPSegment, _ window: UInt32
    ) {
        let isNewer =
            flow.pointee.sndWl1 < segment.sequence
            || (flow.pointee.sndWl1 == segment.sequence && flow.pointee.sndWl2 <= segment.acknowledgement)
        guard isNewer, segment.acknowledgement >= flow.pointee.sndUna else { return }
        let previous = flow.pointee.sndWnd
        flow.pointee.sndWnd = window
        flow.pointee.maxSndWnd = max(flow.pointee.maxSndWnd, window)
        flow.pointee.sndWl1 = segment.sequence
        flow.pointee.sndWl2 = segment.acknowledgement
        if window == 0 {
            // Octets in flight and no window: the guest has taken the window back and dropped them (Linux does under
            // memory pressure). They go again when it opens.
            if flow.pointee.sndNxt != flow.pointee.sndUna && flow.pointee.state.sendsData {
                flow.pointee.sndNxt = flow.pointee.sndUna
                tcp.enqueue(index)
            }
        } else if window > previous {
            if previous == 0 {
                flow.pointee.backoff = 0
                flow.pointee.deadline = .never
                if flow.pointee.hasOutstanding { tcp.arm(index, flow.pointee.retransmissionTimeout, now) }
            }
            tcp.enqueue(index)
        }
    }
}
