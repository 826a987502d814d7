// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The hot paths one operation at a time: `MicroBenchmarkProbe` of the product's package, which sees its internals.
struct MicroScenario: Scenario {
    static let name = "micro"
    static let summary = "checksums, packets, the event loop, launch plans, records: nanoseconds and allocations"
    static let parts = ["micro"]
    static let thorough = Profile(rounds: 15, warmUp: 1, secondsPerPart: 60)
    static let quick = Profile(rounds: 7, warmUp: 1, secondsPerPart: 8)

    private struct Entry: Decodable {
        let title: String
        let nanoseconds: [Double]
        let allocations: Double
    }

    private let bench: Bench

    init(_ bench: Bench) { self.bench = bench }

    func run(report: inout Report) throws {
        var section = MetricReport(
            id: "micro", title: "Micro-benchmarks",
            method:
                "One operation at a time on one thread, in a program of its own per round; the median of three samples. Allocations have thresholds in the unit tests (MicroBenchmarkTests).",
            wantedRounds: bench.options.rounds, seed: bench.options.seed)
        guard let program = bench.tools.samara("MicroBenchmarkProbe"), let samara = bench.tools.samara("samara") else {
            section.absent = [AbsentPeer(peer: "samara", reason: "MicroBenchmarkProbe is not beside the executables")]
            report.metrics.append(section)
            return
        }
        let version = try bench.runner.version(of: samara, bench.holder.environment)
        section.subjects = [MetricReport.Subject(name: "samara \(version)")]
        defer { report.metrics.append(section) }
        let command = Command(
            path: program, arguments: ["--milliseconds", "4", "--samples", "3"],
            environment: bench.holder.environment)
        try Rounds(bench).measure("micro", &section) { _ in
            let text = try bench.runner.output(command)
            guard let entries = try? JSONDecoder().decode([String: Entry].self, from: Data(text.utf8)) else {
                throw BenchError("\(program) printed no JSON object of benchmarks")
            }
            return entries.sorted { $0.key < $1.key }.flatMap { id, entry -> [(Metric, Double)] in
                guard let time = Distribution(entry.nanoseconds).median else { return [] }
                return [
                    (Metric(id: id, title: entry.title, unit: "ns", better: .lower), time),
                    (
                        Metric(
                            id: id + "-allocations", title: entry.title + ", allocations", unit: "", better: .lower,
                            isDetail: true), entry.allocations
                    ),
                ]
            }
        }
    }

    func cleanUp() {}
}
