// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Everything on one scale: how many times worse than Samara each peer is, metric by metric.
struct Overview {
    private struct Row {
        let section: MetricReport
        let metric: Metric
        /// Above 1 is worse than Samara, whichever way is good.
        let others: [(subject: MetricReport.Subject, worse: Double)]
    }

    private let rows: [Row]

    init(_ report: Report) {
        rows = report.metrics.flatMap { section -> [Row] in
            guard let samara = section.samara else { return [] }
            // A scenario that names no headlines has all its plain metrics here.
            let headlines = section.metrics.filter(\.isHeadline)
            let shown = headlines.isEmpty ? section.metrics.filter { $0.point == nil && !$0.isDetail } : headlines
            return shown.compactMap { metric -> Row? in
                let others = section.subjects.indices.compactMap {
                    index -> (subject: MetricReport.Subject, worse: Double)? in
                    guard section.subjects[index].role != .samara,
                        // A variant of the floor is no limit of the whole.
                        section.subjects[index].role == .peer || index == section.limit,
                        let ratio = section.ratio(of: index, to: samara, metric.id), ratio > 0
                    else { return nil }
                    return (section.subjects[index], metric.better == .higher ? 1 / ratio : ratio)
                }
                return others.isEmpty ? nil : Row(section: section, metric: metric, others: others)
            }
        }
    }

    var html: String {
        guard !rows.isEmpty else { return "" }
        let all: [Double] = rows.flatMap { row in row.others.map { $0.worse } }
        let axis = Axis(all + [0.5, 2], span: 1)
        var text = ""
        var section = ""
        for row in rows {
            // A section with a single figure needs no heading of its own.
            let isOnly = rows.count { $0.section.id == row.section.id } == 1
            if row.section.title != section, !isOnly {
                text += "<p class=\"group\">\(escaped(row.section.title))</p>"
            }
            section = row.section.title
            text += html(row, isOnly ? row.section.title : row.metric.title, axis)
        }
        let ticks = axis.ticks.filter { [1, 10, 100, 1000].contains($0) || (axis.upper / axis.lower < 50) }
        let labels = ticks.map { tick in
            let position = percent(axis.position(tick))
            return "<text x=\"\(position)\" y=\"14\" text-anchor=\"middle\">×\(Axis.label(tick))</text>"
        }.joined()
        return """
            <h2>At a glance</h2>
            <p class="method">Each mark is a peer's figure over Samara's, round by round: right of the line it takes longer, \
            costs more or carries less than Samara. The open mark is the limit; named is the best peer (* does less than the others: \
            see its note). Logarithmic.</p>
            <div class="overview">\(text)<div class="orow"><span class="who"></span><svg height="18" aria-hidden="true">\(labels)</svg><span class="best"></span></div></div>

            """
    }

    private func html(_ row: Row, _ title: String, _ axis: Axis) -> String {
        let one = percent(axis.position(1))
        var svg = "<line class=\"one\" x1=\"\(one)\" x2=\"\(one)\" y1=\"0\" y2=\"22\"/>"
        for (subject, worse) in row.others {
            svg +=
                "<circle class=\"\(subject.style)\" cx=\"\(percent(axis.position(worse)))\" cy=\"11\" r=\"4\"><title>\(escaped(subject.fullName)): ×\(Figure.ratio(worse))</title></circle>"
        }
        let best = row.others.filter { $0.subject.role == .peer }.min { $0.worse < $1.worse }
        let text = best.map { "×\(Figure.ratio($0.worse)) \(escaped($0.subject.shortName))" + ($0.subject.note == nil ? "" : " *") } ?? ""
        let limit = row.others.first { $0.subject.role == .limit }.map { "limit ×\(Figure.ratio($0.worse))" } ?? ""
        return """
            <div class="orow"><span class="who">\(escaped(title))</span><svg height="22" aria-hidden="true">\(svg)</svg>\
            <span class="best" title="the best peer, and the limit">\(text)<i>\(limit)</i></span></div>

            """
    }
}
