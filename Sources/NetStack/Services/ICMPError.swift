// SPDX-License-Identifier: Apache-2.0

/// An error report to the guest, in words that both families share.
package enum ICMPError: BitwiseCopyable, Equatable, Sendable {
    case networkUnreachable
    case hostUnreachable
    case protocolUnreachable
    case portUnreachable
    /// Fragmentation needed (RFC 1191) or packet too big (RFC 4443): the value is the path MTU.
    case packetTooBig(mtu: Int)
    case adminProhibited
    case hopLimitExceeded
    case reassemblyTimeExceeded
    case parameterProblem(code: UInt8, pointer: Int)

    /// Type, code and the four octets behind the checksum (RFC 792; RFC 4443) as the message's first eight octets.
    func header(isIPv4: Bool) -> UInt64 {
        let type: UInt64
        let code: UInt64
        var rest: UInt64 = 0
        switch self {
        case .networkUnreachable: (type, code) = isIPv4 ? (3, 0) : (1, 0)
        case .hostUnreachable: (type, code) = isIPv4 ? (3, 1) : (1, 3)
        case .protocolUnreachable: (type, code) = isIPv4 ? (3, 2) : (4, 1)
        case .portUnreachable: (type, code) = isIPv4 ? (3, 3) : (1, 4)
        case .packetTooBig(let mtu):
            (type, code) = isIPv4 ? (3, 4) : (2, 0)
            rest = UInt64(clamping: isIPv4 ? min(mtu, 65_535) : mtu) & 0xffff_ffff
        case .adminProhibited: (type, code) = isIPv4 ? (3, 13) : (1, 1)
        case .hopLimitExceeded: (type, code) = isIPv4 ? (11, 0) : (3, 0)
        case .reassemblyTimeExceeded: (type, code) = isIPv4 ? (11, 1) : (3, 1)
        case .parameterProblem(let problem, let pointer):
            (type, code) = isIPv4 ? (12, 0) : (4, UInt64(problem))
            rest = UInt64(clamping: pointer)
            if isIPv4 { rest = (rest & 255) << 24 }
        }
        return type << 56 | code << 48 | rest
    }
}

extension NetStack {
    /// Reports `error` about a packet just received, quoting as much of it as fits the minimum MTU (RFC 1812,
    /// section 4.3.2.3; RFC 4443, section 2.4).
    mutating func reportError(_ error: ICMPError, about datagram: InternetDatagram) {
        // Never about a reassembled packet's missing header, nor about another error (RFC 1122, section 3.2.2).
        guard datagram.packet.count > 0, !isICMPError(datagram) else { return }
        report(
            error, to: datagram.source, from: errorSource(error, datagram.destination), quoting: datagram.packet)
    }

    /// Reports `error` about a packet just received, quoting it, or its rebuilt header when it came in fragments.
    mutating func reportError(
        _ error: ICMPError, about datagram: InternetDatagram, from source: InternetEndpoint,
        to destination: InternetEndpoint, detail: UInt32
    ) {
        if datagram.packet.count > 0 {
            reportError(error, about: datagram)
        } else {
            reportError(
                error, protocolNumber: datagram.protocolNumber, from: source, to: destination, detail: detail)
        }
    }

    /// Reports `error` about a packet that is gone, quoting a header rebuilt from what is known of it. Receivers find
    /// the socket by the quoted addresses, ports and sequence number.
    /// - Parameter detail: the third and fourth octet pairs of the transport header: TCP's sequence number, UDP's length
    ///   and checksum.
    mutating func reportError(
        _ error: ICMPError, protocolNumber: UInt8, from source: InternetEndpoint, to destination: InternetEndpoint,
        detail: UInt32
    ) {
        let quote = MutableByteView(scratch)
        let isIPv4 = source.address.isIPv4
        let headerLength = isIPv4 ? IPv4Header.minimumLength : IPv6Header.length
        if isIPv4 {
            IPv4Header.write(
                to: quote, totalLength: headerLength + 8, identification: 0, fragment: 0x4000,
                protocolNumber: protocolNumber, source: source.address, destination: destination.address)
        } else {
            IPv6Header.write(
                to: quote, payloadLength: 8, nextHeader: protocolNumber, hopLimit: 64, source: source.address,
                destination: destination.address)
        }
        if protocolNumber == IPProtocol.icmp || protocolNumber == IPProtocol.icmpv6 {
            // An echo request: type and code, no checksum, identifier, sequence.
            quote.set32(headerLength, isIPv4 ? 8 << 24 : 128 << 24)
            quote.set16(headerLength + 4, source.port)
            quote.set16(headerLength + 6, UInt16(truncatingIfNeeded: detail))
        } else {
            quote.set16(headerLength, source.port)
            quote.set16(headerLength + 2, destination.port)
            quote.set32(headerLength + 4, detail)
        }
        report(
            error, to: source.address, from: errorSource(error, destination.address),
            quoting: quote.readOnly.prefix(headerLength + 8))
    }

    private mutating func report(
        _ error: ICMPError, to guest: InternetAddress, from source: InternetAddress, quoting packet: ByteView
    ) {
        guard !guest.isUnspecified, !guest.isMulticastOrReserved else { return }
        guard errorBucket.take(now) else {
            counters.count(.dropRateLimited)
            return
        }
        counters.count(.icmpErrorsSent)
        let limit = guest.isIPv4 ? 576 - 28 : 1280 - 48
        sendICMP(
            from: source, to: guest, header: error.header(isIPv4: guest.isIPv4), data: packet.prefix(limit))
    }

    /// A closed port is reported by the host that has it, everything else by the router in between.
    private func errorSource(_ error: ICMPError, _ destination: InternetAddress) -> InternetAddress {
        if (error == .portUnreachable || error == .protocolUnreachable) && !destination.isMulticastOrReserved {
            return destination
        }
        if destination.isIPv4 { return configuration.ipv4?.gateway ?? destination }
        return configuration.ipv6?.gateway ?? destination
    }

    private func isICMPError(_ datagram: InternetDatagram) -> Bool {
        guard datagram.transport.count > 0 else { return false }
        let type = datagram.transport.u8(0)
        switch datagram.protocolNumber {
        case IPProtocol.icmp: return type != 8 && type != 0 && type != 13 && type != 14
        case IPProtocol.icmpv6: return type < 128
        default: return false
        }
    }
}
