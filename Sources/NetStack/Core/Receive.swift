// SPDX-License-Identifier: Apache-2.0

/// A datagram with its network header decoded.
struct InternetDatagram: BitwiseCopyable {
    var source: InternetAddress
    var destination: InternetAddress
    var protocolNumber: UInt8
    var hopLimit: UInt8
    var dontFragment: Bool
    /// From the transport header on.
    var transport: ByteView
    /// The whole packet for quoting; empty for a reassembled one.
    var packet: ByteView
    /// Where `transport` starts, from the Ethernet header: what an offloaded checksum must agree with.
    var transportOffset: Int
    var offload: VirtioNetHeader
}

extension NetStack {
    /// Takes one frame from the guest, offload header included. At most 4 events follow; drain them before the next call,
    /// since they point into `frame`.
    package mutating func receive(_ frame: UnsafeRawBufferPointer, now: MonotonicTime) {
        self.now = now
        counters.count(.framesReceived)
        guard events.room >= 8 else {
            counters.count(.dropEventsFull)
            return
        }
        let bytes = ByteView(frame)
        guard bytes.count >= linkHeaderLength else {
            counters.count(.dropMalformedEthernet)
            return
        }
        var offload = VirtioNetHeader()
        if configuration.virtioHeaderLength > 0 {
            guard let decoded = VirtioNetHeader(bytes) else {
                counters.count(.dropMalformedOffload)
                return
            }
            offload = decoded
        }
        let ethernet = bytes.from(configuration.virtioHeaderLength)
        let destination = ethernet.mac(0)
        let source = ethernet.mac(6)
        guard !source.isGroup, source != configuration.gatewayMAC else {
            counters.count(.dropMalformedEthernet)
            return
        }
        guard destination == configuration.gatewayMAC || destination.isGroup else {
            counters.count(.dropForeignMAC)
            return
        }
        guestMAC = source
        let payload = ethernet.from(Ethernet.headerLength)
        switch ethernet.u16(12) {
        case Ethernet.typeIPv4: receiveIPv4(payload, offload)
        case Ethernet.typeIPv6: receiveIPv6(payload, offload)
        case Ethernet.typeARP: receiveARP(payload)
        default: counters.count(.dropUnknownEtherType)
        }
    }

    private mutating func receiveIPv4(_ bytes: ByteView, _ offload: VirtioNetHeader) {
        let header: IPv4Header
        do {
            header = try IPv4Header(bytes)
        } catch {
            switch error {
            case .malformed: counters.count(.dropMalformedIPv4)
            case .badChecksum: counters.count(.dropIPv4Checksum)
            case .sourceRoute: counters.count(.dropSourceRoute)
            }
            return
        }
        guard let subnet = configuration.ipv4 else {
            counters.count(.dropDisabledFamily)
            return
        }
        // The source must be a pod: no spoofed traffic leaves this machine in the user's name (RFC 2827).
        guard subnet.prefix.contains(header.source), !isOwnAddress(header.source) else {
            counters.count(.dropForeignSource)
            return
        }
        let packet = bytes.prefix(header.totalLength)
        var datagram = InternetDatagram(
            source: header.source, destination: header.destination, protocolNumber: header.protocolNumber,
            hopLimit: header.timeToLive, dontFragment: header.dontFragment,
            transport: packet.from(header.headerLength), packet: packet,
            transportOffset: Ethernet.headerLength + header.headerLength, offload: offload)
        if header.moreFragments || header.fragmentOffset > 0 {
            let key = FragmentKey(
                source: header.source, destination: header.destination,
                identification: UInt32(header.identification), protocolNumber: header.protocolNumber)
            guard
                let whole = reassemble(
                    key, datagram, offset: header.fragmentOffset, more: header.moreFragments)
            else { return }
            datagram = whole
        }
        guard !header.destination.isMulticastOrReserved, !header.destination.isUnspecified else {
            counters.count(.dropMulticast)
            return
        }
        deliver(datagram)
    }

    private mutating func receiveIPv6(_ bytes: ByteView, _ offload: VirtioNetHeader) {
        let header: IPv6Header
        do {
            header = try IPv6Header(bytes)
        } catch {
            rejectIPv6(error, bytes)
            return
        }
        guard let subnet = configuration.ipv6 else {
            counters.count(.dropDisabledFamily)
            return
        }
        let isNeighbourTalk =
            header.upperProtocol == IPProtocol.icmpv6
            && (header.source.isLinkLocal || header.source.isUnspecified)
        guard subnet.prefix.contains(header.source) || isNeighbourTalk, !isOwnAddress(header.source) else {
            counters.count(.dropForeignSource)
            return
        }
        let packet = bytes.prefix(header.totalLength)
        var datagram = InternetDatagram(
            source: header.source, destination: header.destination, protocolNumber: header.upperProtocol,
            hopLimit: header.hopLimit, dontFragment: true, transport: packet.from(header.upperOffset),
            packet: packet, transportOffset: Ethernet.headerLength + header.upperOffset, offload: offload)
        if header.isFragment {
            let key = FragmentKey(
                source: header.source, destination: header.destination, identification: header.identification,
                protocolNumber: header.upperProtocol)
            guard
                var whole = reassemble(
                    key, datagram, offset: header.fragmentOffset, more: header.moreFragments)
            else { return }
            do {
                let upper = try IPv6Header.upperLayer(
                    of: whole.transport, protocolNumber: whole.protocolNumber)
                whole.protocolNumber = upper.protocolNumber
                whole.transport = whole.transport.from(upper.offset)
            } catch {
                counters.count(.dropIPv6Extension)
                return
            }
            datagram = whole
            // Neighbour discovery in fragments is refused (RFC 6980).
            if datagram.protocolNumber == IPProtocol.icmpv6 && isNeighbourTalk {
                counters.count(.dropFragment)
                return
            }
        }
        if header.destination.isMulticastOrReserved && datagram.protocolNumber != IPProtocol.icmpv6 {
            counters.count(.dropMulticast)
            return
        }
        guard !header.destination.isUnspecified else {
            counters.count(.dropMulticast)
            return
        }
        deliver(datagram)
    }

    private mutating func rejectIPv6(_ rejection: IPv6Header.Rejection, _ bytes: ByteView) {
        switch rejection {
        case .malformed: counters.count(.dropMalformedIPv6)
        case .mappedAddress: counters.count(.dropMappedAddress)
        case .discard: counters.count(.dropIPv6Extension)
        case .parameterProblem(let code, let pointer):
            counters.count(.dropIPv6Extension)
            let source = bytes.ipv6Address(8)
            let destination = bytes.ipv6Address(24)
            guard let subnet = configuration.ipv6, subnet.prefix.contains(source), !isOwnAddress(source),
                !destination.isMulticastOrReserved
            else { return }
            let datagram = InternetDatagram(
                source: source, destination: destination, protocolNumber: IPProtocol.noNextHeader, hopLimit: 64,
                dontFragment: true, transport: .empty, packet: bytes, transportOffset: 0,
                offload: VirtioNetHeader())
            reportError(.parameterProblem(code: code, pointer: pointer), about: datagram)
        }
    }

    private mutating func deliver(_ datagram: InternetDatagram) {
        // A router forwards nothing whose hop limit ends here; its own addresses are no hop further.
        if datagram.hopLimit <= 1 && !isOwnAddress(datagram.destination)
            && !datagram.destination.isMulticastOrReserved
        {
            counters.count(.dropHopLimit)
            if datagram.hopLimit == 1 { reportError(.hopLimitExceeded, about: datagram) }
            return
        }
        switch (datagram.protocolNumber, datagram.source.isIPv4) {
        case (IPProtocol.tcp, _): receiveTCP(datagram)
        case (IPProtocol.udp, _): receiveUDP(datagram)
        case (IPProtocol.icmp, true): receiveICMP(datagram)
        case (IPProtocol.icmpv6, false): receiveICMPv6(datagram)
        case (IPProtocol.noNextHeader, false): counters.count(.dropUnknownProtocol)
        default:
            counters.count(.dropUnknownProtocol)
            if datagram.source.isIPv4 {
                reportError(.protocolUnreachable, about: datagram)
            } else if !datagram.destination.isMulticastOrReserved {
                reportError(.parameterProblem(code: 1, pointer: 6), about: datagram)
            }
        }
    }

    /// Whether the transport checksum is right, or vouched for by the guest's kernel.
    /// - Parameter field: offset of the checksum in the transport header.
    func checksumIsGood(_ datagram: InternetDatagram, field: Int, hasPseudoHeader: Bool = true) -> Bool {
        let offload = datagram.offload
        if offload.needsChecksum {
            // An unfinished checksum is this datagram's, or the frame contradicts itself.
            return Int(offload.checksumStart) == datagram.transportOffset && Int(offload.checksumOffset) == field
        }
        if offload.isDataValid { return true }
        var checksum = InternetChecksum()
        if hasPseudoHeader {
            checksum.addPseudoHeader(
                source: datagram.source, destination: datagram.destination,
                protocolNumber: datagram.protocolNumber, length: datagram.transport.count)
        }
        checksum.add(datagram.transport)
        return checksum.isValid
    }
}
