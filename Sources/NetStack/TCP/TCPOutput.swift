// SPDX-License-Identifier: Apache-2.0

/// What `nextOutput` has put into the buffer.
package enum Output: BitwiseCopyable {
    /// Nothing to send.
    case none
    /// A complete frame of this many bytes.
    case frame(Int)
    /// Space for a data segment: fill in payload, then `finish`.
    case payload(PayloadRequest)
}

/// A data segment without its data.
package struct PayloadRequest: BitwiseCopyable {
    package let flow: FlowID
    /// Where in the host socket's receive queue to read: octets behind the first unconsumed one (SO_PEEK_OFF). Goes
    /// back when something is repeated.
    package let streamOffset: Int
    /// Where in the buffer the payload goes.
    package let bufferOffset: Int
    /// At most this many bytes.
    package let maximumLength: Int
}

/// What the host socket gave for a payload request.
package enum PayloadResult: BitwiseCopyable {
    /// Bytes 1...maximumLength are in the buffer; `more` says that reading on is worth while.
    case bytes(Int, more: Bool)
    /// As many bytes, 1...maximumLength, and behind them the host side has finished sending.
    case lastBytes(Int)
    /// Nothing there yet: call `hostReadable` when there is.
    case wouldBlock
    /// The host side has finished sending.
    case endOfStream
}

extension NetStack {
    /// Largest payload of a frame with segmentation offload, before rounding to whole segments.
    static var maximumBurst: Int { 61_440 }

    /// Builds the next frame for the guest. Call until `.none`; the buffer holds `outputCapacity` bytes.
    package mutating func nextOutput(into buffer: UnsafeMutableRawBufferPointer, now: MonotonicTime) -> Output {
        precondition(buffer.count >= Self.outputCapacity)
        self.now = now
        let bytes = MutableByteView(buffer)
        if let length = controlFrames.pop(into: bytes) {
            counters.count(.framesSent)
            return .frame(length)
        }
        while let index = tcp.dequeue() {
            let output = transmit(index, tcp.flows[index], bytes)
            switch output {
            case .none: continue
            case .frame:
                counters.count(.framesSent)
                return output
            case .payload: return output
            }
        }
        return .none
    }

    /// The most urgent thing the flow has to say. The flow is not queued; whatever remains queues it again.
    private mutating func transmit(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ bytes: MutableByteView
    ) -> Output {
        if flow.pointee.flags.contains(.sendSyn) {
            flow.pointee.flags.remove(.sendSyn)
            return .frame(writeSyn(flow, bytes))
        }
        if flow.pointee.state == .connecting || flow.pointee.state == .synSent { return .none }
        if flow.pointee.pendingAcks > 1 {
            // Duplicates count only without data in them.
            flow.pointee.pendingAcks -= 1
            tcp.enqueue(index)
            return .frame(writeControl(flow, bytes, flow.pointee.controlSequence, .ack))
        }
        if flow.pointee.flags.contains(.probe) {
            flow.pointee.flags.remove(.probe)
            flow.pointee.pendingAcks = 0
            // An octet before the window makes the guest answer without a payload being needed.
            return .frame(writeControl(flow, bytes, flow.pointee.sndUna + -1, .ack))
        }
        let length = sendableLength(flow)
        if length > 0 {
            return .payload(
                PayloadRequest(
                    flow: tcp.flows.id(index), streamOffset: flow.pointee.sndNxt - flow.pointee.sndUna,
                    bufferOffset: linkHeaderLength + transportOffset(flow) + flow.pointee.headerLength,
                    maximumLength: length))
        }
        if flow.pointee.flags.contains(.finKnown) && flow.pointee.sndNxt == flow.pointee.finSeq
            && flow.pointee.state.sendsData
        {
            return .frame(sendFin(index, flow, bytes))
        }
        if isBlockedByZeroWindow(flow) && flow.pointee.deadline == .never {
            tcp.arm(index, flow.pointee.retransmissionTimeout, now)
        }
        if flow.pointee.pendingAcks > 0 {
            if mayWait(flow) {
                tcp.deferAcknowledgement(index)
                return .none
            }
            flow.pointee.pendingAcks = 0
            return .frame(writeControl(flow, bytes, flow.pointee.controlSequence, .ack))
        }
        return .none
    }

    /// Whether an acknowledgement may wait for data or a FIN to go with: it covers less than two segments, which RFC 9293
    /// (section 3.8.6.3) demands to be acknowledged, and the guest does not wait for it to send on.
    @inline(__always)
    private func mayWait(_ flow: UnsafeMutablePointer<TCPFlow>) -> Bool {
        guard defersAcknowledgements, flow.pointee.pendingAcks == 1, flow.pointee.state == .established,
            !flow.pointee.flags.contains(.ackDue), !flow.pointee.flags.contains(.droppedInput)
        else { return false }
        let new = flow.pointee.rcvNxt - flow.pointee.rcvAcked
        return new > 0 && new < 2 * Int(flow.pointee.mss)
            && flow.pointee.receiveWindow >= min(2 * Int(flow.pointee.mss), Int(flow.pointee.maxCapacity) / 2)
    }

    @inline(__always)
    func transportOffset(_ flow: UnsafeMutablePointer<TCPFlow>) -> Int {
        flow.pointee.pod.address.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length
    }

    /// Octets that may be sent in one frame, 0 when none.
    private func sendableLength(_ flow: UnsafeMutablePointer<TCPFlow>) -> Int {
        guard flow.pointee.state.sendsData else { return 0 }
        let inFlight = flow.pointee.sndNxt - flow.pointee.sndUna
        var window = Int(flow.pointee.sndWnd)
        if flow.pointee.flags.contains(.recovering) { window = min(window, Self.maximumBurst) }
        let room = window - inFlight
        var length = room
        if flow.pointee.flags.contains(.finKnown) {
            length = min(length, flow.pointee.finSeq - flow.pointee.sndNxt)
        } else if !flow.pointee.flags.contains(.hostReadable) {
            length = min(length, flow.pointee.sndMax - flow.pointee.sndNxt)
        }
        guard length > 0 else { return 0 }
        let mss = Int(flow.pointee.mss)
        // Sender's silly window avoidance (RFC 9293, section 3.8.6.2.1): a window too small for a segment is not nibbled
        // at while an acknowledgement is still to come.
        if length == room && room < min(mss, Int(flow.pointee.maxSndWnd) / 2) && inFlight > 0 { return 0 }
        let burst = configuration.hasSegmentationOffload ? max(mss, Self.maximumBurst / mss * mss) : mss
        if length > burst { return burst }
        if length == room && length > mss { return length - length % mss }
        return length
    }

    /// Completes a data segment in the buffer that `nextOutput` had prepared; returns the frame's length, 0 when there is
    /// no frame. Call before anything else that changes the stack.
    package mutating func finish(
        _ request: PayloadRequest, _ result: PayloadResult, in buffer: UnsafeMutableRawBufferPointer,
        now: MonotonicTime
    ) -> Int {
        self.now = now
        guard let flow = tcp.flows.find(request.flow) else { return 0 }
        let index = request.flow.index
        let bytes = MutableByteView(buffer)
        var length = 0
        switch result {
        case .bytes(let count, let more):
            precondition(count > 0 && count <= request.maximumLength)
            length = sendData(index, flow, bytes, request, count, more, isLast: false)
        case .lastBytes(let count):
            precondition(count > 0 && count <= request.maximumLength)
            length = sendData(
                index, flow, bytes, request, count, false, isLast: !flow.pointee.flags.contains(.finKnown))
        case .wouldBlock:
            flow.pointee.flags.remove(.hostReadable)
        case .endOfStream:
            flow.pointee.flags.remove(.hostReadable)
            // Unacknowledged octets are in the socket, so it ends only behind them.
            if flow.pointee.sndNxt == flow.pointee.sndMax && !flow.pointee.flags.contains(.finKnown) {
                beginFin(flow)
                length = sendFin(index, flow, bytes)
            }
        }
        if length == 0 && flow.pointee.pendingAcks > 0 {
            flow.pointee.pendingAcks = 0
            length = writeControl(flow, bytes, flow.pointee.controlSequence, .ack)
        }
        if length > 0 { counters.count(.framesSent) }
        return length
    }

    /// The host side's stream ends at sndNxt.
    private func beginFin(_ flow: UnsafeMutablePointer<TCPFlow>) {
        flow.pointee.flags.insert(.finKnown)
        flow.pointee.flags.remove(.hostReadable)
        flow.pointee.finSeq = flow.pointee.sndNxt
        flow.pointee.state = flow.pointee.state == .closeWait ? .lastAck : .finWait1
    }

    private mutating func sendData(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ bytes: MutableByteView,
        _ request: PayloadRequest, _ count: Int, _ more: Bool, isLast: Bool
    ) -> Int {
        let headers = transportOffset(flow) + flow.pointee.headerLength
        let window = advertise(flow)
        let packet = bytes.slice(linkHeaderLength, headers + count)
        let mss = Int(flow.pointee.mss)
        var offload = VirtioNetHeader()
        if configuration.virtioHeaderLength > 0 {
            offload.needsChecksum = true
            offload.checksumStart = UInt16(Ethernet.headerLength + transportOffset(flow))
            offload.checksumOffset = 16
            if count > mss {
                offload.segmentation = flow.pointee.pod.address.isIPv4 ? .tcpIPv4 : .tcpIPv6
                offload.segmentSize = flow.pointee.mss
                offload.headerLength = UInt16(Ethernet.headerLength + headers)
            }
        }
        writeLinkHeader(bytes, offload, isIPv4: flow.pointee.pod.address.isIPv4)
        writeTimestamps(flow, packet, transportOffset(flow) + TCPSegment.minimumLength)
        writeTCPPacket(
            packet, flow.pointee.pod, flow.pointee.remote, flow.pointee.sndNxt, flow.pointee.rcvNxt,
            isLast ? [.ack, .psh, .fin] : more ? .ack : [.ack, .psh], window,
            headerLength: flow.pointee.headerLength, isOffloaded: offload.needsChecksum)
        flow.pointee.sndNxt += count
        if isLast {
            beginFin(flow)
            flow.pointee.sndNxt += 1
        }
        if flow.pointee.sndMax < flow.pointee.sndNxt { flow.pointee.sndMax = flow.pointee.sndNxt }
        flow.pointee.pendingAcks = 0
        if flow.pointee.deadline == .never { tcp.arm(index, flow.pointee.retransmissionTimeout, now) }
        if !more && flow.pointee.sndNxt == flow.pointee.sndMax { flow.pointee.flags.remove(.hostReadable) }
        // Another frame, or the FIN: decided at its turn, behind the other flows.
        tcp.enqueue(index)
        noteAcknowledged(flow)
        return linkHeaderLength + headers + count
    }

    /// The segment being written tells the guest of everything that was taken.
    @inline(__always)
    func noteAcknowledged(_ flow: UnsafeMutablePointer<TCPFlow>) {
        flow.pointee.rcvAcked = flow.pointee.rcvNxt
        flow.pointee.flags.remove(.ackDue)
    }

    /// Acknowledgements wait for data to go with until `flushAcknowledgements`.
    package var hasDeferredAcknowledgements: Bool { tcp.hasDeferred }

    /// Nothing more is to come soon: what waits is sent by `nextOutput`.
    package mutating func flushAcknowledgements() { tcp.flushDeferred() }

    private mutating func sendFin(
        _ index: UInt32, _ flow: UnsafeMutablePointer<TCPFlow>, _ bytes: MutableByteView
    ) -> Int {
        let length = writeControl(flow, bytes, flow.pointee.finSeq, [.fin, .ack])
        flow.pointee.pendingAcks = 0
        flow.pointee.sndNxt = flow.pointee.finSeq + 1
        if flow.pointee.sndMax < flow.pointee.sndNxt { flow.pointee.sndMax = flow.pointee.sndNxt }
        if flow.pointee.deadline == .never { tcp.arm(index, flow.pointee.retransmissionTimeout, now) }
        return length
    }
}
