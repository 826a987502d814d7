// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The report as one file for a browser: no script, no font, no picture from elsewhere.
struct HTMLReport {
    let report: Report
    var comparison: Comparison?
    /// The file with the raw numbers, as a link from this one.
    var jsonName: String?

    var html: String {
        var body = header
        if let comparison { body += ComparisonSection(comparison).html }
        body += Overview(report).html
        body += contents
        for section in report.metrics { body += html(section) }
        body += footer
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
            <meta name="color-scheme" content="light dark"><title>samara-bench \(escaped(report.scenario))</title>
            <style>\(HTMLStyle.css)</style></head><body><main>
            \(body)</main></body></html>

            """
    }

    // MARK: Parts

    private var header: String {
        let facts = report.facts
        let busy = facts.wasBusy ? "<p class=\"warning\">The machine was busy: compare ratios, and those with care.</p>" : ""
        let stopped = report.stopped.map { "<p class=\"warning\">Stopped early: \(escaped($0))</p>" } ?? ""
        let minutes = String(format: "%.1f minutes", report.seconds / 60)
        return """
            <header><h1>Samara beside its peers</h1>
            <p class="lead">\(escaped(facts.date)) · \(facts.cores) × \(escaped(facts.processor)) · \
            \(facts.memoryMiB / 1024) GiB · kernel \(escaped(facts.kernel)) · \(escaped(facts.distribution)) · \(minutes)</p>
            <p><code>\(escaped(report.command))</code></p>\(busy)\(stopped)</header>

            """
    }

    private var contents: String {
        guard report.metrics.count > 1 else { return "" }
        let links = report.metrics.enumerated().map { index, section in
            "<a href=\"#s\(index)\">\(escaped(section.title))</a>"
        }
        return "<nav>\(links.joined())</nav>\n"
    }

    private func html(_ section: MetricReport) -> String {
        let index = report.metrics.firstIndex { $0.id == section.id } ?? 0
        var text = "<section id=\"s\(index)\"><h2>\(escaped(section.title))</h2>\n"
        if let method = section.method { text += "<p class=\"method\">\(escaped(method))</p>\n" }
        // With nobody to compare with, numbers say more than a drawing for each.
        let isAlone = section.subjects.count { !$0.values.isEmpty } == 1
        let plain = isAlone ? [] : section.metrics.filter { $0.point == nil && !$0.isDetail }
        let isWide = section.hasSubjectRows && section.subjects.count > 8
        text += "<div class=\"panels\(isWide ? " wide" : "")\">"
        for metric in plain { text += StripPanel(section, metric).html }
        for chart in LineChart.curves(section) { text += chart.html }
        for metric in plain where metric.hasTail { text += LineChart.percentiles(section, metric)?.html ?? "" }
        text += "</div>\n"
        let absent = missing(section)
        if !absent.isEmpty { text += "<ul class=\"missing\">\(absent)</ul>\n" }
        return text + NumberTable(section, isOpen: isAlone).html + "</section>\n"
    }

    /// Never a zero: whoever is missing is named, with the reason.
    private func missing(_ section: MetricReport) -> String {
        var lines: [String] = []
        for subject in section.subjects where subject.values.isEmpty {
            lines.append("\(subject.fullName): \(subject.failures.first ?? "no round was run")")
        }
        lines += section.absent.map { "\($0.peer): \($0.reason)" }
        return lines.map { "<li><b>not measured</b> \(escaped($0))</li>" }.joined()
    }

    private var footer: String {
        let facts = report.facts
        var rows = [
            ("Machine", "\(facts.cores) × \(facts.processor), \(facts.memoryMiB) MiB"),
            ("System", "\(facts.distribution), kernel \(facts.kernel), cgroups \(facts.cgroups)"),
            ("Files on", facts.fileSystem), ("As", facts.user), ("TCP", facts.congestionControl),
            ("Load average", "\(facts.loadAverageBefore) before, \(facts.loadAverageAfter) after"),
        ]
        rows += facts.containers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        let table = rows.map { "<dt>\(escaped($0.0))</dt><dd>\(escaped($0.1))</dd>" }.joined()
        let notes = facts.notes.map { "<li>\(escaped($0))</li>" }.joined()
        let raw = jsonName.map { "<p>Every raw number: <a href=\"\(escaped($0))\">\(escaped($0))</a>.</p>" } ?? ""
        return """
            <section id="method"><h2>Method and machine</h2>
            <p class="method">All subjects run in every round, in an order shuffled anew each time, so that whatever changes on the \
            machine changes for all. A dot is a round, a bar the median; ratios are medians of the ratios round by round. A \
            percentile is given only where enough values lie below it. The program that the kernel executed, or that used the \
            CPU while bytes were carried, is checked to be the one that is named. A peer that is missing or fails is named with \
            its reason and has no figure.</p>
            <dl>\(table)</dl><ul>\(notes)</ul>\(raw)</section>

            """
    }
}

/// A section's numbers as a table that scrolls in itself.
struct NumberTable {
    private let section: MetricReport
    private let isOpen: Bool

    init(_ section: MetricReport, isOpen: Bool) {
        self.section = section
        self.isOpen = isOpen
    }

    var html: String {
        let subjects = section.subjects.filter { !$0.values.isEmpty }
        guard !subjects.isEmpty else { return "" }
        let head = section.metrics.map { metric in
            "<th>\(escaped(metric.heading))</th>"
                + (metric.hasTail ? Percentiles.usual.dropFirst().map { "<th>p\(String(format: "%g", $0))</th>" }.joined() : "")
                + "<th>min – max</th>"
        }.joined()
        let rows = subjects.map { subject in
            "<tr class=\"\(subject.style)\"><th scope=\"row\">\(escaped(subject.fullName))</th>"
                + section.metrics.map { cells(subject, $0) }.joined() + "</tr>"
        }.joined(separator: "\n")
        var notes = subjects.compactMap { subject in
            subject.note.map { "<li>\(escaped(subject.fullName)): \(escaped($0))</li>" }
        }
        notes += subjects.filter { !$0.failures.isEmpty }.map {
            "<li><b>failed \($0.failures.count) times</b> \(escaped($0.fullName)): \(escaped($0.failures[0]))</li>"
        }
        let commands = subjects.compactMap { subject in
            subject.commands.map {
                "<li>\(escaped(subject.fullName)): <code>\(escaped($0.joined(separator: "; ")))</code></li>"
            }
        }
        let rowsOrColumns =
            subjects.count == 1
            ? metricRows(subjects[0])
            : "<table><thead><tr><th></th>\(head)</tr></thead><tbody>\n\(rows)</tbody></table>"
        return """
            <details\(isOpen ? " open" : "")><summary>Numbers, notes and commands (\(section.rounds) of \(section.wantedRounds) rounds, seed \(section.seed))</summary>
            <div class="scroll">\(rowsOrColumns)</div><ul>\((notes + commands).joined(separator: "\n"))</ul></details>

            """
    }

    /// A single subject's figures one below the other.
    private func metricRows(_ subject: MetricReport.Subject) -> String {
        let rows = section.metrics.map { metric in
            let known = subject.known(metric.id)
            let range = known.count > 1 ? "\(Figure.text(known.min())) – \(Figure.text(known.max()))" : "-"
            return
                "<tr><th scope=\"row\">\(escaped(metric.title))</th><td>\(Figure.text(Distribution(known).median))</td><td>\(escaped(metric.unit))</td><td class=\"range\">\(range)</td></tr>"
        }
        return "<table><tbody>\(rows.joined(separator: "\n"))</tbody></table>"
    }

    private func cells(_ subject: MetricReport.Subject, _ metric: Metric) -> String {
        let known = subject.known(metric.id)
        let values = Distribution(known)
        var text = "<td>\(Figure.text(values.median))</td>"
        if metric.hasTail {
            let tail = Percentiles(known)
            text += Percentiles.usual.dropFirst().map { "<td>\(Figure.text(tail.value(at: $0)))</td>" }.joined()
        }
        let range = known.count > 1 ? "\(Figure.text(known.min())) – \(Figure.text(known.max()))" : "-"
        return text + "<td class=\"range\">\(range)</td>"
    }
}
