// SPDX-License-Identifier: Apache-2.0

/// The per-process random secret that keys table hashes and initial sequence numbers.
///
/// A guest that cannot predict the hash cannot build colliding tuples, and one that cannot predict the sequence
/// number cannot reset or inject into a connection of another pod address.
package struct HashKey: BitwiseCopyable, Sendable {
    package var low: UInt64
    package var high: UInt64

    /// - Parameters: two words from the kernel's random source (`getrandom(2)`).
    package init(_ low: UInt64, _ high: UInt64) {
        self.low = low
        self.high = high
    }

    /// SipHash-1-3 of five words: hash tables need collision resistance against a blind chooser only.
    @inline(__always)
    package func tableHash(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64) -> UInt32 {
        let hash = sip(a, b, c, d, e, compression: 1, finalization: 3)
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
    }

    /// SipHash-2-4 of five words: the pseudorandom function F of RFC 6528, section 3.
    package func sequenceHash(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: sip(a, b, c, d, e, compression: 2, finalization: 4))
    }

    @inline(__always)
    func sip(
        _ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64, compression: Int, finalization: Int
    ) -> UInt64 {
        var state = SipState(low, high)
        state.absorb(a, rounds: compression)
        state.absorb(b, rounds: compression)
        state.absorb(c, rounds: compression)
        state.absorb(d, rounds: compression)
        state.absorb(e, rounds: compression)
        // The final block holds the input length in its top byte; the input is always 40 bytes.
        state.absorb(40 << 56, rounds: compression)
        return state.finish(rounds: finalization)
    }
}

/// The four-word state of SipHash (Aumasson and Bernstein, 2012).
struct SipState {
    private var v0, v1, v2, v3: UInt64

    @inline(__always)
    init(_ k0: UInt64, _ k1: UInt64) {
        v0 = k0 ^ 0x736f_6d65_7073_6575
        v1 = k1 ^ 0x646f_7261_6e64_6f6d
        v2 = k0 ^ 0x6c79_6765_6e65_7261
        v3 = k1 ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { (x &<< n) | (x &>> (64 &- n)) }

    @inline(__always)
    private mutating func round() {
        v0 = v0 &+ v1
        v1 = Self.rotate(v1, 13) ^ v0
        v0 = Self.rotate(v0, 32)
        v2 = v2 &+ v3
        v3 = Self.rotate(v3, 16) ^ v2
        v0 = v0 &+ v3
        v3 = Self.rotate(v3, 21) ^ v0
        v2 = v2 &+ v1
        v1 = Self.rotate(v1, 17) ^ v2
        v2 = Self.rotate(v2, 32)
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64, rounds: Int) {
        v3 ^= word
        for _ in 0..<rounds { round() }
        v0 ^= word
    }

    @inline(__always)
    mutating func finish(rounds: Int) -> UInt64 {
        v2 ^= 0xff
        for _ in 0..<rounds { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }
}
