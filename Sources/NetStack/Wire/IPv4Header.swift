// SPDX-License-Identifier: Apache-2.0

/// IP protocol numbers (IANA protocol-numbers) that the stack acts on.
package enum IPProtocol {
    package static var hopByHop: UInt8 { 0 }
    package static var icmp: UInt8 { 1 }
    package static var tcp: UInt8 { 6 }
    package static var udp: UInt8 { 17 }
    package static var routing: UInt8 { 43 }
    package static var fragment: UInt8 { 44 }
    package static var icmpv6: UInt8 { 58 }
    package static var noNextHeader: UInt8 { 59 }
    package static var destinationOptions: UInt8 { 60 }
}

/// A decoded IPv4 header (RFC 791, section 3.1).
package struct IPv4Header: BitwiseCopyable {
    package static var minimumLength: Int { 20 }

    /// Bytes, options included: 20...60.
    package let headerLength: Int
    /// Bytes of header and payload, at most the length of the decoded view.
    package let totalLength: Int
    package let identification: UInt16
    package let dontFragment: Bool
    package let moreFragments: Bool
    /// Bytes from the start of the original payload.
    package let fragmentOffset: Int
    package let timeToLive: UInt8
    package let protocolNumber: UInt8
    package let source: InternetAddress
    package let destination: InternetAddress

    /// Why a header was not accepted.
    package enum Rejection: Error { case malformed, badChecksum, sourceRoute }

    package init(_ bytes: ByteView) throws(Rejection) {
        guard bytes.count >= Self.minimumLength, bytes.u8(0) >> 4 == 4 else { throw .malformed }
        headerLength = Int(bytes.u8(0) & 15) * 4
        totalLength = Int(bytes.u16(2))
        guard headerLength >= Self.minimumLength, headerLength <= totalLength, totalLength <= bytes.count else {
            throw .malformed
        }
        identification = bytes.u16(4)
        let fragment = bytes.u16(6)
        // The reserved bit (RFC 3514 aside) must be zero.
        guard fragment & 0x8000 == 0 else { throw .malformed }
        dontFragment = fragment & 0x4000 != 0
        moreFragments = fragment & 0x2000 != 0
        fragmentOffset = Int(fragment & 0x1fff) * 8
        timeToLive = bytes.u8(8)
        protocolNumber = bytes.u8(9)
        source = bytes.ipv4Address(12)
        destination = bytes.ipv4Address(16)
        var checksum = InternetChecksum()
        checksum.add(bytes.slice(0, headerLength))
        guard checksum.isValid else { throw .badChecksum }
        if headerLength > Self.minimumLength { try Self.checkOptions(bytes.slice(20, headerLength - 20)) }
    }

    /// Walks the options: source routes are refused (RFC 7126, sections 4.3 and 4.4: they route around filters), all
    /// others are passed over by length.
    private static func checkOptions(_ options: ByteView) throws(Rejection) {
        var offset = 0
        while offset < options.count {
            let kind = options.u8(offset)
            if kind == 0 { return }
            if kind == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < options.count else { throw .malformed }
            let length = Int(options.u8(offset + 1))
            guard length >= 2, length <= options.count - offset else { throw .malformed }
            if kind == 131 || kind == 137 { throw .sourceRoute }
            offset += length
        }
    }

    /// Writes a 20-byte header with its checksum.
    /// - Parameters:
    ///   - totalLength: bytes of header and payload, at most 65535.
    ///   - fragment: the flags and offset word, 0x4000 being don't-fragment.
    @inline(__always)
    package static func write(
        to bytes: MutableByteView, totalLength: Int, identification: UInt16, fragment: UInt16,
        protocolNumber: UInt8, source: InternetAddress, destination: InternetAddress
    ) {
        bytes.set16(0, 0x4500)
        bytes.set16(2, UInt16(totalLength))
        bytes.set16(4, identification)
        bytes.set16(6, fragment)
        bytes.set8(8, 64)
        bytes.set8(9, protocolNumber)
        bytes.set16(10, 0)
        bytes.set32(12, source.ipv4)
        bytes.set32(16, destination.ipv4)
        var checksum = InternetChecksum()
        checksum.add(bytes.readOnly.prefix(20))
        bytes.set16(10, checksum.value)
    }
}
