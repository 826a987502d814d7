// SPDX-License-Identifier: Apache-2.0

/// An IPv4 or IPv6 address as 128 bits in host order; IPv4 is held in its mapped form `::ffff:a.b.c.d`.
///
/// One type for both families keeps the flow table, the policy and the events family-blind. The mapped form cannot
/// be smuggled in from the wire: an IPv6 packet that carries one is dropped before it becomes an `InternetAddress`
/// comparison (RFC 4942, section 2.2: mapped addresses on the wire bypass address filters).
package struct InternetAddress: Hashable, BitwiseCopyable, Sendable {
    package var high: UInt64
    package var low: UInt64

    @inline(__always)
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter ipv4: host order, so that 10.0.2.2 is 0x0a000202.
    @inline(__always)
    package init(ipv4: UInt32) {
        high = 0
        low = 0xffff_0000_0000 | UInt64(ipv4)
    }

    package init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// `::` and, by its mapped form, not 0.0.0.0.
    package static var unspecifiedIPv6: InternetAddress { InternetAddress(high: 0, low: 0) }

    @inline(__always)
    package var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The low 32 bits: the IPv4 address in host order when `isIPv4`.
    @inline(__always)
    package var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

    package var isUnspecified: Bool { isIPv4 ? ipv4 == 0 : (high | low) == 0 }

    /// 127/8 or ::1.
    package var isLoopback: Bool { isIPv4 ? ipv4 >> 24 == 127 : high == 0 && low == 1 }

    /// 224/4, the limited broadcast address and the reserved 240/4 around it, or ff00::/8.
    @inline(__always)
    package var isMulticastOrReserved: Bool { isIPv4 ? ipv4 >> 28 >= 14 : high >> 56 == 0xff }

    /// 169.254/16 or fe80::/10.
    @inline(__always)
    package var isLinkLocal: Bool { isIPv4 ? ipv4 >> 16 == 0xa9fe : high >> 54 == 0xfe80 >> 6 }

    /// The solicited-node multicast group of an IPv6 address (RFC 4291, section 2.7.1).
    package var solicitedNode: InternetAddress {
        InternetAddress(high: 0xff02_0000_0000_0000, low: 0x1_ff00_0000 | (low & 0xff_ffff))
    }
}

extension InternetAddress: CustomStringConvertible {
    /// Dotted quad, or eight colon-separated groups without compression.
    package var description: String {
        if isIPv4 { return "\(ipv4 >> 24).\(ipv4 >> 16 & 255).\(ipv4 >> 8 & 255).\(ipv4 & 255)" }
        var text = ""
        for i in 0..<8 {
            let word = i < 4 ? high : low
            if i > 0 { text += ":" }
            text += String(word >> UInt64(48 - (i & 3) * 16) & 0xffff, radix: 16)
        }
        return text
    }
}

/// An address and a port (or, for echo, an identifier), both in host order.
package struct InternetEndpoint: Hashable, BitwiseCopyable, Sendable {
    package var address: InternetAddress
    package var port: UInt16

    @inline(__always)
    package init(_ address: InternetAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// A range of addresses that share their first bits.
package struct InternetPrefix: Hashable, BitwiseCopyable, Sendable {
    package let address: InternetAddress
    /// Leading bits of the 128-bit form, 0...128.
    private let length: UInt8

    /// - Parameter length: prefix length as written for the address's family: 0...32 or 0...128.
    package init(_ address: InternetAddress, _ length: Int) {
        precondition(length >= 0 && length <= (address.isIPv4 ? 32 : 128))
        self.address = address
        self.length = UInt8(address.isIPv4 ? length + 96 : length)
    }

    @inline(__always)
    package func contains(_ other: InternetAddress) -> Bool {
        // Swift's smart shifts yield 0 when the shift is the whole width.
        if length <= 64 { return (address.high ^ other.high) >> UInt64(64 - length) == 0 }
        return address.high == other.high && (address.low ^ other.low) >> UInt64(128 - length) == 0
    }
}

/// An Ethernet address in the low 48 bits, first octet on the wire uppermost.
package struct MACAddress: Hashable, BitwiseCopyable, Sendable {
    package let value: UInt64

    package init(_ value: UInt64) { self.value = value & 0xffff_ffff_ffff }

    package static var broadcast: MACAddress { MACAddress(0xffff_ffff_ffff) }

    /// True for multicast and broadcast.
    package var isGroup: Bool { value >> 40 & 1 == 1 }

    /// The link-local IPv6 address made from the modified EUI-64 (RFC 4291, appendix A).
    package var linkLocal: InternetAddress {
        let upper = (value >> 24 ^ 0x02_0000) & 0xff_ffff
        return InternetAddress(
            high: 0xfe80_0000_0000_0000, low: upper << 40 | 0xff_fe00_0000 | (value & 0xff_ffff))
    }
}

extension ByteView {
    @inline(__always)
    package func ipv4Address(_ offset: Int) -> InternetAddress { InternetAddress(ipv4: u32(offset)) }

    @inline(__always)
    package func ipv6Address(_ offset: Int) -> InternetAddress {
        InternetAddress(high: u64(offset), low: u64(offset + 8))
    }

    package func mac(_ offset: Int) -> MACAddress {
        MACAddress(UInt64(u16(offset)) << 32 | UInt64(u32(offset + 2)))
    }
}

extension MutableByteView {
    @inline(__always)
    package func setMAC(_ offset: Int, _ mac: MACAddress) {
        set16(offset, UInt16(truncatingIfNeeded: mac.value >> 32))
        set32(offset + 2, UInt32(truncatingIfNeeded: mac.value))
    }

    @inline(__always)
    package func setIPv6(_ offset: Int, _ address: InternetAddress) {
        set64(offset, address.high)
        set64(offset + 8, address.low)
    }
}
