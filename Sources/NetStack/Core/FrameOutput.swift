// SPDX-License-Identifier: Apache-2.0

// Frames that belong to no flow, built in the control queue.

extension NetStack {
    /// Space for `length` bytes behind a complete virtio and Ethernet header, or nil (and counted) when the queue is
    /// full. The frame is queued by `controlFrames.commit()`.
    mutating func reserveFrame(_ type: UInt16, _ length: Int, to destination: MACAddress) -> MutableByteView? {
        guard let frame = controlFrames.reserve(linkHeaderLength + length) else {
            counters.count(.dropQueueFull)
            return nil
        }
        VirtioNetHeader().write(to: frame, length: configuration.virtioHeaderLength)
        Ethernet.writeHeader(
            to: frame.from(configuration.virtioHeaderLength), destination: destination,
            source: configuration.gatewayMAC, type: type)
        return frame.from(linkHeaderLength)
    }

    /// The Ethernet destination for `address`: the guest, or its group (RFC 2464, section 7).
    func linkDestination(_ address: InternetAddress) -> MACAddress {
        if !address.isIPv4 && address.isMulticastOrReserved {
            return MACAddress(0x3333_0000_0000 | (address.low & 0xffff_ffff))
        }
        return guestMAC
    }

    /// The next value for the Identification field of a packet that may be fragmented.
    mutating func nextIdentification() -> UInt32 {
        identification &+= 1
        return identification
    }

    /// Queues an ICMP or ICMPv6 message, in fragments when it does not fit the MTU.
    /// - Parameters:
    ///   - header: the first eight octets as a big-endian number; the checksum in it is replaced.
    ///   - data: what follows.
    mutating func sendICMP(
        from source: InternetAddress, to destination: InternetAddress, header: UInt64, data: ByteView,
        hopLimit: UInt8 = 64
    ) {
        let isIPv4 = source.isIPv4
        let number = isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6
        let length = 8 + data.count
        guard length <= 65_535 - 20 else {
            counters.count(.dropQueueFull)
            return
        }
        var checksum = InternetChecksum()
        if !isIPv4 {
            checksum.addPseudoHeader(
                source: source, destination: destination, protocolNumber: number, length: length)
        }
        let cleared = header & 0xffff_0000_ffff_ffff
        checksum.add(UInt32(truncatingIfNeeded: cleared >> 32))
        checksum.add(UInt32(truncatingIfNeeded: cleared))
        checksum.add(data)
        let first = cleared | UInt64(checksum.value) << 32

        let type = isIPv4 ? Ethernet.typeIPv4 : Ethernet.typeIPv6
        let headerLength = isIPv4 ? IPv4Header.minimumLength : IPv6Header.length
        let fits = headerLength + length <= configuration.mtu
        let identification = fits ? 0 : nextIdentification()
        let fragmentHeader = fits || isIPv4 ? 0 : 8
        let chunk = fits ? length : (configuration.mtu - headerLength - fragmentHeader) & ~7
        var offset = 0
        while offset < length {
            let size = min(chunk, length - offset)
            let more = offset + size < length
            guard
                let packet = reserveFrame(
                    type, headerLength + fragmentHeader + size, to: linkDestination(destination))
            else { return }
            if isIPv4 {
                IPv4Header.write(
                    to: packet, totalLength: headerLength + size,
                    identification: UInt16(truncatingIfNeeded: identification),
                    fragment: UInt16(offset / 8) | (more ? 0x2000 : 0), protocolNumber: number, source: source,
                    destination: destination)
            } else {
                IPv6Header.write(
                    to: packet, payloadLength: fragmentHeader + size,
                    nextHeader: fits ? number : IPProtocol.fragment, hopLimit: hopLimit, source: source,
                    destination: destination)
                if !fits {
                    packet.set16(40, UInt16(number) << 8)
                    packet.set16(42, UInt16(offset) | (more ? 1 : 0))
                    packet.set32(44, identification)
                }
            }
            let body = packet.from(headerLength + fragmentHeader)
            if offset == 0 {
                body.set64(0, first)
                body.copy(data.slice(0, size - 8), at: 8)
            } else {
                body.copy(data.slice(offset - 8, size), at: 0)
            }
            controlFrames.commit()
            offset += size
        }
    }
}
