// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The Mann-Whitney U test: how likely two samples differ as much as they do if they come from one distribution.
///
/// It asks only for the order of the values: the long tails of latencies do not matter.
enum RankTest {
    /// The two-sided probability; 1 when either sample is empty.
    ///
    /// Exact without ties and up to 30 values each, otherwise by the normal approximation with the correction for ties.
    static func probability(_ first: [Double], _ second: [Double]) -> Double {
        let (n, m) = (first.count, second.count)
        guard n > 0, m > 0 else { return 1 }
        let values = (first.map { ($0, true) } + second.map { ($0, false) }).sorted { $0.0 < $1.0 }
        var rankSum = 0.0
        var tieTerm = 0.0
        var index = 0
        while index < values.count {
            var end = index
            while end < values.count, values[end].0 == values[index].0 { end += 1 }
            let rank = Double(index + 1 + end) / 2
            let tied = Double(end - index)
            tieTerm += tied * tied * tied - tied
            rankSum += rank * Double(values[index..<end].count { $0.1 })
            index = end
        }
        let u = rankSum - Double(n * (n + 1)) / 2
        if tieTerm == 0, n <= 30, m <= 30 { return exact(min(u, Double(n * m) - u), n, m) }
        let total = Double(n + m)
        let variance = Double(n * m) / 12 * (total + 1 - tieTerm / (total * (total - 1)))
        guard variance > 0 else { return 1 }
        let distance = max(0, abs(u - Double(n * m) / 2) - 0.5) / variance.squareRoot()
        return erfc(distance / 2.0.squareRoot())
    }

    /// Twice the probability of a U of at most `u`: by counting the arrangements, as Mann and Whitney did.
    private static func exact(_ u: Double, _ n: Int, _ m: Int) -> Double {
        // counts[i][k]: the ways in which i of the first sample and j of the second give U = k; j grows.
        var counts = [[Double]](repeating: [1] + [Double](repeating: 0, count: n * m), count: n + 1)
        for j in 1...m {
            var next = counts
            for i in 1...n {
                for k in 0...(n * m) {
                    // Whether the largest value is of the first sample (it exceeds j others) or of the second.
                    next[i][k] = (k >= j ? next[i - 1][k - j] : 0) + counts[i][k]
                }
            }
            counts = next
        }
        let all = counts[n].reduce(0, +)
        return min(1, 2 * counts[n][0...Int(u)].reduce(0, +) / all)
    }
}
