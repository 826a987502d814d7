// SPDX-License-Identifier: Apache-2.0

/// A decoded IPv6 header and its extension headers (RFC 8200, sections 3 and 4).
package struct IPv6Header: BitwiseCopyable {
    package static var length: Int { 40 }
    static var maximumExtensions: Int { 8 }
    static var maximumExtensionBytes: Int { 512 }

    package let hopLimit: UInt8
    package let source: InternetAddress
    package let destination: InternetAddress
    /// Bytes of the base header and payload, at most the length of the decoded view.
    package let totalLength: Int
    /// The first header that is not an extension, or, for a fragment, the one that follows the fragment header.
    package private(set) var upperProtocol: UInt8
    /// Where that header starts, from the start of the packet.
    package private(set) var upperOffset: Int
    /// Offset in the packet of the Next Header field that names `upperProtocol`: where a parameter problem points.
    private(set) var nextHeaderOffset = 6
    package private(set) var isFragment = false
    package private(set) var identification: UInt32 = 0
    package private(set) var moreFragments = false
    /// Bytes from the start of the fragmentable part.
    package private(set) var fragmentOffset = 0

    /// Why a packet was not accepted; a parameter problem is answered with its code and pointer (RFC 4443, section 3.4).
    package enum Rejection: Error {
        case malformed
        case mappedAddress
        case discard
        case parameterProblem(code: UInt8, pointer: Int)
    }

    package init(_ bytes: ByteView) throws(Rejection) {
        guard bytes.count >= Self.length, bytes.u8(0) >> 4 == 6 else { throw .malformed }
        totalLength = Self.length + Int(bytes.u16(4))
        guard totalLength <= bytes.count else { throw .malformed }
        upperProtocol = bytes.u8(6)
        hopLimit = bytes.u8(7)
        source = bytes.ipv6Address(8)
        destination = bytes.ipv6Address(24)
        upperOffset = Self.length
        guard !source.isIPv4, !destination.isIPv4 else { throw .mappedAddress }
        try walkExtensions(bytes.prefix(totalLength))
    }

    /// Walks to the first header that is not an extension, at most 8 headers and 512 bytes far (RFC 8504, section 5.3,
    /// lets a host limit both), or to the fragmentable part of a fragment.
    private mutating func walkExtensions(_ bytes: ByteView) throws(Rejection) {
        var extensions = 0
        while true {
            switch upperProtocol {
            case IPProtocol.hopByHop:
                // Only directly after the base header.
                guard extensions == 0 else {
                    throw .parameterProblem(code: 1, pointer: nextHeaderOffset)
                }
                try Self.checkOptions(bytes, at: upperOffset)
            case IPProtocol.destinationOptions:
                try Self.checkOptions(bytes, at: upperOffset)
            case IPProtocol.routing:
                guard upperOffset + 8 <= bytes.count else { throw .malformed }
                // Type 0 is deprecated as an amplifier (RFC 5095) whatever its segments; of the others only a route
                // that has ended may be ignored.
                if bytes.u8(upperOffset + 2) == 0 || bytes.u8(upperOffset + 3) != 0 {
                    throw .parameterProblem(code: 0, pointer: upperOffset + 2)
                }
            case IPProtocol.fragment:
                guard upperOffset + 8 <= bytes.count else { throw .malformed }
                let word = bytes.u16(upperOffset + 2)
                fragmentOffset = Int(word & 0xfff8)
                moreFragments = word & 1 != 0
                identification = bytes.u32(upperOffset + 4)
                isFragment = fragmentOffset != 0 || moreFragments
                let next = bytes.u8(upperOffset)
                nextHeaderOffset = upperOffset
                upperOffset += 8
                upperProtocol = next
                extensions += 1
                // What a fragment's bytes mean is known only after reassembly. An atomic fragment (RFC 6946) goes on.
                if isFragment { return }
                guard extensions <= Self.maximumExtensions else { throw .discard }
                continue
            default:
                return
            }
            guard upperOffset + 8 <= bytes.count else { throw .malformed }
            let length = (Int(bytes.u8(upperOffset + 1)) + 1) * 8
            guard length <= bytes.count - upperOffset else { throw .malformed }
            extensions += 1
            let next = bytes.u8(upperOffset)
            nextHeaderOffset = upperOffset
            upperOffset += length
            upperProtocol = next
            guard extensions <= Self.maximumExtensions,
                upperOffset - Self.length <= Self.maximumExtensionBytes
            else { throw .discard }
        }
    }

    /// Options of a hop-by-hop or destination header; an unknown one acts by its two top bits (RFC 8200, section 4.2).
    private static func checkOptions(_ bytes: ByteView, at header: Int) throws(Rejection) {
        guard header + 8 <= bytes.count else { throw .malformed }
        let length = (Int(bytes.u8(header + 1)) + 1) * 8
        guard length <= bytes.count - header else { throw .malformed }
        var offset = header + 2
        let end = header + length
        while offset < end {
            let kind = bytes.u8(offset)
            if kind == 0 {
                offset += 1
                continue
            }
            guard offset + 1 < end else { throw .malformed }
            let optionLength = Int(bytes.u8(offset + 1)) + 2
            guard optionLength <= end - offset else { throw .malformed }
            // PadN and router alert are harmless. A jumbo payload (0xc2) needs lengths this stack refuses, and as an
            // unknown option its top bits ask for exactly the parameter problem below.
            if kind != 1 && kind != 5 {
                switch kind >> 6 {
                case 0: break
                case 1: throw .discard
                default: throw .parameterProblem(code: 2, pointer: offset)
                }
            }
            offset += optionLength
        }
    }

    /// Continues behind the fragment header of a reassembled packet: `bytes` is the fragmentable part, `protocolNumber`
    /// its first header. Returns the transport protocol and its bytes.
    static func upperLayer(
        of bytes: ByteView, protocolNumber: UInt8
    ) throws(Rejection) -> (protocolNumber: UInt8, offset: Int) {
        var number = protocolNumber
        var offset = 0
        var extensions = 0
        while number == IPProtocol.destinationOptions {
            try checkOptions(bytes, at: offset)
            extensions += 1
            guard extensions <= maximumExtensions else { throw .discard }
            number = bytes.u8(offset)
            offset += (Int(bytes.u8(offset + 1)) + 1) * 8
            guard offset <= maximumExtensionBytes else { throw .discard }
        }
        // Routing or nested fragment headers inside a fragmented part only occur in attacks.
        if number == IPProtocol.routing || number == IPProtocol.fragment || number == IPProtocol.hopByHop {
            throw .discard
        }
        return (number, offset)
    }

    /// Writes a 40-byte header; `payloadLength` counts extension headers and payload.
    @inline(__always)
    package static func write(
        to bytes: MutableByteView, payloadLength: Int, nextHeader: UInt8, hopLimit: UInt8,
        source: InternetAddress, destination: InternetAddress
    ) {
        bytes.set32(0, 0x6000_0000)
        bytes.set16(4, UInt16(payloadLength))
        bytes.set8(6, nextHeader)
        bytes.set8(7, hopLimit)
        bytes.setIPv6(8, source)
        bytes.setIPv6(24, destination)
    }
}
