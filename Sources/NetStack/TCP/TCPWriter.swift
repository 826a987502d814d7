// SPDX-License-Identifier: Apache-2.0

// TCP frames in memory: headers, windows, checksums.

extension NetStack {
    /// The window field for the next segment, moving the right edge if there is enough to tell.
    ///
    /// The edge never moves left: the field is rounded up to the scale, and what the guest then knows is remembered
    /// exactly. A promise thus exceeds the caller's capacity by at most 127 octets; octets that cannot be taken come again.
    @inline(__always)
    func advertise(_ flow: UnsafeMutablePointer<TCPFlow>) -> UInt16 {
        let scale = Int(flow.pointee.flags.contains(.scaling) ? TCPFlow.receiveScale : 0)
        let capacity = min(Int(flow.pointee.capacity), 65_535 << scale) & ~((1 << scale) - 1)
        let candidate = flow.pointee.rcvNxt + capacity
        // Receiver's silly window avoidance (RFC 9293, section 3.8.6.2.2).
        if candidate - flow.pointee.rcvAdv >= min(Int(flow.pointee.mss), Int(flow.pointee.maxCapacity) / 2) {
            if flow.pointee.rcvAdv < candidate { flow.pointee.rcvAdv = candidate }
        }
        let field = min((flow.pointee.receiveWindow + (1 << scale) - 1) >> scale, 65_535)
        let edge = flow.pointee.rcvNxt + field << scale
        if flow.pointee.rcvAdv < edge { flow.pointee.rcvAdv = edge }
        return UInt16(field)
    }

    /// A segment without data.
    func writeControl(
        _ flow: UnsafeMutablePointer<TCPFlow>, _ bytes: MutableByteView, _ sequence: SequenceNumber,
        _ flags: TCPFlags
    ) -> Int {
        let window = advertise(flow)
        noteAcknowledged(flow)
        writeTimestamps(flow, bytes, linkHeaderLength + transportOffset(flow) + TCPSegment.minimumLength)
        return writeSegment(
            bytes, flow.pointee.pod, flow.pointee.remote, sequence, flow.pointee.rcvNxt, flags, window,
            headerLength: flow.pointee.headerLength)
    }

    /// The timestamps option at `offset`, when the flow has it.
    @inline(__always)
    func writeTimestamps(_ flow: UnsafeMutablePointer<TCPFlow>, _ bytes: MutableByteView, _ offset: Int) {
        guard flow.pointee.flags.contains(.timestamps) else { return }
        bytes.set32(offset, TCPSegment.timestampLead)
        bytes.set32(offset + 4, UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000))
        bytes.set32(offset + 8, flow.pointee.recentTimestamp)
    }

    /// SYN or SYN-ACK with our segment size and, when the guest offered it or we open, window scale.
    func writeSyn(_ flow: UnsafeMutablePointer<TCPFlow>, _ bytes: MutableByteView) -> Int {
        let isOpening = flow.pointee.state == .synSent
        let hasScale = isOpening || flow.pointee.flags.contains(.scaling)
        let field = min(Int(flow.pointee.capacity), 65_535)
        if !isOpening {
            let edge = flow.pointee.rcvNxt + field
            if flow.pointee.rcvAdv < edge { flow.pointee.rcvAdv = edge }
        }
        flow.pointee.pendingAcks = 0
        let options = linkHeaderLength + (flow.pointee.pod.address.isIPv4 ? 20 : 40) + 20
        let size = announcedSegmentSize(flow.pointee.pod.address)
        bytes.set32(options, 0x0204_0000 | UInt32(size))
        // No-operation, then the shift count (RFC 7323, section 2.2).
        if hasScale { bytes.set32(options + 4, 0x0103_0300 | UInt32(TCPFlow.receiveScale)) }
        let length = hasScale ? 28 : 24
        writeTimestamps(flow, bytes, options + length - TCPSegment.minimumLength)
        return writeSegment(
            bytes, flow.pointee.pod, flow.pointee.remote, flow.pointee.iss,
            isOpening ? SequenceNumber(0) : flow.pointee.rcvNxt, isOpening ? .syn : [.syn, .ack],
            UInt16(field), headerLength: length + flow.pointee.headerLength - TCPSegment.minimumLength)
    }

    /// Queues a reset; lost when the queue is full, in which case the guest's next segment causes another.
    /// - Parameter acknowledgement: nil for a reset without ACK, as answers to segments with ACK are.
    mutating func sendReset(
        _ pod: InternetEndpoint, _ remote: InternetEndpoint, sequence: SequenceNumber,
        acknowledgement: SequenceNumber?
    ) {
        let length = linkHeaderLength + (pod.address.isIPv4 ? 20 : 40) + 20
        guard let frame = controlFrames.reserve(length) else {
            counters.count(.dropQueueFull)
            return
        }
        _ = writeSegment(
            frame, pod, remote, sequence, acknowledgement ?? SequenceNumber(0),
            acknowledgement == nil ? .rst : [.rst, .ack], 0, headerLength: 20)
        controlFrames.commit()
    }

    /// A whole frame without payload; options, if any, are already behind the header. Returns its length.
    private func writeSegment(
        _ bytes: MutableByteView, _ pod: InternetEndpoint, _ remote: InternetEndpoint,
        _ sequence: SequenceNumber, _ acknowledgement: SequenceNumber, _ flags: TCPFlags, _ window: UInt16,
        headerLength: Int
    ) -> Int {
        let length = (pod.address.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length) + headerLength
        writeLinkHeader(bytes, VirtioNetHeader(), isIPv4: pod.address.isIPv4)
        writeTCPPacket(
            bytes.slice(linkHeaderLength, length), pod, remote, sequence, acknowledgement, flags, window,
            headerLength: headerLength, isOffloaded: false)
        return linkHeaderLength + length
    }

    @inline(__always)
    func writeLinkHeader(_ bytes: MutableByteView, _ offload: VirtioNetHeader, isIPv4: Bool) {
        offload.write(to: bytes, length: configuration.virtioHeaderLength)
        Ethernet.writeHeader(
            to: bytes.from(configuration.virtioHeaderLength), destination: guestMAC,
            source: configuration.gatewayMAC, type: isIPv4 ? Ethernet.typeIPv4 : Ethernet.typeIPv6)
    }

    /// Network and TCP header around the payload that fills the rest of `packet`.
    @inline(__always)
    func writeTCPPacket(
        _ packet: MutableByteView, _ pod: InternetEndpoint, _ remote: InternetEndpoint,
        _ sequence: SequenceNumber, _ acknowledgement: SequenceNumber, _ flags: TCPFlags, _ window: UInt16,
        headerLength: Int, isOffloaded: Bool
    ) {
        let transport: MutableByteView
        if pod.address.isIPv4 {
            IPv4Header.write(
                to: packet, totalLength: packet.count, identification: 0, fragment: 0x4000,
                protocolNumber: IPProtocol.tcp, source: remote.address, destination: pod.address)
            transport = packet.from(IPv4Header.minimumLength)
        } else {
            IPv6Header.write(
                to: packet, payloadLength: packet.count - IPv6Header.length, nextHeader: IPProtocol.tcp,
                hopLimit: 64, source: remote.address, destination: pod.address)
            transport = packet.from(IPv6Header.length)
        }
        TCPSegment.write(
            to: transport, sourcePort: remote.port, destinationPort: pod.port, sequence: sequence,
            acknowledgement: acknowledgement, headerLength: headerLength, flags: flags, window: window)
        var checksum = InternetChecksum()
        checksum.addPseudoHeader(
            source: remote.address, destination: pod.address, protocolNumber: IPProtocol.tcp,
            length: transport.count)
        if isOffloaded {
            transport.set16(16, checksum.partial)
        } else {
            checksum.add(transport.readOnly)
            transport.set16(16, checksum.value)
        }
    }
}
