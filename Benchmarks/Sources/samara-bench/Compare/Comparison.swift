// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What changed from one run to another, and how certain that is.
///
/// Two runs on one machine differ even when nothing has changed, and all subjects together: the change of the peers and
/// limits that took part in both is the machine's, and is taken out. The change of a figure is then
/// median(new) / median(old) / machine. It counts when all of this holds:
///
/// * the Mann-Whitney test on the rounds, the machine's change taken out, gives p < 0.01;
/// * the whole 99 % interval of the change, by a bootstrap over rounds (all subjects of a round together), lies further
///   from 1 than the threshold.
///
/// The second is the stronger: rounds of one run share much that a repeat changes, and p knows nothing of that.
struct Comparison: Codable, Sendable {
    enum Verdict: String, Codable, Sendable {
        case regression, improvement, unchanged
        /// A change of a figure that is neither good nor bad.
        case different
        /// No number of rounds that small can give p < 0.01.
        case tooFewRounds
    }

    /// A figure of Samara's.
    struct Entry: Codable, Sendable {
        let section: String
        let metric: Metric
        let subject: String
        let old: Double
        let new: Double
        let rounds: [Int]
        /// new / old with the machine's change taken out, and its interval; 1 is no change.
        let change: Double
        let interval: [Double]
        let machine: Double
        let probability: Double
        let verdict: Verdict
    }

    /// A change below this is of no interest: 0.05 is 5 %.
    let threshold: Double
    let oldDate: String
    let oldCommand: String
    private(set) var entries: [Entry] = []
    /// What only one of the two has.
    private(set) var unmatched: [String] = []

    static let significance = 0.01
    private static let resamples = 1000

    var regressions: [Entry] { entries.filter { $0.verdict == .regression } }

    init(old: Report, new: Report, threshold: Double) {
        self.threshold = threshold
        oldDate = old.facts.date
        oldCommand = old.command
        for section in new.metrics {
            guard let before = old.metrics.first(where: { $0.id == section.id }) else {
                unmatched.append("\(section.id) was not measured before")
                continue
            }
            compare(before, section)
        }
        for section in old.metrics where !new.metrics.contains(where: { $0.id == section.id }) {
            unmatched.append("\(section.id) was measured before only")
        }
    }

    private mutating func compare(_ before: MetricReport, _ after: MetricReport) {
        let pairs = after.subjects.indices.compactMap { index -> (new: Int, old: Int)? in
            Self.match(after.subjects[index], before).map { (index, $0) }
        }
        for subject in after.subjects.indices where !pairs.contains(where: { $0.new == subject }) {
            unmatched.append("\(after.id): \(after.subjects[subject].fullName) did not take part before")
        }
        for metric in after.metrics {
            for own in series(metric, before, after) where own.role == .samara {
                entries.append(judge(own, controls(metric, before, after), metric, after))
            }
        }
    }

    private func series(_ metric: Metric, _ before: MetricReport, _ after: MetricReport) -> [Series] {
        after.subjects.compactMap { subject in
            guard let index = Self.match(subject, before), let new = subject.values[metric.id],
                let old = before.subjects[index].values[metric.id], old.contains(where: { $0 != nil }),
                new.contains(where: { $0 != nil })
            else { return nil }
            return Series(name: subject.fullName, role: subject.role, old: old, new: new)
        }
    }

    /// What tells the machine's change: others' figures of this metric; where nobody else has any but zero (only Samara
    /// leaves something detached, say), others' in the same unit; without others, Samara's own in the same unit. What
    /// changes nearly all of them alike is the machine.
    private func controls(_ metric: Metric, _ before: MetricReport, _ after: MetricReport) -> [Series] {
        let same = series(metric, before, after).filter { $0.role != .samara && $0.hasChange }
        if !same.isEmpty { return same }
        let related = after.metrics.filter { $0.id != metric.id && $0.unit == metric.unit }
            .flatMap { series($0, before, after) }.filter(\.hasChange)
        let others = related.filter { $0.role != .samara }
        return others.isEmpty ? related : others
    }

    /// By the whole name, or by the name without the version: a newer Samara is compared with the older.
    static func match(_ subject: MetricReport.Subject, _ report: MetricReport) -> Int? {
        func withoutVersion(_ subject: MetricReport.Subject) -> String {
            (subject.name.split(separator: " ").first.map(String.init) ?? "") + "|" + (subject.label ?? "")
        }
        let whole = report.subjects.firstIndex { $0.fullName == subject.fullName }
        guard whole == nil, subject.role == .samara else { return whole }
        return report.subjects.firstIndex { withoutVersion($0) == withoutVersion(subject) }
    }

    // MARK: One figure

    struct Series {
        let name: String
        let role: MetricReport.Role
        let old: [Double?]
        let new: [Double?]

        /// Whether the medians have a ratio.
        var hasChange: Bool { [old, new].allSatisfy { (Distribution($0.compactMap { $0 }).median ?? 0) > 0 } }
    }

    private func judge(_ series: Series, _ controls: [Series], _ metric: Metric, _ report: MetricReport) -> Entry {
        let (old, new) = (series.old.compactMap { $0 }, series.new.compactMap { $0 })
        let oldMedian = Distribution(old).median ?? 0
        let newMedian = Distribution(new).median ?? 0
        func entry(_ change: Double, _ interval: [Double], _ machine: Double, _ probability: Double, _ verdict: Verdict)
            -> Entry
        {
            Entry(
                section: report.id, metric: metric, subject: series.name, old: oldMedian, new: newMedian, rounds: [old.count, new.count], change: change, interval: interval, machine: machine,
                probability: probability, verdict: verdict)
        }
        // A figure that can be zero (errors) has no ratio: its ranks decide alone.
        guard (old + new).allSatisfy({ $0 > 0 }) else {
            let probability = RankTest.probability(old, new)
            let isOther = probability < Self.significance && oldMedian != newMedian
            return entry(1, [1, 1], 1, probability, isOther ? verdict(newMedian > oldMedian, metric) : .unchanged)
        }
        let machine = exp(Self.drift(controls, { Array($0.indices) }, { Array($0.indices) }))
        let change = newMedian / oldMedian / machine
        let probability = RankTest.probability(old, new.map { $0 / machine })
        // The least probability that so few rounds can give: all of one run above all of the other.
        let least = RankTest.probability(old.indices.map { Double($0) }, new.indices.map { Double(old.count + $0) })
        let interval = bootstrap(series, controls, seed: report.seed)
        guard least < Self.significance else { return entry(change, interval, machine, probability, .tooFewRounds) }
        let isOther =
            probability < Self.significance && (interval[0] > 1 + threshold || interval[1] < 1 / (1 + threshold))
        return entry(change, interval, machine, probability, isOther ? verdict(change > 1, metric) : .unchanged)
    }

    private func verdict(_ isMore: Bool, _ metric: Metric) -> Verdict {
        switch metric.better {
        case .neither: .different
        case .lower: isMore ? .regression : .improvement
        case .higher: isMore ? .improvement : .regression
        }
    }

    /// The logarithm of the machine's change: the median over the controls; 0 without any.
    private static func drift(
        _ controls: [Series], _ old: ([Double?]) -> [Int], _ new: ([Double?]) -> [Int]
    ) -> Double {
        let changes = controls.compactMap { control -> Double? in
            guard let before = median(control.old, old(control.old)), let after = median(control.new, new(control.new)),
                before > 0, after > 0
            else { return nil }
            return log(after / before)
        }
        return Distribution(changes).median ?? 0
    }

    private static func median(_ values: [Double?], _ rounds: [Int]) -> Double? {
        Distribution(rounds.compactMap { $0 < values.count ? values[$0] : nil }).median
    }

    /// The 99 % interval of the change.
    private func bootstrap(_ series: Series, _ controls: [Series], seed: UInt64) -> [Double] {
        var generator = SeededGenerator(seed: seed)
        var changes: [Double] = []
        for _ in 0..<Self.resamples {
            let old = series.old.indices.map { _ in Int.random(in: series.old.indices, using: &generator) }
            let new = series.new.indices.map { _ in Int.random(in: series.new.indices, using: &generator) }
            guard let before = Self.median(series.old, old), let after = Self.median(series.new, new), before > 0,
                after > 0
            else { continue }
            changes.append(log(after / before) - Self.drift(controls, { _ in old }, { _ in new }))
        }
        let distribution = Distribution(changes)
        return [0.005, 0.995].map { exp(distribution.quantile($0) ?? 0) }
    }
}
