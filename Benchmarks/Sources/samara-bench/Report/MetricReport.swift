// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Figures that several subjects are compared by, measured round by round.
struct MetricReport: Codable, Sendable {
    struct Metric: Codable, Sendable {
        let id: String
        /// With the unit: "1 stream Gbit/s".
        let title: String
    }

    struct Subject: Codable, Sendable {
        let name: String
        var note: String?
        /// By metric, then by round; nil where it failed.
        var values: [String: [Double?]] = [:]
        var failures: [String] = []
    }

    let title: String
    var metrics: [Metric] = []
    var subjects: [Subject] = []
    var absent: [AbsentPeer] = []
    var rounds = 0
    let wantedRounds: Int
    let seed: UInt64

    /// Adds a figure; the metric's row appears where it first comes up.
    mutating func add(_ value: Double?, _ metric: Metric, subject: Int, round: Int) {
        if !metrics.contains(where: { $0.id == metric.id }) { metrics.append(metric) }
        var values = subjects[subject].values[metric.id] ?? []
        while values.count < round { values.append(nil) }
        values.append(value)
        subjects[subject].values[metric.id] = values
    }
}

/// Metrics as rows, subjects as columns; in brackets the ratio to the first subject.
struct MetricTable {
    private let report: MetricReport

    init(_ report: MetricReport) { self.report = report }

    var text: String {
        var table = TextTable(["metric"] + report.subjects.map(\.name), firstNumber: 1)
        for metric in report.metrics {
            table.add([metric.title] + report.subjects.indices.map { cell(metric.id, $0) })
        }
        var lines = ["## \(report.title)", "", table.text, ""]
        let base = report.subjects.first?.name ?? "-"
        lines.append(
            "\(report.rounds) of \(report.wantedRounds) rounds, shuffled (seed \(report.seed)); medians; in brackets the median of the ratios to \(base) round by round; ± is half the range of the rounds."
        )
        for subject in report.subjects where subject.note != nil || !subject.failures.isEmpty {
            var text = "* \(subject.name):"
            if let note = subject.note { text += " \(note)." }
            if !subject.failures.isEmpty { text += " Failed \(subject.failures.count) times: \(subject.failures[0])" }
            lines.append(text)
        }
        for peer in report.absent { lines.append("* **not measured**: \(peer.peer): \(peer.reason)") }
        return lines.joined(separator: "\n")
    }

    private func cell(_ metric: String, _ subject: Int) -> String {
        let values = report.subjects[subject].values[metric] ?? []
        let known = values.compactMap { $0 }
        guard let median = Distribution(known).median else { return "-" }
        var text =
            median >= 1000
            ? String(format: "%.0f", median)
            : median >= 10 ? String(format: "%.1f", median) : String(format: "%.2f", median)
        if subject > 0, let base = report.subjects[0].values[metric] {
            let ratios = zip(values, base).compactMap { mine, theirs -> Double? in
                guard let mine, let theirs, theirs > 0 else { return nil }
                return mine / theirs
            }
            if let ratio = Distribution(ratios).median { text += String(format: " (%.2fx)", ratio) }
        }
        if known.count > 1, median > 0, let least = known.min(), let most = known.max() {
            text += String(format: " ±%.0f%%", (most - least) / 2 / median * 100)
        }
        return text
    }
}
