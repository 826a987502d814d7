// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// From `pod create` to the first byte that a server in the pod answers through a published port: what a user waits
/// for.
final class FirstByteScenario: Scenario {
    static let name = "first-byte"
    static let summary = "from pod create to the first byte through a published port"
    static let parts = ["first-byte"]
    static let thorough = Profile(rounds: 40, warmUp: 1, secondsPerPart: 120)
    static let quick = Profile(rounds: 12, warmUp: 1, secondsPerPart: 15)

    private static let total = Metric(
        id: "total", title: "pod create to first byte", unit: "ms", better: .lower, hasTail: true, isHeadline: true)
    private static let create = Metric(id: "create", title: "pod create", unit: "ms", better: .lower, isDetail: true)
    private static let run = Metric(id: "run", title: "run -d", unit: "ms", better: .lower, isDetail: true)
    private static let wait = Metric(id: "wait", title: "until the byte", unit: "ms", better: .lower, isDetail: true)
    private static let remove = Metric(id: "remove", title: "pod rm -f", unit: "ms", better: .lower)

    private let bench: Bench
    private var engines: EngineSet?

    init(_ bench: Bench) { self.bench = bench }

    func run(report: inout Report) throws {
        let engines = try EngineSet(bench)
        self.engines = engines
        var section = MetricReport(
            id: "first-byte", title: "From pod create to the first byte served",
            method:
                "pod create -p, run -d --pod with an echo server, then connections to the port until a byte comes back. The limit is the server as a plain process on the host.",
            wantedRounds: bench.options.rounds, seed: bench.options.seed)
        section.subjects = engines.engines.map { MetricReport.Subject(name: $0.name) }
        section.subjects.append(MetricReport.Subject(name: "direct", role: .limit, note: "a process on the host"))
        section.absent = engines.absent
        defer { report.metrics.append(section) }
        try Rounds(bench).measure("first byte", &section) { index in
            index < engines.engines.count ? try serve(engines.engines[index]) : try serveDirectly()
        }
    }

    func cleanUp() { engines?.cleanUp() }

    private func serve(_ engine: ContainerEngine) throws -> [(Metric, Double)] {
        let port = Int(cbench_free_port())
        let removal = engine.command("pod", "rm", "-f", "-t", "0", "first")
        do {
            let began = cbench_now_ns()
            try bench.runner.start(
                engine.command("pod", "create", "--name", "first", "-p", "127.0.0.1:\(port):7000"))
            let created = cbench_now_ns()
            try bench.runner.start(
                engine.command(
                    "run", "-d", "--pod", "first", "-v", "\(bench.tools.programFolder):/programs:ro",
                    ContainerEngine.image,
                    "/programs/net-load", "serve", "7000"))
            let started = cbench_now_ns()
            try bench.runner.awaitFirstByte(port: port, limitMilliseconds: 10_000)
            let served = cbench_now_ns()
            bench.runner.adoptResidents()
            try bench.runner.output(removal)
            let removed = cbench_now_ns()
            return [
                (Self.total, milliseconds(began, served)), (Self.create, milliseconds(began, created)),
                (Self.run, milliseconds(created, started)), (Self.wait, milliseconds(started, served)),
                (Self.remove, milliseconds(served, removed)),
            ]
        } catch let error as BenchError {
            _ = try? bench.runner.run(removal)
            throw error
        }
    }

    private func serveDirectly() throws -> [(Metric, Double)] {
        let port = Int(cbench_free_port())
        let began = cbench_now_ns()
        let server = try bench.runner.startResident(
            Command(
                path: try bench.tools.program("net-load"), arguments: ["serve", "\(port)"],
                environment: bench.holder.environment))
        try bench.runner.awaitFirstByte(port: port, limitMilliseconds: 10_000)
        let served = cbench_now_ns()
        bench.runner.endResident(server.pid)
        close(server.input)
        return [(Self.total, milliseconds(began, served))]
    }

    private func milliseconds(_ from: UInt64, _ to: UInt64) -> Double { Double(to - from) / 1e6 }
}
