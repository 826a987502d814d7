// SPDX-License-Identifier: Apache-2.0

extension NetStack {
    /// ICMP from the guest (RFC 792): echo requests are served, everything else is ignored and counted.
    mutating func receiveICMP(_ datagram: InternetDatagram) {
        let message = datagram.transport
        guard message.count >= 8 else {
            counters.count(.dropMalformedICMP)
            return
        }
        guard checksumIsGood(datagram, field: 2, hasPseudoHeader: false) else {
            counters.count(.dropICMPChecksum)
            return
        }
        switch (message.u8(0), message.u8(1)) {
        case (8, 0): receiveEchoRequest(datagram, replyHeader: 0)
        case (3, _), (11, _), (12, _): counters.count(.icmpErrorsIgnored)
        default: counters.count(.dropIgnoredICMP)
        }
    }

    /// ICMPv6 from the guest (RFC 4443): echo requests and neighbour solicitations are served. Router solicitations and
    /// multicast listener reports need no answer on a link with static configuration.
    mutating func receiveICMPv6(_ datagram: InternetDatagram) {
        let message = datagram.transport
        guard message.count >= 8 else {
            counters.count(.dropMalformedICMP)
            return
        }
        guard checksumIsGood(datagram, field: 2) else {
            counters.count(.dropICMPChecksum)
            return
        }
        switch message.u8(0) {
        case 128 where message.u8(1) == 0 && !datagram.destination.isMulticastOrReserved:
            receiveEchoRequest(datagram, replyHeader: 129 << 56)
        case 135: receiveNeighbourSolicitation(datagram)
        case 1...4: counters.count(.icmpErrorsIgnored)
        default: counters.count(.dropIgnoredICMP)
        }
    }

    /// Answers for the stack's own addresses; for others the caller's ping socket asks (a reply is never invented).
    private mutating func receiveEchoRequest(_ datagram: InternetDatagram, replyHeader: UInt64) {
        let message = datagram.transport
        if isOwnAddress(datagram.destination) {
            sendICMP(
                from: datagram.destination, to: datagram.source,
                header: replyHeader | UInt64(message.u32(4)), data: message.from(8))
            return
        }
        // The guest's link-local address means nothing beyond the link.
        guard !datagram.source.isLinkLocal, !datagram.source.isUnspecified else {
            counters.count(.dropForeignSource)
            return
        }
        let verdict = policy.verdict(InternetEndpoint(datagram.destination, 0), .echo)
        guard verdict == .allow else {
            counters.count(.dropPolicy)
            if let error = verdict.icmpError(refused: .adminProhibited) {
                reportEchoError(error, about: datagram)
            }
            return
        }
        guard
            let id = mapping(
                for: InternetEndpoint(datagram.source, message.u16(4)), kind: .echo,
                to: datagram.destination)
        else { return }
        events.append(
            .echoRequest(
                id, destination: datagram.destination, sequence: message.u16(6), payload: message.from(8)))
    }

    private mutating func reportEchoError(_ error: ICMPError, about datagram: InternetDatagram) {
        if error == .adminProhibited {
            // A ping that is not permitted repeats every second; so does the answer, at most.
            guard echoRefusalBucket.take(now) else {
                counters.count(.dropRateLimited)
                return
            }
        }
        reportError(error, about: datagram)
    }

    /// Sends the guest the reply to an echo request.
    /// - Parameters:
    ///   - source: who replied.
    ///   - payload: what followed the sequence number in the reply.
    package mutating func replyEcho(
        _ id: MappingID, from source: InternetAddress, sequence: UInt16, payload: UnsafeRawBufferPointer,
        now: MonotonicTime
    ) {
        self.now = now
        guard let mapping = mappings.records.find(id), mapping.pointee.kind == .echo,
            mapping.pointee.source.address.isIPv4 == source.isIPv4
        else { return }
        guard admits(mapping, source) else {
            counters.count(.udpFiltered)
            return
        }
        noteReply(id.index)
        let type: UInt64 = source.isIPv4 ? 0 : 129
        sendICMP(
            from: source, to: mapping.pointee.source.address,
            header: type << 56 | UInt64(mapping.pointee.source.port) << 16 | UInt64(sequence),
            data: ByteView(payload))
    }

    /// Tells the guest that an echo request has failed: `.adminProhibited` when the host permits no ping sockets (at most
    /// once a second), `.hostUnreachable` and the like as the host reported them.
    package mutating func failEcho(
        _ id: MappingID, destination: InternetAddress, sequence: UInt16, error: ICMPError, now: MonotonicTime
    ) {
        self.now = now
        guard let mapping = mappings.records.find(id), mapping.pointee.kind == .echo,
            mapping.pointee.source.address.isIPv4 == destination.isIPv4
        else { return }
        if error == .adminProhibited {
            guard echoRefusalBucket.take(now) else {
                counters.count(.dropRateLimited)
                return
            }
        }
        let number = destination.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6
        reportError(
            error, protocolNumber: number, from: mapping.pointee.source, to: InternetEndpoint(destination, 0),
            detail: UInt32(sequence))
    }
}

extension DestinationPolicy.Verdict {
    /// The error that tells the guest, nil for `allow` and `drop`.
    func icmpError(refused: ICMPError) -> ICMPError? {
        switch self {
        case .allow, .drop: nil
        case .refuse: refused
        case .adminProhibited: .adminProhibited
        case .hostUnreachable: .hostUnreachable
        case .networkUnreachable: .networkUnreachable
        }
    }
}
