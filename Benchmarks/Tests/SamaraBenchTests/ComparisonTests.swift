// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

@Suite struct ComparisonTests {
    /// Start times as they are: a floor with a tail to the right, everything else some factor of it.
    private func report(
        _ factors: [String: Double], machine: Double = 1, rounds: Int = 20, seed: UInt64, better: Metric.Better = .lower
    ) -> Report {
        var generator = SeededGenerator(seed: seed)
        var section = MetricReport(id: "start/run", title: "run", wantedRounds: rounds, seed: seed)
        section.subjects = factors.keys.sorted().map { MetricReport.Subject(name: $0) }
        let metric = Metric(id: "wall", title: "time", unit: "ms", better: better)
        for round in 0..<rounds {
            // A disturbance hits the whole round.
            let common = Double.random(in: 1...1.1, using: &generator)
            for (index, name) in factors.keys.sorted().enumerated() {
                let tail = -log(Double.random(in: 0.001...1, using: &generator)) * 0.06
                section.add(
                    5 * (factors[name] ?? 1) * machine * common * (1 + tail), metric, subject: index, round: round)
            }
        }
        section.rounds = rounds
        var report = Report(command: "c", scenario: "start", facts: .gather(workspace: "/"))
        report.metrics = [section]
        return report
    }

    private let usual = ["samara 0.1.0": 2.5, "floor": 1.0, "crun 1.28": 2.2, "podman 5.8.6": 30]

    @Test(arguments: 1...6 as ClosedRange<UInt64>) func aRepeatIsNotFlagged(seed: UInt64) {
        let comparison = Comparison(
            old: report(usual, seed: seed), new: report(usual, seed: seed + 100), threshold: 0.05)
        #expect(comparison.entries.count == 1)
        #expect(comparison.regressions.isEmpty, "seed \(seed): \(comparison.entries)")
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>) func aSlowerPathIsFlagged(seed: UInt64) {
        var slower = usual
        slower["samara 0.1.0"] = 3.0
        let comparison = Comparison(
            old: report(usual, seed: seed), new: report(slower, seed: seed + 100), threshold: 0.05)
        #expect(comparison.regressions.count == 1, "seed \(seed): \(comparison.entries)")
        let back = Comparison(old: report(slower, seed: seed), new: report(usual, seed: seed + 100), threshold: 0.05)
        #expect(back.entries.first?.verdict == .improvement)
    }

    /// A machine that is a third slower slows everybody.
    @Test func theMachineIsTakenOut() {
        let comparison = Comparison(
            old: report(usual, seed: 1), new: report(usual, machine: 1.33, seed: 2), threshold: 0.05)
        #expect(comparison.regressions.isEmpty)
        #expect(comparison.entries.first.map { abs($0.machine - 1.33) < 0.1 } == true)
    }

    /// Also out of a figure that only Samara has: the others' time and cpu tell.
    @Test func theMachineIsTakenOutOfAFigureOfSamarasOnly() {
        func withDetached(_ report: Report, _ each: Double) -> Report {
            var report = report
            let metric = Metric(id: "detached", title: "detached cpu", unit: "ms", better: .lower, isDetail: true)
            for subject in report.metrics[0].subjects.indices {
                let isSamara = report.metrics[0].subjects[subject].role == .samara
                for round in 0..<20 {
                    report.metrics[0].add(
                        isSamara ? each * (1 + 0.002 * Double(round)) : 0, metric, subject: subject, round: round)
                }
            }
            return report
        }
        let old = withDetached(report(usual, seed: 1), 3)
        let slowMachine = report(usual, machine: 1.33, seed: 2)
        let same = Comparison(old: old, new: withDetached(slowMachine, 3 * 1.33), threshold: 0.05)
        #expect(same.entries.count == 2 && same.regressions.isEmpty, "\(same.entries)")
        let more = Comparison(old: old, new: withDetached(slowMachine, 6), threshold: 0.05)
        #expect(more.regressions.map(\.metric.id) == ["detached"])
    }

    @Test func aNewerVersionIsComparedWithTheOlder() {
        let newer = ["samara 0.2.0": 3.5, "floor": 1.0, "crun 1.28": 2.2]
        let comparison = Comparison(old: report(usual, seed: 1), new: report(newer, seed: 2), threshold: 0.05)
        #expect(comparison.regressions.map(\.subject) == ["samara 0.2.0"])
    }

    @Test func lessIsWorseWhereMoreIsBetter() {
        var slower = usual
        slower["samara 0.1.0"] = 1.5
        let comparison = Comparison(
            old: report(usual, seed: 1, better: .higher), new: report(slower, seed: 2, better: .higher), threshold: 0.05)
        #expect(comparison.regressions.count == 1)
    }

    @Test func threeRoundsCannotTell() {
        var slower = usual
        slower["samara 0.1.0"] = 5
        let comparison = Comparison(
            old: report(usual, rounds: 3, seed: 1), new: report(slower, rounds: 3, seed: 2), threshold: 0.05)
        #expect(comparison.entries.map(\.verdict) == [.tooFewRounds])
    }

    @Test func whatOnlyOneRunHasIsNamed() {
        var other = report(usual, seed: 1)
        other.metrics[0].id = "start/exec"
        let comparison = Comparison(old: other, new: report(usual, seed: 2), threshold: 0.05)
        #expect(comparison.entries.isEmpty)
        #expect(comparison.unmatched.count == 2)
    }

    /// From the tables of Mann and Whitney (1947), and by counting: of the 20 arrangements of 3 and 3, one has U = 0.
    @Test func theRankTestCountsArrangements() {
        #expect(abs(RankTest.probability([1, 2, 3], [4, 5, 6]) - 0.1) < 1e-9)
        #expect(abs(RankTest.probability([1, 2, 4], [3, 5, 6]) - 0.2) < 1e-9)
        #expect(RankTest.probability([1, 3, 5, 7], [2, 4, 6, 8]) > 0.6)
        #expect(RankTest.probability([1, 1, 1], [1, 1, 1]) == 1)
        #expect(RankTest.probability([], [1]) == 1)
        // The approximation is near the exact value where both can be had.
        let first = (0..<30).map { Double($0) }
        let second = (0..<30).map { Double($0) + 6.5 }
        let exact = RankTest.probability(first, second)
        let approximate = RankTest.probability(first + [100], second + [101])
        #expect(abs(exact - approximate) < 0.02)
    }
}
