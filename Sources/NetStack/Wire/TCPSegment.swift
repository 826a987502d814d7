// SPDX-License-Identifier: Apache-2.0

/// A position in a TCP stream, compared modulo 2^32 (RFC 9293, section 3.4).
package struct SequenceNumber: Hashable, BitwiseCopyable, Sendable {
    package var value: UInt32

    @inline(__always)
    package init(_ value: UInt32) { self.value = value }

    @inline(__always)
    package static func < (a: Self, b: Self) -> Bool { Int32(bitPattern: a.value &- b.value) < 0 }
    @inline(__always)
    package static func <= (a: Self, b: Self) -> Bool { Int32(bitPattern: a.value &- b.value) <= 0 }
    @inline(__always)
    package static func > (a: Self, b: Self) -> Bool { b < a }
    @inline(__always)
    package static func >= (a: Self, b: Self) -> Bool { b <= a }

    @inline(__always)
    package static func + (a: Self, octets: Int) -> Self { Self(a.value &+ UInt32(truncatingIfNeeded: octets)) }

    @inline(__always)
    package static func += (a: inout Self, octets: Int) { a = a + octets }

    /// Octets from `b` to `a`, negative when `a` is before `b`.
    @inline(__always)
    package static func - (a: Self, b: Self) -> Int { Int(Int32(bitPattern: a.value &- b.value)) }
}

/// TCP header bits (RFC 9293, section 3.1). Urgent and the ECN bits are neither set nor acted on: urgent data is
/// passed on as ordinary data, congestion notification is not negotiated.
package struct TCPFlags: OptionSet, BitwiseCopyable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static var fin: Self { Self(rawValue: 1) }
    package static var syn: Self { Self(rawValue: 2) }
    package static var rst: Self { Self(rawValue: 4) }
    package static var psh: Self { Self(rawValue: 8) }
    package static var ack: Self { Self(rawValue: 16) }
}

/// A decoded TCP header with its payload.
package struct TCPSegment: BitwiseCopyable {
    package static var minimumLength: Int { 20 }
    /// Two octets of padding, kind and length of the timestamps option.
    package static var timestampLead: UInt32 { 0x0101_080a }

    package let sourcePort: UInt16
    package let destinationPort: UInt16
    package let sequence: SequenceNumber
    package let acknowledgement: SequenceNumber
    package let flags: TCPFlags
    /// As on the wire, unscaled.
    package let window: UInt16
    /// Maximum segment size option, 0 when absent; read from SYN segments only.
    package private(set) var maximumSegmentSize: UInt16 = 0
    /// Window scale option, at most 14 (RFC 7323, section 2.3), or nil when absent.
    package private(set) var windowScale: UInt8?
    /// TSval of a timestamps option (RFC 7323, section 3.2), nil when absent or, but on SYN, not where everybody puts it.
    package private(set) var timestamp: UInt32?
    package let payload: ByteView

    /// Octets of sequence space: payload, SYN and FIN.
    @inline(__always)
    package var sequenceLength: Int {
        payload.count + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    }

    /// Nil when the header or an option does not fit.
    package init?(_ bytes: ByteView) {
        guard bytes.count >= Self.minimumLength else { return nil }
        let headerLength = Int(bytes.u8(12) >> 4) * 4
        guard headerLength >= Self.minimumLength, headerLength <= bytes.count else { return nil }
        sourcePort = bytes.u16(0)
        destinationPort = bytes.u16(2)
        sequence = SequenceNumber(bytes.u32(4))
        acknowledgement = SequenceNumber(bytes.u32(8))
        flags = TCPFlags(rawValue: bytes.u8(13))
        window = bytes.u16(14)
        payload = bytes.from(headerLength)
        guard sourcePort != 0, destinationPort != 0 else { return nil }
        // Only timestamps matter on other segments than SYN, and RFC 7323 (appendix A) says where those are.
        if headerLength >= 32 && bytes.u32(20) == Self.timestampLead { timestamp = bytes.u32(24) }
        if flags.contains(.syn) && headerLength > Self.minimumLength {
            guard readOptions(bytes.slice(20, headerLength - 20)) else { return nil }
        }
    }

    private mutating func readOptions(_ options: ByteView) -> Bool {
        var offset = 0
        while offset < options.count {
            let kind = options.u8(offset)
            if kind == 0 { return true }
            if kind == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < options.count else { return false }
            let length = Int(options.u8(offset + 1))
            guard length >= 2, length <= options.count - offset else { return false }
            if kind == 2 {
                guard length == 4 else { return false }
                maximumSegmentSize = options.u16(offset + 2)
            } else if kind == 3 {
                guard length == 3 else { return false }
                windowScale = min(options.u8(offset + 2), 14)
            } else if kind == 8 {
                guard length == 10 else { return false }
                timestamp = options.u32(offset + 2)
            }
            offset += length
        }
        return true
    }

    /// Writes a header without options and a zero checksum.
    @inline(__always)
    package static func write(
        to bytes: MutableByteView, sourcePort: UInt16, destinationPort: UInt16, sequence: SequenceNumber,
        acknowledgement: SequenceNumber, headerLength: Int, flags: TCPFlags, window: UInt16
    ) {
        bytes.set16(0, sourcePort)
        bytes.set16(2, destinationPort)
        bytes.set32(4, sequence.value)
        bytes.set32(8, acknowledgement.value)
        bytes.set8(12, UInt8(headerLength / 4) << 4)
        bytes.set8(13, flags.rawValue)
        bytes.set16(14, window)
        bytes.set32(16, 0)
    }
}
