// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A group's times as a table, the fastest first.
struct StartTable {
    private let group: GroupResult

    init(_ group: GroupResult) { self.group = group }

    var text: String {
        var lines = ["## \(group.id): \(group.title)", ""]
        var table = TextTable(
            ["what", "by", "n", "median ms", "p90", "p99", "cpu ms", "detached", "x floor", "cpu x floor", "x samara", "calls"],
            firstNumber: 2)
        let floor = group.cases.first { $0.id == "floor" && !$0.succeeded.isEmpty }
        let samara = group.cases.first { $0.peer.hasPrefix("samara ") && !$0.succeeded.isEmpty }
        let measured = group.cases.filter { !$0.succeeded.isEmpty }
        for item in measured.sorted(by: { (wall($0).median ?? 0) < (wall($1).median ?? 0) }) {
            let wall = wall(item)
            let cpu = Distribution(item.succeeded.map { Double($0.cpuNanoseconds) / 1e6 })
            let detached = Distribution(item.succeeded.map { Double($0.detachedCPUNanoseconds) / 1e6 })
            table.add([
                item.label, item.peer, "\(wall.count)", milliseconds(wall.median), milliseconds(wall.quantile(0.9)),
                milliseconds(wall.quantile(0.99)), milliseconds(cpu.median), milliseconds(detached.median),
                ratio(item, floor) { Double($0.wallNanoseconds) }, ratio(item, floor) { Double($0.cpuNanoseconds) },
                ratio(item, samara) { Double($0.wallNanoseconds) },
                item.systemCalls.map { "\($0)" } ?? "-",
            ])
        }
        lines.append(table.text)
        lines.append("")
        lines.append(
            "\(group.rounds) of \(group.wantedRounds) rounds, shuffled (seed \(group.seed)); ratios are medians of the ratios round by round; cpu is user and system time of the command and of all it left behind (detached)."
        )
        for item in measured where item.note != nil || !item.failures.isEmpty {
            var text = "* \(item.peer), \(item.label):"
            if let note = item.note { text += " \(note)." }
            if !item.failures.isEmpty { text += " Failed \(item.failures.count) times: \(item.failures[0])" }
            lines.append(text)
        }
        for item in group.cases where item.succeeded.isEmpty {
            lines.append(
                "* **not measured**: \(item.peer), \(item.label): \(item.failures.first ?? "no round was run")")
        }
        for peer in group.absent { lines.append("* **not measured**: \(peer.peer): \(peer.reason)") }
        return lines.joined(separator: "\n")
    }

    private func wall(_ item: CaseResult) -> Distribution {
        Distribution(item.succeeded.map { Double($0.wallNanoseconds) / 1e6 })
    }

    private func milliseconds(_ value: Double?) -> String { value.map { String(format: "%.2f", $0) } ?? "-" }

    /// The median of the ratios of rounds in which both succeeded.
    private func ratio(_ item: CaseResult, _ base: CaseResult?, _ value: (Sample) -> Double) -> String {
        guard let base else { return "-" }
        let ratios = zip(item.samples, base.samples).compactMap { mine, theirs -> Double? in
            guard let mine, let theirs, value(theirs) > 0 else { return nil }
            return value(mine) / value(theirs)
        }
        return Distribution(ratios).median.map { String(format: "%.2f", $0) } ?? "-"
    }
}
