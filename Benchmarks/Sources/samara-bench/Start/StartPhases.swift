// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// Where the time of a start goes, by Samara's own account: the points that its processes pass (SAMARA_TRACE).
///
/// Each phase ends at the point that it is named after and begins at the latest point before it, of whichever process:
/// the start is a chain, until its end is told. What the monitor does then, it does beside the command's end.
struct StartPhases {
    /// A line of the trace.
    struct Point: Equatable {
        let nanoseconds: UInt64
        let name: String
    }

    let runner: ProcessRunner
    let rounds: Rounds
    /// Where the trace is written.
    let file: String

    func measure(_ command: Command, by peer: String) throws -> MetricReport {
        var report = MetricReport(
            id: "start/phases", title: "phases: run --rm, from inside",
            method:
                "Samara's own trace (SAMARA_TRACE) of `\(command.text)`: the time up to each point from the point before, whichever process passed it. `exec` is what the kernel and the runtime need until the program's first line.",
            wantedRounds: rounds.count, seed: rounds.seed)
        report.subjects = [MetricReport.Subject(name: peer, commands: [command.text])]
        var traced = command
        traced.environment["SAMARA_TRACE"] = file
        try rounds.measure("phases", &report) { _ in
            try? FileManager.default.removeItem(atPath: file)
            let began = cbench_now_ns()
            let outcome = try runner.run(traced)
            guard outcome.status == 0 else { throw BenchError(ProcessRunner.reason(outcome)) }
            let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
            let phases = Self.phases(Self.points(text), began: began)
            guard !phases.isEmpty else { throw BenchError("this samara writes no trace") }
            return phases.map { phase in
                (
                    Metric(id: phase.name, title: phase.name, unit: "us", better: .lower, isDetail: true),
                    Double(phase.nanoseconds) / 1000
                )
            }
        }
        return report
    }

    /// The points of a trace in the order of time.
    static func points(_ text: String) -> [Point] {
        text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, let time = UInt64(parts[0]) else { return nil }
            return Point(nanoseconds: time, name: String(parts[1]))
        }.sorted { $0.nanoseconds < $1.nanoseconds }
    }

    /// The phases that end at these points.
    static func phases(_ points: [Point], began: UInt64) -> [Point] {
        var phases: [Point] = []
        var last = began
        for point in points where point.nanoseconds >= began {
            let isBeside = point.name == "monitor removed"
            let base = isBeside ? points.first { $0.name == "monitor cleaned" }?.nanoseconds ?? last : last
            let name = point.name == "command begun" ? "exec" : point.name
            phases.append(Point(nanoseconds: point.nanoseconds - base, name: name))
            if !isBeside { last = point.nanoseconds }
        }
        // Its row is the last one, whoever was first.
        if let index = phases.firstIndex(where: { $0.name == "monitor removed" }) {
            phases.append(phases.remove(at: index))
        }
        return phases
    }
}
