// SPDX-License-Identifier: Apache-2.0

/// The one's complement sum of RFC 1071, accumulated over any number of pieces that each start at an even offset.
///
/// The sum is kept in the machine's byte order: one's complement addition commutes with swapping (RFC 1071, section
/// 2(B)), so bytes are added as they lie in memory, eight at a time, and swapped once at the end.
package struct InternetChecksum: BitwiseCopyable {
    private var sum: UInt64 = 0

    @inline(__always)
    package init() {}

    /// Adds a 16-bit word given in host order.
    @inline(__always)
    package mutating func add(_ word: UInt16) { addNative(UInt64(word.bigEndian)) }

    /// Adds a 32-bit word given in host order.
    @inline(__always)
    package mutating func add(_ word: UInt32) { addNative(UInt64(word.bigEndian)) }

    @inline(__always)
    private mutating func addNative(_ word: UInt64) {
        let (partial, carry) = sum.addingReportingOverflow(word)
        sum = partial &+ (carry ? 1 : 0)
    }

    /// Adds bytes; an odd count is padded with one zero byte, so only the last piece may be odd.
    package mutating func add(_ bytes: ByteView) {
        guard let base = bytes.buffer.baseAddress else { return }
        // SAFETY: every load below ends at or before `base + count`: the loops test the remaining length first.
        var p = base
        var left = bytes.count
        // Four independent carry chains hide the latency of add-with-carry; 64-bit words carry at most once each.
        var s0: UInt64 = 0
        var s1: UInt64 = 0
        var s2: UInt64 = 0
        var s3: UInt64 = 0
        while left >= 32 {
            let (a, ca) = s0.addingReportingOverflow(p.loadUnaligned(as: UInt64.self))
            s0 = a &+ (ca ? 1 : 0)
            let (b, cb) = s1.addingReportingOverflow(p.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            s1 = b &+ (cb ? 1 : 0)
            let (c, cc) = s2.addingReportingOverflow(p.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            s2 = c &+ (cc ? 1 : 0)
            let (d, cd) = s3.addingReportingOverflow(p.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
            s3 = d &+ (cd ? 1 : 0)
            p += 32
            left &-= 32
        }
        addNative(s0)
        addNative(s1)
        addNative(s2)
        addNative(s3)
        while left >= 4 {
            addNative(UInt64(p.loadUnaligned(as: UInt32.self)))
            p += 4
            left &-= 4
        }
        if left >= 2 {
            addNative(UInt64(p.loadUnaligned(as: UInt16.self)))
            p += 2
            left &-= 2
        }
        if left == 1 {
            addNative(UInt64((UInt16(p.load(as: UInt8.self)) << 8).bigEndian))
        }
    }

    /// Adds the pseudo-header of a transport segment of `length` bytes (RFC 9293, section 3.1; RFC 8200, section 8.1).
    @inline(__always)
    package mutating func addPseudoHeader(
        source: InternetAddress, destination: InternetAddress, protocolNumber: UInt8, length: Int
    ) {
        if source.isIPv4 {
            add(source.ipv4)
            add(destination.ipv4)
        } else {
            addNative(source.high.bigEndian)
            addNative(source.low.bigEndian)
            addNative(destination.high.bigEndian)
            addNative(destination.low.bigEndian)
        }
        add(UInt16(protocolNumber))
        add(UInt32(truncatingIfNeeded: length))
    }

    /// The sum folded to 16 bits, host order, not complemented: what a checksum-offload sender stores for the device
    /// to finish (virtio 1.2, section 5.1.6.2.1).
    @inline(__always)
    package var partial: UInt16 {
        var folded = (sum & 0xffff_ffff) &+ (sum >> 32)
        folded = (folded & 0xffff) &+ (folded >> 16)
        folded = (folded & 0xffff) &+ (folded >> 16)
        folded = (folded & 0xffff) &+ (folded >> 16)
        return UInt16(bigEndian: UInt16(truncatingIfNeeded: folded))
    }

    /// The checksum field's value, host order.
    @inline(__always)
    package var value: UInt16 { ~partial }

    /// True when the bytes added include a correct checksum field.
    @inline(__always)
    package var isValid: Bool { partial == 0xffff }
}
