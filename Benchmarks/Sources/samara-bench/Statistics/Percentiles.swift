// SPDX-License-Identifier: Apache-2.0
import Histogram

/// A latency distribution from its middle to its tail, recorded in an HdrHistogram of three significant digits.
struct Percentiles {
    /// What reports print.
    static let usual = [50.0, 90, 99, 99.9]

    private var histogram: Histogram<UInt32>
    /// Recorded integers are this many times the value: three digits of the smallest value must be left.
    private let scale: Double

    /// - Parameter values: positive, in any unit.
    init(_ values: some Collection<Double>) {
        let least = values.filter { $0 > 0 }.min() ?? 1
        scale = 1000 / least
        histogram = Histogram(numberOfSignificantValueDigits: .three)
        for value in values where value >= 0 { _ = histogram.record(UInt64(value * scale)) }
    }

    /// Nil where fewer than one value would lie beyond it: p99 of twenty values is their maximum under another name.
    func value(at percentile: Double) -> Double? {
        guard Double(histogram.totalCount) * (1 - percentile / 100) >= 0.999 else { return nil }
        return Double(histogram.valueAtPercentile(percentile)) / scale
    }

    /// Points of the whole curve: percentile and value, denser towards the tail.
    var curve: [(percentile: Double, value: Double)] {
        var points: [(Double, Double)] = []
        var remaining = 1.0
        while remaining * Double(histogram.totalCount) >= 0.999, remaining > 0.000_9 {
            let percentile = (1 - remaining) * 100
            points.append((percentile, Double(histogram.valueAtPercentile(percentile)) / scale))
            remaining *= 0.8
        }
        return points
    }
}
