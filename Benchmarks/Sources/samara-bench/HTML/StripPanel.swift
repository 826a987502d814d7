// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One metric: a row for each subject with a dot for every round and a bar at the median, the best first.
struct StripPanel {
    private let report: MetricReport
    private let metric: Metric

    init(_ report: MetricReport, _ metric: Metric) {
        self.report = report
        self.metric = metric
    }

    private static let rowHeight = 20

    var html: String {
        let order = MetricTable.order(report, by: metric)
        guard !order.isEmpty else { return "" }
        let axis = axis(order)
        let limit = report.limit.flatMap { Distribution(report.subjects[$0].known(metric.id)).median }
        var rows = ""
        for index in order { rows += row(index, axis, limit) }
        let direction =
            switch metric.better {
            case .lower: "less is better"
            case .higher: "more is better"
            case .neither: ""
            }
        let scale = axis.isLogarithmic ? "logarithmic" : ""
        let hints = [direction, scale].filter { !$0.isEmpty }.joined(separator: ", ")
        return """
            <figure class="panel"><figcaption>\(escaped(metric.heading)) <span>\(hints)</span></figcaption>
            <div class="strips">\(rows)\(axisRow(axis, limit))</div></figure>

            """
    }

    /// A single round far from the rest must not press all others into a corner: it is drawn at the edge.
    private func axis(_ order: [Int]) -> Axis {
        let distributions = order.map { Distribution(report.subjects[$0].known(metric.id)) }
        let all = distributions.flatMap { [$0.quantile(0), $0.quantile(1)].compactMap { $0 } }
        let usual = distributions.compactMap { $0.quantile(0.9) }
        let most = min(all.max() ?? 1, (usual.max() ?? 1) * 1.5)
        return Axis(all.filter { $0 <= most } + [most])
    }

    private func row(_ index: Int, _ axis: Axis, _ limit: Double?) -> String {
        let subject = report.subjects[index]
        let values = subject.known(metric.id)
        let height = Self.rowHeight
        let middle = height / 2
        var svg = ""
        if let limit {
            let x = percent(axis.position(limit))
            svg += "<line class=\"limitline\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"\(height)\"/>"
        }
        for value in values {
            svg +=
                value > axis.upper
                ? "<text class=\"beyond\" x=\"100%\" y=\"\(middle + 4)\" text-anchor=\"end\">›</text>"
                : "<circle cx=\"\(percent(axis.position(value)))\" cy=\"\(middle)\" r=\"2.4\"/>"
        }
        let median = Distribution(values).median ?? 0
        let x = percent(axis.position(median))
        svg += "<line class=\"median\" x1=\"\(x)\" x2=\"\(x)\" y1=\"3\" y2=\"\(height - 3)\"/>"
        let limitIndex = report.limit
        let ratio = limitIndex.flatMap { report.ratio(of: index, to: $0, metric.id) }.map { "×" + Figure.ratio($0) } ?? ""
        // Where every tool takes part once, what it does is the section's title.
        let isOnly = report.subjects.count { $0.name == subject.name } == 1
        let label =
            escaped(subject.shortName) + (isOnly ? "" : subject.label.map { " <i>\(escaped($0))</i>" } ?? "")
        let spread =
            values.count > 1
            ? ", \(Figure.text(values.min())) to \(Figure.text(values.max())) in \(values.count) rounds" : ""
        let title = escaped("\(subject.fullName): \(Figure.text(median)) \(metric.unit)\(spread)")
        return """
            <div class="strip \(subject.style)" title="\(title)"><span class="who">\(label)</span>\
            <svg height="\(height)" aria-hidden="true">\(svg)</svg>\
            <span class="value">\(Figure.text(median))</span><span class="ratio">\(ratio)</span></div>

            """
    }

    private func axisRow(_ axis: Axis, _ limit: Double?) -> String {
        var ticks = ""
        var last = -1.0
        for tick in axis.ticks {
            let position = axis.position(tick)
            // Labels of a narrow plot must not run into each other.
            guard position - last > 0.2 || last < 0 else { continue }
            last = position
            let anchor = position < 0.05 ? "start" : position > 0.95 ? "end" : "middle"
            ticks +=
                "<line class=\"tick\" x1=\"\(percent(position))\" x2=\"\(percent(position))\" y1=\"0\" y2=\"4\"/><text x=\"\(percent(position))\" y=\"15\" text-anchor=\"\(anchor)\">\(Axis.label(tick))</text>"
        }
        let ratio =
            limit == nil ? "" : "<span class=\"ratio\" title=\"ratio to the limit, round by round\">× limit</span>"
        return
            "<div class=\"strip axis\"><span class=\"who\"></span><svg height=\"18\" aria-hidden=\"true\"><line class=\"tick\" x1=\"0\" x2=\"100%\" y1=\"0.5\" y2=\"0.5\"/>\(ticks)</svg><span class=\"value\"></span>\(ratio)</div>"
    }
}
