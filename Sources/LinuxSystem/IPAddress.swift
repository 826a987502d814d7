// SPDX-License-Identifier: Apache-2.0
import CLinux

/// An IPv4 or IPv6 address. IPv4 is kept v4-mapped (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2), so that one table and
/// one wire format serve both; a v4-mapped IPv6 address therefore *is* the IPv4 address.
public struct IPAddress: Hashable, Sendable {
    /// The first 64 bits, as a number (host order).
    public var high: UInt64
    /// The last 64 bits, as a number (host order).
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address from its number in host order: 127.0.0.1 is 0x7f00_0001.
    public init(ipv4: UInt32) { self.init(high: 0, low: 0xffff_0000_0000 | UInt64(ipv4)) }

    /// The textual form of RFC 4291 §2.2 or a dotted quad, without brackets, zone or leading zeros in IPv4.
    public init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        self.init(six)
    }

    package init(_ raw: in6_addr) {
        let halves = unsafeBitCast(raw, to: (UInt64, UInt64).self)
        self.init(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1))
    }

    package var raw: in6_addr { unsafeBitCast((high.bigEndian, low.bigEndian), to: in6_addr.self) }

    public static let anyIPv4 = IPAddress(ipv4: 0)
    public static let loopbackIPv4 = IPAddress(ipv4: 0x7f00_0001)
    public static let loopbackIPv6 = IPAddress(high: 0, low: 1)
    public static let anyIPv6 = IPAddress(high: 0, low: 0)

    public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }
    /// The IPv4 number in host order; meaningful only if `isIPv4`.
    public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }
    public var isUnspecified: Bool { self == .anyIPv4 || self == .anyIPv6 }
    /// 127.0.0.0/8 or ::1.
    public var isLoopback: Bool { isIPv4 ? ipv4 >> 24 == 127 : high == 0 && low == 1 }
    /// 169.254.0.0/16 or fe80::/10: meaningful on one link only.
    public var isLinkLocal: Bool { isIPv4 ? ipv4 >> 16 == 0xa9fe : high >> 54 == 0x3fa }
    /// 224.0.0.0/4, 255.255.255.255 or ff00::/8.
    public var isMulticastOrBroadcast: Bool {
        isIPv4 ? ipv4 >> 28 == 0xe || ipv4 == .max : high >> 56 == 0xff
    }

    /// The address bytes in network order: 4 for IPv4, 16 for IPv6.
    public var bytes: [UInt8] {
        let all = withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { Array($0) }
        return isIPv4 ? Array(all[12...]) : all
    }
}

extension IPAddress: CustomStringConvertible {
    public var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if isIPv4 {
            var four = in_addr(s_addr: ipv4.bigEndian)
            _ = inet_ntop(AF_INET, &four, &text, socklen_t(text.count))
        } else {
            var six = raw
            _ = inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
