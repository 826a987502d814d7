// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A section in Markdown: its table, how it was made, and what is missing.
struct MetricTable {
    private let report: MetricReport

    init(_ report: MetricReport) { self.report = report }

    var text: String {
        var lines = ["## \(report.title)", ""]
        if let method = report.method { lines += [method, ""] }
        lines += [report.hasSubjectRows ? subjectRows.text : metricRows.text, "", footnote]
        for subject in report.subjects where subject.note != nil || !subject.failures.isEmpty {
            if subject.values.isEmpty { continue }
            var text = "* \(subject.fullName):"
            if let note = subject.note { text += " \(note)." }
            if let first = subject.failures.first { text += " Failed \(subject.failures.count) times: \(first)" }
            lines.append(text)
        }
        for subject in report.subjects where subject.values.isEmpty {
            lines.append("* **not measured**: \(subject.fullName): \(subject.failures.first ?? "no round was run")")
        }
        for peer in report.absent { lines.append("* **not measured**: \(peer.peer): \(peer.reason)") }
        return lines.joined(separator: "\n")
    }

    private var footnote: String {
        var text = "\(report.rounds) of \(report.wantedRounds) rounds, shuffled (seed \(report.seed)); medians"
        if report.hasSubjectRows {
            text += "; ratios are medians of the ratios round by round."
        } else {
            if let limit = report.limit {
                text +=
                    "; in brackets the median of the ratios to \(report.subjects[limit].fullName) round by round"
            }
            text += "; ± is half the range of the rounds."
        }
        return text
    }

    // MARK: A row for each metric

    private var metricRows: TextTable {
        let subjects = report.subjects.indices.filter { !report.subjects[$0].values.isEmpty }
        var table = TextTable(["metric"] + subjects.map { report.subjects[$0].fullName }, firstNumber: 1)
        for metric in report.metrics { table.add([metric.heading] + subjects.map { cell(metric.id, $0) }) }
        return table
    }

    private func cell(_ metric: String, _ subject: Int) -> String {
        let known = report.subjects[subject].known(metric)
        guard let median = Distribution(known).median else { return "-" }
        var text = Figure.text(median)
        if let limit = report.limit, let ratio = report.ratio(of: subject, to: limit, metric) {
            text += String(format: " (%.2fx)", ratio)
        }
        if known.count > 1, median > 0, let least = known.min(), let most = known.max() {
            text += String(format: " ±%.0f%%", (most - least) / 2 / median * 100)
        }
        return text
    }

    // MARK: A row for each subject

    /// The first metric decides the order; it and every other with a tail have columns for the percentiles.
    private var subjectRows: TextTable {
        var header = ["what", "by", "n"]
        for metric in report.metrics {
            header.append(metric.heading)
            if metric.hasTail { header += Percentiles.usual.dropFirst().map { String(format: "p%g", $0) } + ["max"] }
        }
        let ratioMetrics = report.metrics.prefix(2)
        let limit = report.limit
        let samara = report.samara
        if limit != nil { header += ratioMetrics.map { "\($0.title) x floor" } }
        if samara != nil { header.append("x samara") }
        var table = TextTable(header, firstNumber: 2)
        guard let first = report.metrics.first else { return table }
        for index in Self.order(report, by: first) {
            let subject = report.subjects[index]
            var row = [subject.label ?? "", subject.name, "\(subject.known(first.id).count)"]
            for metric in report.metrics {
                let values = Distribution(subject.known(metric.id))
                row.append(Figure.text(values.median))
                if metric.hasTail {
                    let tail = Percentiles(subject.known(metric.id))
                    row += Percentiles.usual.dropFirst().map { Figure.text(tail.value(at: $0)) }
                    row.append(Figure.text(values.quantile(1)))
                }
            }
            if let limit {
                row += ratioMetrics.map { Figure.ratio(index == limit ? 1 : report.ratio(of: index, to: limit, $0.id)) }
            }
            if let samara {
                row.append(Figure.ratio(index == samara ? 1 : report.ratio(of: index, to: samara, first.id)))
            }
            table.add(row)
        }
        return table
    }

    /// The subjects with figures, the best first.
    static func order(_ report: MetricReport, by metric: Metric) -> [Int] {
        let medians = report.subjects.map { Distribution($0.known(metric.id)).median }
        let measured = report.subjects.indices.filter { medians[$0] != nil }
        return measured.sorted { left, right in
            let (left, right) = (medians[left] ?? 0, medians[right] ?? 0)
            return metric.better == .higher ? left > right : left < right
        }
    }
}

/// Numbers as people read them: three or so significant digits.
enum Figure {
    static func text(_ value: Double?) -> String {
        guard let value else { return "-" }
        if value == value.rounded(), abs(value) < 1000 { return String(format: "%.0f", value) }
        if abs(value) >= 100 { return String(format: "%.0f", value) }
        if abs(value) >= 10 { return String(format: "%.1f", value) }
        return String(format: abs(value) >= 1 ? "%.2f" : "%.3g", value)
    }

    static func ratio(_ value: Double?) -> String {
        guard let value else { return "-" }
        return String(format: value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value)
    }
}
