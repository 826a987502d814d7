// SPDX-License-Identifier: Apache-2.0

/// Documents damaged by chance, repeatable from a seed: what a fuzzer's mutators do to a corpus.
public struct Mutation: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// SplitMix64.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// Pieces that parsers treat apart.
    private static let tokens: [[UInt8]] = [
        "null", "{}", "[]", "\"\"", "-1", "9223372036854775808", "1e999", "\\u0000", "\\ud800", "sha256:", ":", "@",
        "/",
        "//", "..", ",", "}", "]", "true", "0", "{\"a\":", "[[[[", "localhost:5000/", "\u{0}", "é", "::",
    ].map { Array($0.utf8) }

    /// One of `corpus` with up to six changes: bytes flipped, overwritten, dropped, doubled, tokens put in, cut short,
    /// or its end from another one.
    public mutating func damaged(_ corpus: [[UInt8]]) -> [UInt8] {
        var bytes = corpus.randomElement(using: &self) ?? []
        for _ in 0..<Int.random(in: 1...6, using: &self) {
            let place = Int.random(in: 0...bytes.count, using: &self)
            let length = min(bytes.count - place, Int.random(in: 0...20, using: &self))
            switch Int.random(in: 0..<7, using: &self) {
            case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 1 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &self)
            case 2: bytes.removeSubrange(place..<(place + length))
            case 3: bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
            case 4: bytes.insert(contentsOf: Mutation.tokens.randomElement(using: &self) ?? [], at: place)
            case 5: if Bool.random(using: &self) { bytes.removeSubrange(place...) }
            default:
                let other = corpus.randomElement(using: &self) ?? []
                bytes = Array(bytes[..<place] + other[min(place, other.count)...])
            }
        }
        return bytes
    }
}
