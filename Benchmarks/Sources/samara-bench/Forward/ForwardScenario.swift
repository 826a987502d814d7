// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// TCP from a client on the host's loopback, and with hack/bench --remote from another host too, through a published port
/// to a server in a pod; beside the same without anything between, which is the limit.
final class ForwardScenario: Scenario {
    static let name = "forward"
    static let summary = "published TCP ports: throughput, round trips, short connections, CPU"
    static let parts = ForwardLoad.all.map(\.id)
    static let thorough = Profile(rounds: 7, secondsPerPart: 115)
    static let quick = Profile(rounds: 3, secondsPerPart: 8, loadSeconds: 0.6)
    static let quickParts = ["bulk", "reverse", "rr", "crr", "crr64", "http64", "memory1000", "idle"]

    private let options: Options
    private let tools: Tools
    private let workspace: Workspace
    private let runner: ProcessRunner
    private let progress: Progress
    private let setup: ForwarderSetup
    private var engines: [ContainerEngine] = []
    private var forwarders: [Forwarder] = []
    private var absent: [AbsentPeer] = []
    private let remote: ClientPosition?

    init(_ bench: Bench) {
        options = bench.options
        tools = bench.tools
        workspace = bench.workspace
        runner = bench.runner
        progress = bench.progress
        remote = ClientPosition.remote(ProcessInfo.processInfo.environment)
        setup = ForwarderSetup(
            tools: tools, workspace: workspace, runner: runner, holder: bench.holder,
            address: remote == nil ? "127.0.0.1" : "0.0.0.0")
    }

    func run(report: inout Report) throws {
        let iperf = try runner.version(of: tools.iperf(), setup.holder.environment)
        forwarders.append(try setup.loopback())
        try startEngines()
        try startBareForwarders()
        var result = MetricReport(
            title: "Published ports, TCP", method: "Bulk by iperf3 \(iperf), the rest by net-load and wrk.",
            wantedRounds: options.rounds, seed: options.seed)
        result.subjects = forwarders.map { MetricReport.Subject(name: $0.name, note: $0.note) }
        result.absent = absent
        // What has been found is reported even when the rest is interrupted.
        defer { report.metrics.append(result) }
        try measure(&result)
    }

    func cleanUp() {
        for engine in engines { engine.cleanUp(runner) }
    }

    // MARK: Setting up

    private func startEngines() throws {
        guard let image = tools.image else {
            throw BenchError("SAMARA_IMAGES must name the folder with busybox.tar (hack/make-images)")
        }
        let found = try ContainerEngine.find(tools, workspace, runner)
        absent += found.absent.filter { options.includes($0.peer) }
        for engine in found.engines where options.includes(engine.name) {
            progress.say("preparing \(engine.name)")
            engines.append(engine)
            try attempt(engine.name) {
                try engine.load(image, runner)
                return try setup.engine(engine)
            }
            if engine.name.hasPrefix("samara") {
                try attempt(engine.name + " mode=activate") { try setup.activated(engine) }
            }
        }
    }

    private func startBareForwarders() throws {
        let environment = setup.holder.environment
        for tool in ["pasta", "slirp4netns", "rootlesskit"] {
            let found = try PeerTool.find(tool, tools, options) { try runner.version(of: $0, environment) }
            absent += found.absent
            for (index, peer) in found.found.enumerated() {
                progress.say("preparing \(peer.path)")
                try attempt(peer.path) {
                    switch tool {
                    case "pasta": try setup.pasta(peer.path, peer.version)
                    case "slirp4netns": try setup.slirp4netns(peer.path, peer.version, index)
                    default: try setup.rootlesskit(peer.path, peer.version, index)
                    }
                }
            }
        }
    }

    private func attempt(_ name: String, _ body: () throws -> Forwarder) throws {
        do { forwarders.append(try body()) } catch let error as BenchError {
            absent.append(AbsentPeer(peer: name, reason: error.description))
        }
    }

    // MARK: Measuring

    private func measure(_ result: inout MetricReport) throws {
        let loads = ForwardLoad.all.filter { options.groups.contains($0.id) }
        var generator = SeededGenerator(seed: options.seed)
        let began = cbench_now_ns()
        // The loads share the rounds, and their time.
        let limit = options.secondsPerGroup * Double(loads.count)
        for round in 0..<options.rounds {
            let elapsed = Double(cbench_now_ns() - began) / 1e9
            if round > 0, elapsed > limit { break }
            progress.round("forward", round, options.rounds, elapsed: elapsed, limit: limit)
            for load in loads {
                for index in forwarders.indices.shuffled(using: &generator) {
                    guard forwarders[index].offers(load) else { continue }
                    try measure(load, index, round, from: .local, &result)
                }
                guard let remote, load.isRemotable else { continue }
                for index in forwarders.indices.shuffled(using: &generator) where forwarders[index].offers(load) {
                    try measure(load, index, round, from: remote, &result)
                }
            }
            result.rounds = round + 1
        }
        progress.end()
    }

    private func measure(
        _ load: ForwardLoad, _ index: Int, _ round: Int, from position: ClientPosition, _ result: inout MetricReport
    ) throws {
        let isRemote = position.namespace != nil
        do {
            for (metric, value) in try run(load, forwarders[index], from: position) {
                let id = isRemote ? "remote-" + metric.id : metric.id
                let title = isRemote ? "client on another host: " + metric.title : metric.title
                result.add(
                    value, Metric(id: id, title: title, unit: metric.unit, better: metric.better), subject: index,
                    round: round)
            }
        } catch let error as BenchError {
            result.subjects[index].failures.append("\(load.title)\(isRemote ? " from another host" : ""): \(error)")
        }
    }

    private func run(
        _ load: ForwardLoad, _ forwarder: Forwarder, from position: ClientPosition
    ) throws -> [(Metric, Double)] {
        switch load.kind {
        case .memory: return try memory(load, forwarder)
        case .idle:
            let before = forwarder.wakeUps()
            try runner.pause(milliseconds: 2000)
            let metric = Metric(id: load.id, title: load.title, unit: "/s", better: .lower)
            return [(metric, (forwarder.wakeUps() - before) / 2)]
        default: break
        }
        guard
            let client = try load.client(
                tools, forwarder.ports, from: position, seconds: options.loadSeconds,
                congestionControl: options.congestionControl, setup.holder.environment)
        else { return [] }
        let machine = MachineTime.busy()
        let carriers = forwarder.carrierCPU()
        let outcome = try runner.run(client, capturesOutput: true)
        let carried = Double(forwarder.carrierCPU() &- carriers)
        let all = Double(MachineTime.busy() - machine)
        guard outcome.status == 0 else { throw BenchError(ProcessRunner.reason(outcome)) }
        let figures = try load.figures(outcome.output)
        guard load.costsTime else { return figures.values }
        // A load that the forwarder's processes had no part in has gone another way.
        if !forwarder.carriers.isEmpty, carried < options.loadSeconds * 1e9 * 0.005 {
            throw BenchError("its processes used no time: something else carried the traffic")
        }
        var values = figures.values
        if !forwarder.carriers.isEmpty {
            values.append(load.cpuMetric("forwarder", "carrier-cpu", nanoseconds: carried, amount: figures.amount))
        }
        values.append(load.cpuMetric("machine", "machine-cpu", nanoseconds: all, amount: figures.amount))
        return values
    }

    /// What the forwarder's processes hold while its connections are open and silent.
    private func memory(_ load: ForwardLoad, _ forwarder: Forwarder) throws -> [(Metric, Double)] {
        var input: Int32?
        if let client = try load.client(
            tools, forwarder.ports, from: .local, seconds: options.loadSeconds, setup.holder.environment)
        {
            input = try runner.startResident(client).input
        }
        let resident = forwarder.residentMemory()
        if let input {
            close(input)
            // The next load must not meet the ends of these connections.
            try runner.pause(milliseconds: 300)
        }
        return [(Metric(id: load.id, title: load.title, unit: "MiB", better: .lower), resident)]
    }
}
