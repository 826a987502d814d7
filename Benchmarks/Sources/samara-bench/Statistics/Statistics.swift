// SPDX-License-Identifier: Apache-2.0

/// Order statistics of a few dozen to a few thousand values: exact, from the sorted values themselves.
struct Distribution {
    private let sorted: [Double]

    init(_ values: some Sequence<Double>) { sorted = values.sorted() }

    var count: Int { sorted.count }

    /// The quantile by linear interpolation between order statistics (Hyndman and Fan's type 7); nil without values.
    func quantile(_ fraction: Double) -> Double? {
        guard let last = sorted.indices.last else { return nil }
        let position = fraction * Double(last)
        let lower = Int(position)
        let upper = min(lower + 1, last)
        return sorted[lower] + (position - Double(lower)) * (sorted[upper] - sorted[lower])
    }

    var median: Double? { quantile(0.5) }
}

/// A small seeded generator (SplitMix64), so that the order of a run can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
