// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Curves over one axis, each labelled at its end.
struct LineChart {
    struct Line {
        let name: String
        let role: MetricReport.Role
        /// By x.
        let points: [(x: Double, y: Double)]
    }

    let title: String
    let hint: String
    let xTitle: String
    let lines: [Line]
    /// Places of x from 0 to 1, and the values written below.
    let place: (Double) -> Double
    let xTicks: [(value: Double, label: String)]

    private static let height = 230.0
    private static let labelHeight = 14.0

    var html: String {
        let axis = Axis(lines.flatMap { $0.points.map(\.y) }, span: 30)
        func y(_ value: Double) -> Double { (1 - axis.position(value)) * (Self.height - 12) + 6 }
        var drawing = ""
        for tick in axis.ticks {
            drawing += "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"\(y(tick))\" y2=\"\(y(tick))\"/>"
        }
        let peers = lines.filter { $0.role == .peer }.map(\.name)
        for line in lines.sorted(by: { ($0.role == .samara ? 1 : 0) < ($1.role == .samara ? 1 : 0) }) {
            drawing += "<g class=\"line \(style(line, peers))\">"
            for (from, to) in zip(line.points, line.points.dropFirst()) {
                drawing +=
                    "<line x1=\"\(percent(place(from.x)))\" y1=\"\(y(from.y))\" x2=\"\(percent(place(to.x)))\" y2=\"\(y(to.y))\"/>"
            }
            // A curve of many points needs no marks.
            if line.points.count <= 12 {
                for point in line.points {
                    drawing +=
                        "<circle cx=\"\(percent(place(point.x)))\" cy=\"\(y(point.y))\" r=\"2.6\"><title>\(escaped(line.name)): \(Figure.text(point.y))</title></circle>"
                }
            }
            drawing += "</g>"
        }
        let yLabels = axis.ticks.map {
            "<text x=\"100%\" y=\"\(y($0) + 4)\" text-anchor=\"end\">\(Axis.label($0))</text>"
        }.joined()
        let names = labels(y, peers)
        let scale = axis.isLogarithmic ? ", logarithmic" : ""
        return """
            <figure class="panel chart"><figcaption>\(escaped(title)) <span>\(escaped(hint))\(scale)</span></figcaption>
            <div class="plot"><svg class="ylabels" height="\(Int(Self.height))" aria-hidden="true">\(yLabels)</svg>\
            <svg height="\(Int(Self.height))" role="img" aria-label="\(escaped(title))">\(drawing)</svg>\
            <svg class="names" height="\(Int(Self.height))" aria-hidden="true">\(names)</svg>\
            <span></span><svg height="32" aria-hidden="true">\(xAxis)</svg><span></span></div></figure>

            """
    }

    private func style(_ line: Line, _ peers: [String]) -> String {
        line.role == .peer ? "peer peer\((peers.firstIndex(of: line.name) ?? 0) % 7)" : line.role.rawValue
    }

    /// At the height of each line's end, moved apart where they would overlap.
    private func labels(_ y: (Double) -> Double, _ peers: [String]) -> String {
        var places = lines.compactMap { line in line.points.last.map { (line: line, y: y($0.y)) } }
            .sorted { $0.y < $1.y }
        for index in places.indices.dropFirst() {
            places[index].y = max(places[index].y, places[index - 1].y + Self.labelHeight)
        }
        // Whatever ran out at the bottom pushes the others back up.
        var bottom = Self.height - 4
        for index in places.indices.reversed() {
            places[index].y = min(places[index].y, bottom)
            bottom = places[index].y - Self.labelHeight
        }
        return places.map { place in
            "<text class=\"\(style(place.line, peers))\" x=\"6\" y=\"\(place.y + 4)\">\(escaped(place.line.name))</text>"
        }.joined()
    }

    private var xAxis: String {
        var text = "<line class=\"tick\" x1=\"0\" x2=\"100%\" y1=\"0.5\" y2=\"0.5\"/>"
        var last = -1.0
        for tick in xTicks {
            let position = place(tick.value)
            guard position - last > 0.11 || last < 0 else { continue }
            last = position
            let anchor = position < 0.03 ? "start" : position > 0.97 ? "end" : "middle"
            text +=
                "<line class=\"tick\" x1=\"\(percent(position))\" x2=\"\(percent(position))\" y1=\"0\" y2=\"4\"/><text x=\"\(percent(position))\" y=\"15\" text-anchor=\"\(anchor)\">\(escaped(tick.label))</text>"
        }
        return text + "<text class=\"axistitle\" x=\"50%\" y=\"29\" text-anchor=\"middle\">\(escaped(xTitle))</text>"
    }

    // MARK: From a section

    /// A chart for each curve that the metrics belong to, in their order.
    static func curves(_ report: MetricReport) -> [LineChart] {
        var names: [String] = []
        for metric in report.metrics {
            if let curve = metric.point?.curve, !names.contains(curve) { names.append(curve) }
        }
        return names.compactMap { curve in
            let metrics = report.metrics.filter { $0.point?.curve == curve }
            let lines = report.subjects.compactMap { subject -> Line? in
                let points = metrics.compactMap { metric -> (x: Double, y: Double)? in
                    guard let x = metric.point?.x, let median = Distribution(subject.known(metric.id)).median else {
                        return nil
                    }
                    return (x, median)
                }
                return points.isEmpty
                    ? nil : Line(name: subject.shortName, role: subject.role, points: points.sorted { $0.x < $1.x })
            }
            guard let first = metrics.first, let point = first.point, !lines.isEmpty else { return nil }
            let xs = Set(metrics.compactMap { $0.point?.x }).sorted()
            let axis = Axis(xs, span: 5, fromZero: false)
            let (least, most) = (xs.first ?? 0, xs.last ?? 1)
            return LineChart(
                title: first.unit.isEmpty ? curve : "\(curve), \(first.unit)",
                hint: first.better == .higher ? "more is better" : first.better == .lower ? "less is better" : "",
                xTitle: point.axis, lines: lines,
                place: { x in
                    guard most > least else { return 0.5 }
                    return axis.isLogarithmic && least > 0
                        ? (log(x) - log(least)) / (log(most) - log(least)) : (x - least) / (most - least)
                }, xTicks: xs.map { ($0, Axis.label($0)) })
        }
    }

    /// Latency by percentile, up to where there are enough values; nil when nobody has a hundred.
    static func percentiles(_ report: MetricReport, _ metric: Metric) -> LineChart? {
        let lines = report.subjects.compactMap { subject -> Line? in
            let known = subject.known(metric.id)
            guard known.count >= 100 else { return nil }
            let points = Percentiles(known).curve.map { (x: $0.percentile, y: $0.value) }
            return Line(name: subject.shortName, role: subject.role, points: points)
        }
        guard let most = lines.compactMap({ $0.points.last?.x }).max(), most > 0 else { return nil }
        let end = -log10(1 - most / 100)
        return LineChart(
            title: "\(metric.title) by percentile, \(metric.unit)", hint: "less is better",
            xTitle: "percentile of the rounds", lines: lines, place: { -log10(1 - $0 / 100) / end },
            xTicks: [0, 50, 90, 99, 99.9].filter { $0 <= most + 0.05 }.map { ($0, String(format: "%g", $0)) })
    }
}
