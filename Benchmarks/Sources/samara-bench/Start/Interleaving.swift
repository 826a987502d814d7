// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One thing to measure: commands whose times are added up, by one peer.
struct Case {
    /// Unique in its group.
    let id: String
    /// Which tool, with its version.
    let peer: String
    let label: String
    let steps: [Command]
    /// What the reader must know to compare.
    var note: String?
}

/// Cases that do the same, and are compared.
struct Group {
    let id: String
    let title: String
    var cases: [Case]
    /// Peers that cannot take part, with the reason.
    var absent: [AbsentPeer] = []
}

/// Runs the cases of a group round by round: time, CPU, page faults, system calls.
struct Interleaving {
    static let wall = Metric(id: "wall", title: "time", unit: "ms", better: .lower, hasTail: true, isHeadline: true)
    static let cpu = Metric(id: "cpu", title: "cpu", unit: "ms", better: .lower)
    static let detached = Metric(id: "detached", title: "detached cpu", unit: "ms", better: .lower, isDetail: true)
    static let faults = Metric(id: "faults", title: "page faults", unit: "", better: .lower, isDetail: true)
    static let calls = Metric(id: "calls", title: "system calls", unit: "", better: .lower, isDetail: true)

    let runner: ProcessRunner
    var rounds: Rounds
    let options: Options
    /// strace's file, if system calls are to be counted, and the folder for its output.
    var tracer: (path: String, directory: String)?

    func measure(_ group: Group) throws -> MetricReport {
        var report = MetricReport(
            id: "start/" + group.id, title: "\(group.id): \(group.title)",
            method:
                "Whole commands, from before the spawn to after the wait; cpu is user and system time of the command and of all it left behind (detached).",
            wantedRounds: rounds.count, seed: rounds.seed)
        report.hasSubjectRows = true
        report.subjects = group.cases.map {
            MetricReport.Subject(name: $0.peer, label: $0.label, note: $0.note, commands: $0.steps.map(\.text))
        }
        for index in report.subjects.indices {
            let delay = options.delay(of: report.subjects[index].name)
            guard delay > 0 else { continue }
            let note = "delayed on purpose by \(delay) ms in every run"
            report.subjects[index].note = report.subjects[index].note.map { "\($0); \(note)" } ?? note
        }
        report.absent = group.absent
        try rounds.measure(group.id, &report) { index in
            let sample = try run(group.cases[index])
            return [
                (Self.wall, Double(sample.wallNanoseconds) / 1e6), (Self.cpu, Double(sample.cpuNanoseconds) / 1e6),
                (Self.detached, Double(sample.detachedCPUNanoseconds) / 1e6),
                (Self.faults, Double(sample.minorFaults)),
            ]
        }
        for index in group.cases.indices where !report.subjects[index].values.isEmpty {
            if let calls = try countSystemCalls(group.cases[index]) {
                report.add(Double(calls), Self.calls, subject: index, round: 0)
            }
        }
        return report
    }

    /// After the rounds, because tracing stretches a run many times over.
    private func countSystemCalls(_ item: Case) throws -> Int? {
        guard let tracer else { return nil }
        var total = 0
        for step in item.steps {
            let file = tracer.directory + "/strace"
            try? FileManager.default.removeItem(atPath: file)
            let traced = Command(
                path: tracer.path, arguments: ["-f", "-c", "-o", file, "--", step.path] + step.arguments,
                environment: step.environment)
            do {
                guard try runner.run(traced).status == 0 else { return nil }
            } catch is BenchError { return nil }
            // "100.00    0.002115          15       135         2 total"
            let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
            let fields = text.split(separator: "\n").last { $0.hasSuffix(" total") }?.split(separator: " ") ?? []
            guard fields.count >= 5, let calls = Int(fields[3]) else { return nil }
            total += calls
        }
        return total
    }

    private func run(_ item: Case) throws -> Sample {
        var total: Sample?
        let delay = options.delay(of: item.peer)
        for var step in item.steps {
            step.delayMilliseconds = delay
            do {
                let outcome = try runner.run(step)
                guard outcome.status == 0 else { throw BenchError(ProcessRunner.reason(outcome)) }
                total = total.map { $0 + outcome.sample } ?? outcome.sample
            } catch let error as BenchError {
                throw BenchError("`\(step.text)`: \(error)")
            }
        }
        guard let total else { throw BenchError("nothing to run") }
        return total
    }
}
