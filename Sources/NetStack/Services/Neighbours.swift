// SPDX-License-Identifier: Apache-2.0

// Address resolution for the stack's own addresses. Nothing is learned from these messages but the guest's MAC address:
// there is one guest on the wire, so a neighbour table would have one entry.

extension NetStack {
    /// Answers requests for the gateway and DNS addresses, probes (RFC 5227) included.
    mutating func receiveARP(_ bytes: ByteView) {
        guard let message = ARPMessage(bytes), !message.senderMAC.isGroup else {
            counters.count(.dropMalformedARP)
            return
        }
        guard message.operation == ARPMessage.request, let subnet = configuration.ipv4,
            message.targetAddress == subnet.gateway || message.targetAddress == subnet.dns,
            message.senderAddress != message.targetAddress
        else { return }
        let answer = ARPMessage(
            operation: ARPMessage.reply, senderMAC: configuration.gatewayMAC, senderAddress: message.targetAddress,
            targetMAC: message.senderMAC, targetAddress: message.senderAddress)
        guard let frame = reserveFrame(Ethernet.typeARP, ARPMessage.length, to: message.senderMAC) else { return }
        answer.write(to: frame)
        controlFrames.commit()
    }

    /// Whether `address` is one of the stack's own.
    func isOwnAddress(_ address: InternetAddress) -> Bool {
        if address.isIPv4 {
            guard let subnet = configuration.ipv4 else { return false }
            return address == subnet.gateway || address == subnet.dns
        }
        guard let subnet = configuration.ipv6 else { return false }
        return address == subnet.gateway || address == subnet.dns || address == gatewayLinkLocal
    }

    /// Answers a neighbour solicitation (RFC 4861, section 7.2.4) for one of the stack's addresses.
    mutating func receiveNeighbourSolicitation(_ datagram: InternetDatagram) {
        let message = datagram.transport
        // RFC 4861, section 7.1.1: a hop limit of 255 proves that the sender is on the link.
        guard datagram.hopLimit == 255, message.count >= 24, message.u8(1) == 0 else {
            counters.count(.dropMalformedICMP)
            return
        }
        let target = message.ipv6Address(8)
        guard !target.isMulticastOrReserved, neighbourOptionsAreSound(message.from(24)) else {
            counters.count(.dropMalformedICMP)
            return
        }
        guard isOwnAddress(target) else { return }
        let isProbe = datagram.source.isUnspecified
        let destination =
            isProbe ? InternetAddress(high: 0xff02_0000_0000_0000, low: 1) : datagram.source
        // Router, solicited (unless it answers duplicate address detection) and override flags.
        let flags: UInt64 = isProbe ? 0xa000_0000 : 0xe000_0000
        let body = MutableByteView(scratch)
        body.setIPv6(0, target)
        body.set16(16, 0x0201)
        body.setMAC(18, configuration.gatewayMAC)
        sendICMP(
            from: target, to: destination, header: 136 << 56 | flags, data: body.readOnly.prefix(24), hopLimit: 255)
    }

    private func neighbourOptionsAreSound(_ options: ByteView) -> Bool {
        var offset = 0
        while offset < options.count {
            guard offset + 2 <= options.count else { return false }
            let length = Int(options.u8(offset + 1)) * 8
            guard length > 0, length <= options.count - offset else { return false }
            offset += length
        }
        return true
    }
}
