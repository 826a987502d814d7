// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A comparison in Markdown: Samara's figures, the changed ones first.
struct ComparisonTable {
    private let comparison: Comparison

    init(_ comparison: Comparison) { self.comparison = comparison }

    static let method =
        "Change is the ratio of the medians, with the change of the peers and limits that took part in both runs taken out (machine). A change counts when the Mann-Whitney test on the rounds gives p < 0.01 and the 99 % interval of the change (bootstrap over rounds) lies wholly beyond the threshold."

    /// In a sentence.
    var summary: String {
        let own = comparison.entries
        func count(_ verdict: Comparison.Verdict) -> Int { own.count { $0.verdict == verdict } }
        var text =
            "\(count(.regression)) regressions, \(count(.improvement)) improvements, \(count(.unchanged)) unchanged among \(own.count) figures of Samara"
        if count(.tooFewRounds) > 0 { text += "; \(count(.tooFewRounds)) have too few rounds to tell" }
        return text + String(format: " (threshold %.0f %%)", comparison.threshold * 100)
    }

    var ordered: [Comparison.Entry] {
        func rank(_ entry: Comparison.Entry) -> Int {
            switch entry.verdict {
            case .regression: 0
            case .improvement: 1
            case .different: 2
            case .unchanged: 3
            case .tooFewRounds: 4
            }
        }
        return comparison.entries.enumerated().sorted {
            (rank($0.element), $0.offset) < (rank($1.element), $1.offset)
        }.map(\.element)
    }

    var text: String {
        var table = TextTable(
            ["verdict", "figure", "of", "before", "after", "change", "99 % interval", "machine", "p"], firstNumber: 3)
        for entry in ordered {
            table.add([
                Self.name(entry.verdict), "\(entry.section): \(entry.metric.heading)", entry.subject,
                Figure.text(entry.old), Figure.text(entry.new), Self.percent(entry.change),
                "\(Self.percent(entry.interval[0])) … \(Self.percent(entry.interval[1]))", Self.percent(entry.machine),
                String(format: "%.2g", entry.probability),
            ])
        }
        var lines = [
            "## Compared with \(comparison.oldDate)", "", "**\(summary).** \(Self.method)", "", table.text,
        ]
        if !comparison.unmatched.isEmpty { lines.append("") }
        lines += comparison.unmatched.map { "* \($0)" }
        return lines.joined(separator: "\n")
    }

    static func name(_ verdict: Comparison.Verdict) -> String {
        switch verdict {
        case .regression: "REGRESSION"
        case .improvement: "improvement"
        case .unchanged: "unchanged"
        case .different: "different"
        case .tooFewRounds: "too few rounds"
        }
    }

    static func percent(_ ratio: Double) -> String { String(format: "%+.1f %%", (ratio - 1) * 100) }
}
