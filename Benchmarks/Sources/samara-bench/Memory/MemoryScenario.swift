// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// What an engine's own processes cost while containers idle: pods with a published port and one sleeping container
/// each.
final class MemoryScenario: Scenario {
    static let name = "memory"
    static let summary = "memory, processes, descriptors and wake-ups of an engine by number of idle pods"
    static let parts = ["pods"]
    static let thorough = Profile(rounds: 3, secondsPerPart: 180)
    static let quick = Profile(rounds: 1, secondsPerPart: 30)

    private let bench: Bench
    private var engines: EngineSet?

    init(_ bench: Bench) { self.bench = bench }

    private var steps: [Int] { bench.options.isQuick ? [1, 5, 10] : [1, 5, 20] }

    func run(report: inout Report) throws {
        let engines = try EngineSet(bench)
        self.engines = engines
        var section = MetricReport(
            id: "memory/pods", title: "An engine's own processes, by number of idle pods",
            method:
                "Each pod publishes a port and runs one sleeping container. Everything the engine leaves running is counted, without the containers' own processes: proportional set size, or resident memory (an upper bound of it) of processes that may not be inspected.",
            wantedRounds: bench.options.rounds, seed: bench.options.seed)
        section.subjects = engines.engines.map { MetricReport.Subject(name: $0.name) }
        section.absent = engines.absent
        var unreadable = [Set<String>](repeating: [], count: section.subjects.count)
        defer {
            for (index, names) in unreadable.enumerated() where !names.isEmpty {
                section.subjects[index].note = "not inspectable: " + names.sorted().joined(separator: ", ")
            }
            report.metrics.append(section)
        }
        try Rounds(bench).measure("memory", &section) { index in
            try measure(engines.engines[index], &unreadable[index])
        }
    }

    func cleanUp() { engines?.cleanUp() }

    private func measure(_ engine: ContainerEngine, _ unreadable: inout Set<String>) throws -> [(Metric, Double)] {
        defer {
            engine.cleanUp(bench.runner)
            bench.runner.adoptResidents()
        }
        let before = bench.runner.descendants()
        var figures: [(Metric, Double)] = []
        var made = 0
        for step in steps {
            while made < step {
                try addPod(engine, made)
                made += 1
            }
            let own = bench.runner.descendants().subtracting(before).filter { ProcessFootprint.name($0) != "sleep" }
            let footprint = ProcessFootprint(own)
            unreadable.formUnion(footprint.unreadable)
            figures += self.figures(footprint, pods: step)
            if step == steps.last {
                let sleeps = ProcessFootprint.sleeps(own)
                let began = cbench_now_ns()
                let seconds = max(2, bench.options.loadSeconds)
                while Double(cbench_now_ns() - began) / 1e9 < seconds { try bench.runner.pause(milliseconds: 500) }
                let elapsed = Double(cbench_now_ns() - began) / 1e9
                figures.append(
                    (
                        Metric(
                            id: "wakeups", title: "wake-ups of all processes, \(step) idle pods", unit: "/s",
                            better: .lower),
                        Double(ProcessFootprint.sleeps(own) - sleeps) / elapsed
                    ))
            }
        }
        return figures
    }

    private func addPod(_ engine: ContainerEngine, _ number: Int) throws {
        let port = cbench_free_port()
        try bench.runner.start(
            engine.command("pod", "create", "--name", "idle-\(number)", "-p", "127.0.0.1:\(port):80"))
        try bench.runner.start(
            engine.command("run", "-d", "--pod", "idle-\(number)", ContainerEngine.image, "sleep", "86400"))
        bench.runner.adoptResidents()
    }

    private func figures(_ footprint: ProcessFootprint, pods: Int) -> [(Metric, Double)] {
        func metric(_ id: String, _ curve: String, _ unit: String) -> Metric {
            Metric(
                id: "\(id)-\(pods)", title: "\(curve), \(pods) pod\(pods == 1 ? "" : "s")", unit: unit, better: .lower,
                isHeadline: id == "memory" && (pods == steps.first || pods == steps.last),
                at: Metric.Point(curve: curve, axis: "pods", x: Double(pods)))
        }
        return [
            (metric("memory", "memory", "MiB"), footprint.mebibytes),
            (metric("processes", "processes", ""), Double(footprint.processes)),
            (metric("descriptors", "descriptors", ""), Double(footprint.descriptors)),
        ]
    }
}
