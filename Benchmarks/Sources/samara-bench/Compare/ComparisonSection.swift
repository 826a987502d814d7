// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A comparison for a browser: the interval of each change beside the band of the threshold.
struct ComparisonSection {
    private let comparison: Comparison

    init(_ comparison: Comparison) { self.comparison = comparison }

    var html: String {
        let table = ComparisonTable(comparison)
        let entries = table.ordered
        let bounds = entries.flatMap { $0.interval + [$0.change] } + [1 / (1 + comparison.threshold * 2), 1 + comparison.threshold * 2]
        let axis = Axis(bounds.map { min(4, max(0.25, $0)) }, span: 1)
        // What has changed is seen at once, all the rest when asked for.
        let isNews = { (entry: Comparison.Entry) in ![.unchanged, .tooFewRounds].contains(entry.verdict) }
        let rows = entries.filter(isNews).map { html($0, axis) }.joined()
        let others = entries.filter { !isNews($0) }.map { html($0, axis) }.joined()
        let labels = [0.25, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4].filter { $0 > axis.lower && $0 < axis.upper }
        var ticks = ""
        var last = -1.0
        for label in labels where axis.position(label) - last > 0.12 || last < 0 {
            last = axis.position(label)
            ticks +=
                "<text x=\"\(percent(last))\" y=\"14\" text-anchor=\"middle\">\(String(format: "%+.0f %%", (label - 1) * 100))</text>"
        }
        let scale =
            "<div class=\"orow\"><span class=\"who\"></span><svg height=\"18\" aria-hidden=\"true\">\(ticks)</svg><span class=\"best\"></span></div>"
        let notes = comparison.unmatched.map { "<li>\(escaped($0))</li>" }.joined()
        return """
            <section class="comparison"><h2>Compared with \(escaped(comparison.oldDate))</h2>
            <p class="lead">\(escaped(table.summary)).</p><p class="method">\(escaped(ComparisonTable.method)) \
            The band is the threshold, the line the interval.</p>
            <div class="overview">\(rows)\(scale)</div>
            <details><summary>Unchanged figures</summary><div class="overview">\(others)\(scale)</div></details>
            <ul class="missing">\(notes)</ul></section>

            """
    }

    private func html(_ entry: Comparison.Entry, _ axis: Axis) -> String {
        let band = [1 / (1 + comparison.threshold), 1 + comparison.threshold].map { axis.position($0) }
        let ends = entry.interval.map { percent(axis.position($0)) }
        let symbol =
            switch entry.verdict {
            case .regression: "▲ worse "
            case .improvement: "▼ better "
            default: ""
            }
        return """
            <div class="orow \(entry.verdict.rawValue)" title="p = \(String(format: "%.2g", entry.probability))"><span class="who">\(escaped("\(entry.section): \(entry.metric.title)")) <i>\(escaped(entry.subject))</i></span>\
            <svg height="22" aria-hidden="true"><rect class="band" x="\(percent(band[0]))" width="\(percent(band[1] - band[0]))" y="0" height="22"/>\
            <line class="interval" x1="\(ends[0])" x2="\(ends[1])" y1="11" y2="11"/><circle cx="\(percent(axis.position(entry.change)))" cy="11" r="4"/></svg>\
            <span class="best">\(symbol)\(ComparisonTable.percent(entry.change))<i>\(Figure.text(entry.old)) → \(Figure.text(entry.new)) \(escaped(entry.metric.unit))</i></span></div>

            """
    }
}
