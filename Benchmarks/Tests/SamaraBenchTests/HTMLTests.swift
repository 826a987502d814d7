// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

@Suite struct HTMLTests {
    private func report() -> Report {
        var section = MetricReport(id: "start/run", title: "run: <alone>", method: "a & b", wantedRounds: 2, seed: 1)
        section.subjects = ["floor", "samara 0.1.0", "podman \"5\""].map { MetricReport.Subject(name: $0) }
        section.subjects.append(MetricReport.Subject(name: "runc", label: "run"))
        section.subjects[3].failures = ["status 1: it does <not> work"]
        let wall = Metric(id: "wall", title: "time", unit: "ms", better: .lower, hasTail: true, isHeadline: true)
        for round in 0..<200 {
            for subject in 0..<3 {
                section.add(Double(subject + 1) * (5 + Double(round % 7)), wall, subject: subject, round: round)
            }
        }
        for count in [1.0, 10, 100] {
            let metric = Metric(
                id: "ps-\(count)", title: "ps", unit: "ms", better: .lower,
                at: Metric.Point(curve: "ps -a", axis: "containers", x: count))
            for subject in 0..<3 { section.add(count * Double(subject + 1), metric, subject: subject, round: 0) }
        }
        section.absent = [AbsentPeer(peer: "crun", reason: "not installed")]
        var report = Report(command: "samara-bench all", scenario: "all", facts: .gather(workspace: "/"))
        report.metrics = [section]
        return report
    }

    /// Every element that is opened is closed, in order: as XML would demand it.
    @Test func theMarkupIsBalanced() throws {
        let html = HTMLReport(
            report: report(), comparison: Comparison(old: report(), new: report(), threshold: 0.05), jsonName: "a.json"
        ).html
        var open: [Substring] = []
        let body = try #require(html.range(of: "<body>")).lowerBound
        let end = try #require(html.range(of: "</html>")).lowerBound
        for piece in html[body..<end].split(separator: "<") {
            guard let close = piece.firstIndex(of: ">") else { continue }
            let tag = piece[..<close]
            if tag.hasPrefix("/") {
                #expect(open.popLast() == tag.dropFirst(), "at \(piece.prefix(60))")
            } else if !tag.hasSuffix("/"), let name = tag.split(separator: " ").first {
                open.append(name)
            }
        }
        #expect(open.isEmpty)
    }

    @Test func nothingComesFromElsewhereAndTextIsNoMarkup() {
        let html = HTMLReport(report: report()).html
        for forbidden in ["http:", "https:", "<script", "<link", "<img", "url(", "@import", "<alone>", "<not>"] {
            #expect(!html.contains(forbidden), "\(forbidden)")
        }
        #expect(html.contains("run: &lt;alone&gt;"))
        #expect(html.contains("not measured</b> crun: not installed"))
        #expect(html.contains("not measured</b> runc, run: status 1: it does &lt;not&gt; work"))
    }

    @Test func axesHoldTheirValuesAndWriteRoundOnes() {
        for values in [[3.0, 4, 5], [0.0, 10], [0.4, 900], [1.0, 500], [0.003, 0.0031]] {
            let axis = Axis(values)
            for value in values { #expect((0...1).contains(axis.position(value))) }
            #expect((2...12).contains(axis.ticks.count), "\(values): \(axis.ticks)")
            #expect(axis.ticks == axis.ticks.sorted())
        }
        #expect(Axis([1, 500]).isLogarithmic)
        #expect(!Axis([0, 500]).isLogarithmic)
    }

    @Test func aTailIsNamedOnlyWhereItIsKnown() {
        #expect(Percentiles((1...99).map { Double($0) }).value(at: 99) == nil)
        let thousand = Percentiles((1...1000).map { Double($0) })
        #expect(thousand.value(at: 99.9).map { abs($0 - 999) < 2 } == true)
        #expect(thousand.value(at: 50).map { abs($0 - 500) < 1 } == true)
        // Three digits of the smallest value survive, whatever the unit.
        #expect(Percentiles([0.001_23, 0.001_23]).value(at: 50).map { abs($0 - 0.001_23) < 1e-5 } == true)
    }
}
