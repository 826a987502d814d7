// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// How the time of everyday commands grows with what is already there: created containers, running containers, pods.
final class ScaleScenario: Scenario {
    static let name = "scale"
    static let summary = "start, list and create beside 1,000 created and 200 running containers, and up to 500 pods"
    static let parts = ["created", "running", "pods"]
    static let thorough = Profile(rounds: 7, secondsPerPart: 240)
    static let quick = Profile(rounds: 3, secondsPerPart: 10)

    /// Each command at every number of what is there.
    private struct Stage {
        let part: String
        let title: String
        let axis: String
        let counts: [Int]
        /// Makes number `index`.
        let grow: (ContainerEngine, Int) -> Command
        let commands: [(id: String, title: String, command: (ContainerEngine) -> [Command])]
        let countsMemory: Bool
    }

    private let bench: Bench
    private var engines: EngineSet?

    init(_ bench: Bench) { self.bench = bench }

    func run(report: inout Report) throws {
        let engines = try EngineSet(bench)
        self.engines = engines
        for stage in stages where bench.options.groups.contains(stage.part) {
            var section = MetricReport(
                id: "scale/" + stage.part, title: stage.title,
                method:
                    "Medians of \(bench.options.rounds) rounds at each number. An engine that would need too long to get there is measured as far as it came.",
                wantedRounds: bench.options.rounds, seed: bench.options.seed)
            section.subjects = engines.engines.map { MetricReport.Subject(name: $0.name) }
            section.absent = engines.absent
            defer { report.metrics.append(section) }
            try measure(stage, engines.engines, &section)
            // Hundreds of containers take Podman a while.
            engines.cleanUp(limitSeconds: 120)
            bench.runner.adoptResidents()
        }
    }

    func cleanUp() { engines?.cleanUp() }

    // MARK: What is measured

    private var stages: [Stage] {
        let image = ContainerEngine.image
        let quick = bench.options.isQuick
        let run = (
            "run", "run --rm", { (engine: ContainerEngine) in
                [engine.command("run", "--rm", "--network", "none", image, "true")]
            }
        )
        let list = ("ps", "ps -a", { (engine: ContainerEngine) in [engine.command("ps", "-a")] })
        return [
            Stage(
                part: "created", title: "Beside created containers", axis: "created containers",
                counts: quick ? [1, 50, 200] : [1, 100, 300, 1000],
                grow: { engine, index in engine.command("create", "--name", "made-\(index)", image, "true") },
                commands: [run, list], countsMemory: false),
            Stage(
                part: "running", title: "Beside running containers", axis: "running containers",
                counts: quick ? [1, 20] : [1, 50, 200],
                grow: { engine, index in
                    engine.command(
                        "run", "-d", "--network", "none", "--name", "runs-\(index)", image, "sleep", "86400")
                }, commands: [run, list], countsMemory: true),
            Stage(
                part: "pods", title: "Beside pods", axis: "pods, created", counts: quick ? [1, 50] : [1, 50, 200, 500],
                grow: { engine, index in engine.command("pod", "create", "--name", "pod-\(index)") },
                commands: [
                    (
                        "pod", "pod create and rm",
                        { [$0.command("pod", "create", "--name", "cycle"), $0.command("pod", "rm", "cycle")] }
                    ),
                    ("podps", "pod ps", { [$0.command("pod", "ps")] }),
                ], countsMemory: false),
        ]
    }

    // MARK: Measuring

    private func measure(
        _ stage: Stage, _ engines: [ContainerEngine], _ section: inout MetricReport
    ) throws {
        // Each engine may take its share of the time for making containers.
        var spent = [UInt64](repeating: 0, count: engines.count)
        let share = UInt64(bench.options.secondsPerGroup * 1e9) / UInt64(max(1, engines.count))
        var made = [Int](repeating: 0, count: engines.count)
        var active = Set(engines.indices)
        let before = bench.runner.descendants()
        var owned = [Set<Int32>](repeating: [], count: engines.count)
        for count in stage.counts {
            bench.progress.say("\(stage.part): \(count) \(stage.axis)")
            for index in engines.indices where active.contains(index) {
                let others = bench.runner.descendants()
                do {
                    while made[index] < count {
                        guard spent[index] < share else {
                            throw BenchError("\(count) \(stage.axis) not reached in time: it came to \(made[index])")
                        }
                        let began = cbench_now_ns()
                        try bench.runner.start(stage.grow(engines[index], made[index]))
                        spent[index] += cbench_now_ns() - began
                        made[index] += 1
                    }
                } catch let error as BenchError {
                    section.subjects[index].failures.append(error.description)
                    active.remove(index)
                }
                bench.runner.adoptResidents()
                owned[index].formUnion(bench.runner.descendants().subtracting(others))
            }
            guard !active.isEmpty else { return }
            try measure(stage, count, engines, active, owned.map { $0.subtracting(before) }, &section)
        }
    }

    private func measure(
        _ stage: Stage, _ count: Int, _ engines: [ContainerEngine], _ active: Set<Int>, _ owned: [Set<Int32>],
        _ section: inout MetricReport
    ) throws {
        var generator = SeededGenerator(seed: bench.options.seed)
        for round in 0..<bench.options.rounds {
            for index in active.sorted().shuffled(using: &generator) {
                for (id, title, command) in stage.commands {
                    let metric = metric(id, title, "ms", stage, count)
                    do {
                        let wall = try command(engines[index]).reduce(UInt64(0)) { sum, step in
                            let result = try bench.runner.run(step)
                            guard result.status == 0 else { throw BenchError(ProcessRunner.reason(result)) }
                            return sum + result.sample.wallNanoseconds
                        }
                        section.add(Double(wall) / 1e6, metric, subject: index, round: round)
                    } catch let error as BenchError {
                        section.subjects[index].failures.append("\(title) beside \(count): \(error)")
                    }
                }
            }
            section.rounds = max(section.rounds, round + 1)
        }
        guard stage.countsMemory else { return }
        for index in active {
            let own = owned[index].filter { ProcessFootprint.name($0) != "sleep" }
            let metric = metric("memory", "memory of the engine", "MiB", stage, count)
            section.add(ProcessFootprint(own).mebibytes, metric, subject: index, round: 0)
        }
    }

    private func metric(_ id: String, _ title: String, _ unit: String, _ stage: Stage, _ count: Int) -> Metric {
        Metric(
            id: "\(id)-\(count)", title: "\(title) beside \(count)", unit: unit, better: .lower,
            isHeadline: count == stage.counts.last,
            at: Metric.Point(curve: title, axis: stage.axis, x: Double(count)))
    }
}
