// SPDX-License-Identifier: Apache-2.0

/// Numbers of the Ethernet II header (IEEE 802.3; IANA ieee-802-numbers).
package enum Ethernet {
    package static var headerLength: Int { 14 }
    package static var typeIPv4: UInt16 { 0x0800 }
    package static var typeARP: UInt16 { 0x0806 }
    package static var typeIPv6: UInt16 { 0x86dd }

    @inline(__always)
    static func writeHeader(to bytes: MutableByteView, destination: MACAddress, source: MACAddress, type: UInt16) {
        bytes.setMAC(0, destination)
        bytes.setMAC(6, source)
        bytes.set16(12, type)
    }
}

/// An ARP message for IPv4 over Ethernet (RFC 826), 28 bytes.
package struct ARPMessage: BitwiseCopyable {
    package static var length: Int { 28 }
    static var request: UInt16 { 1 }
    static var reply: UInt16 { 2 }

    var operation: UInt16
    var senderMAC: MACAddress
    var senderAddress: InternetAddress
    var targetMAC: MACAddress
    var targetAddress: InternetAddress

    init(
        operation: UInt16, senderMAC: MACAddress, senderAddress: InternetAddress, targetMAC: MACAddress,
        targetAddress: InternetAddress
    ) {
        self.operation = operation
        self.senderMAC = senderMAC
        self.senderAddress = senderAddress
        self.targetMAC = targetMAC
        self.targetAddress = targetAddress
    }

    /// Nil unless it is Ethernet (1) and IPv4 (0x0800) with address lengths 6 and 4.
    init?(_ bytes: ByteView) {
        guard bytes.count >= Self.length, bytes.u64(0) >> 16 == 0x0001_0800_0604 else { return nil }
        operation = bytes.u16(6)
        senderMAC = bytes.mac(8)
        senderAddress = bytes.ipv4Address(14)
        targetMAC = bytes.mac(18)
        targetAddress = bytes.ipv4Address(24)
    }

    func write(to bytes: MutableByteView) {
        bytes.set64(0, 0x0001_0800_0604 << 16 | UInt64(operation))
        bytes.setMAC(8, senderMAC)
        bytes.set32(14, senderAddress.ipv4)
        bytes.setMAC(18, targetMAC)
        bytes.set32(24, targetAddress.ipv4)
    }
}
