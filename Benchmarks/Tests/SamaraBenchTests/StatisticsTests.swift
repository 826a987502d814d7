// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import samara_bench

@Suite struct StatisticsTests {
    @Test func quantilesInterpolateBetweenOrderStatistics() {
        let values = Distribution([4, 1, 3, 2].map(Double.init))
        #expect(values.median == 2.5)
        #expect(values.quantile(0) == 1)
        #expect(values.quantile(1) == 4)
        #expect(values.quantile(0.9).map { abs($0 - 3.7) < 1e-9 } == true)
        #expect(Distribution([Double]()).median == nil)
    }

    @Test func theOrderOfARoundFollowsFromTheSeed() {
        func order(_ seed: UInt64) -> [Int] {
            var generator = SeededGenerator(seed: seed)
            return (0..<20).shuffled(using: &generator)
        }
        #expect(order(1) == order(1))
        #expect(order(1) != order(2))
    }
}
