// SPDX-License-Identifier: Apache-2.0

/// Datagrams on their way to the guest: what is left of one `beginDatagrams` call.
package struct DatagramTransmission: BitwiseCopyable {
    fileprivate let source: InternetEndpoint
    fileprivate let destination: InternetEndpoint
    /// Payload bytes of each datagram but the last; 0 for a single datagram.
    fileprivate let segmentSize: Int
    /// Offset in the buffer of the payload not yet sent, and of its end.
    fileprivate var position: Int
    fileprivate let end: Int
    fileprivate var isStarted = false
    /// Of the datagram being fragmented: its bytes (UDP header included) from `fragmentStart` to `fragmentEnd`, of
    /// which those before `fragmentPosition` are sent.
    fileprivate var fragmentStart = 0
    fileprivate var fragmentPosition = 0
    fileprivate var fragmentEnd = 0
    fileprivate var identification: UInt32 = 0
}

extension NetStack {
    /// Bytes to leave free before the payload in a datagram buffer: all headers fit, fragment header included.
    package static var datagramHeadroom: Int { 96 }

    /// Starts to send the guest `payloadLength` bytes, received on the mapping's host socket from `source`.
    ///
    /// The payload lies at `datagramHeadroom` of the buffer that is passed to `nextDatagramFrame`. A segment size (from
    /// UDP_GRO) makes it a batch. Nil when the mapping is gone, the source was never talked to, or nothing can carry it.
    package mutating func beginDatagrams(
        _ id: MappingID, from source: InternetEndpoint, payloadLength: Int, segmentSize: Int = 0,
        now: MonotonicTime
    ) -> DatagramTransmission? {
        self.now = now
        guard let mapping = mappings.records.find(id), mapping.pointee.kind == .udp,
            mapping.pointee.source.address.isIPv4 == source.address.isIPv4
        else { return nil }
        guard admits(mapping, source.address) else {
            counters.count(.udpFiltered)
            return nil
        }
        guard payloadLength >= 0, segmentSize >= 0, payloadLength <= 65_507 else { return nil }
        noteReply(id.index)
        return DatagramTransmission(
            source: source, destination: mapping.pointee.source,
            segmentSize: segmentSize < payloadLength ? segmentSize : 0, position: Self.datagramHeadroom,
            end: Self.datagramHeadroom + payloadLength)
    }

    /// Completes the next frame in `buffer` and returns its range, nil when everything was sent.
    ///
    /// Headers are written in place before the bytes they describe, over bytes of frames that were returned before:
    /// write each frame to the tap before asking for the next one.
    package mutating func nextDatagramFrame(
        _ transmission: inout DatagramTransmission, in buffer: UnsafeMutableRawBufferPointer
    ) -> Range<Int>? {
        let bytes = MutableByteView(buffer)
        if transmission.fragmentPosition < transmission.fragmentEnd {
            return nextFragment(&transmission, bytes)
        }
        let remaining = transmission.end - transmission.position
        if transmission.isStarted && remaining == 0 { return nil }
        transmission.isStarted = true

        let isIPv4 = transmission.source.address.isIPv4
        let overhead = (isIPv4 ? IPv4Header.minimumLength : IPv6Header.length) + 8
        let segmentSize = transmission.segmentSize
        if segmentSize > 0 && remaining > segmentSize && configuration.hasSegmentationOffload
            && segmentSize + overhead <= configuration.mtu
        {
            // Kernels accept 64 (older) or 128 segments a frame, and 65,535 octets with the network header.
            let segments = min(64, (65_535 - overhead) / segmentSize)
            let length = min(remaining, segments * segmentSize)
            return finishDatagram(&transmission, bytes, length, segmentSize: length > segmentSize ? segmentSize : 0)
        }
        let length = segmentSize > 0 ? min(segmentSize, remaining) : remaining
        if length + overhead <= configuration.mtu {
            return finishDatagram(&transmission, bytes, length, segmentSize: 0)
        }
        // The checksum covers all fragments, so it is complete before the first leaves.
        writeUDPHeader(transmission, bytes.slice(transmission.position - 8, length + 8), isOffloaded: false)
        transmission.fragmentStart = transmission.position - 8
        transmission.fragmentPosition = transmission.fragmentStart
        transmission.fragmentEnd = transmission.position + length
        transmission.identification = nextIdentification()
        transmission.position += length
        return nextFragment(&transmission, bytes)
    }

    private func writeUDPHeader(_ transmission: DatagramTransmission, _ datagram: MutableByteView, isOffloaded: Bool) {
        datagram.set16(0, transmission.source.port)
        datagram.set16(2, transmission.destination.port)
        datagram.set16(4, UInt16(datagram.count))
        datagram.set16(6, 0)
        var checksum = InternetChecksum()
        checksum.addPseudoHeader(
            source: transmission.source.address, destination: transmission.destination.address,
            protocolNumber: IPProtocol.udp, length: datagram.count)
        if isOffloaded {
            datagram.set16(6, checksum.partial)
            return
        }
        checksum.add(datagram.readOnly)
        // A computed zero is sent as all ones: zero means "no checksum" (RFC 768).
        datagram.set16(6, checksum.value == 0 ? 0xffff : checksum.value)
    }

    private mutating func finishDatagram(
        _ transmission: inout DatagramTransmission, _ bytes: MutableByteView, _ length: Int, segmentSize: Int
    ) -> Range<Int> {
        let isOffloaded = configuration.virtioHeaderLength > 0
        let start = transmission.position - 8
        writeUDPHeader(transmission, bytes.slice(start, length + 8), isOffloaded: isOffloaded)
        let networkLength =
            transmission.source.address.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length
        var offload = VirtioNetHeader()
        if isOffloaded {
            offload.needsChecksum = true
            offload.checksumStart = UInt16(Ethernet.headerLength + networkLength)
            offload.checksumOffset = 6
        }
        if segmentSize > 0 {
            offload.segmentation = .udp
            offload.segmentSize = UInt16(segmentSize)
            offload.headerLength = UInt16(Ethernet.headerLength + networkLength + 8)
        }
        transmission.position += length
        return writeNetworkHeaders(
            transmission, bytes, payload: start..<(start + length + 8), fragment: nil, offload: offload)
    }

    private mutating func nextFragment(
        _ transmission: inout DatagramTransmission, _ bytes: MutableByteView
    ) -> Range<Int> {
        let headers = transmission.source.address.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length + 8
        let chunk = (configuration.mtu - headers) & ~7
        let start = transmission.fragmentPosition
        let end = min(start + chunk, transmission.fragmentEnd)
        transmission.fragmentPosition = end
        return writeNetworkHeaders(
            transmission, bytes, payload: start..<end,
            fragment: (start - transmission.fragmentStart, end < transmission.fragmentEnd),
            offload: VirtioNetHeader())
    }

    private func writeNetworkHeaders(
        _ transmission: DatagramTransmission, _ bytes: MutableByteView, payload: Range<Int>,
        fragment: (offset: Int, more: Bool)?, offload: VirtioNetHeader
    ) -> Range<Int> {
        counters.count(.udpSent)
        let source = transmission.source.address
        let destination = transmission.destination.address
        var start = payload.lowerBound
        if source.isIPv4 {
            start -= IPv4Header.minimumLength
            var word: UInt16 = 0x4000
            if let fragment { word = UInt16(fragment.offset / 8) | (fragment.more ? 0x2000 : 0) }
            IPv4Header.write(
                to: bytes.from(start), totalLength: payload.upperBound - start,
                identification: UInt16(truncatingIfNeeded: fragment == nil ? 0 : transmission.identification),
                fragment: word, protocolNumber: IPProtocol.udp, source: source, destination: destination)
        } else {
            var next = IPProtocol.udp
            if let fragment {
                start -= 8
                bytes.set16(start, UInt16(IPProtocol.udp) << 8)
                bytes.set16(start + 2, UInt16(fragment.offset) | (fragment.more ? 1 : 0))
                bytes.set32(start + 4, transmission.identification)
                next = IPProtocol.fragment
            }
            let length = payload.upperBound - start
            start -= IPv6Header.length
            IPv6Header.write(
                to: bytes.from(start), payloadLength: length, nextHeader: next, hopLimit: 64, source: source,
                destination: destination)
        }
        start -= Ethernet.headerLength
        Ethernet.writeHeader(
            to: bytes.from(start), destination: guestMAC, source: configuration.gatewayMAC,
            type: source.isIPv4 ? Ethernet.typeIPv4 : Ethernet.typeIPv6)
        start -= configuration.virtioHeaderLength
        offload.write(to: bytes.from(start), length: configuration.virtioHeaderLength)
        counters.count(.framesSent)
        return start..<payload.upperBound
    }
}
