// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// From inside a network namespace through a userspace stack to servers on the host's loopback, beside the host's
/// loopback itself, which is the limit.
final class NetworkScenario: Scenario {
    static let name = "network"
    static let summary = "outbound TCP and UDP of a pod: throughput, round trips, short connections, CPU"
    static let parts = NetworkLoad.all.map(\.id)
    static let thorough = Profile(rounds: 7, secondsPerPart: 60)
    static let quick = Profile(rounds: 3, secondsPerPart: 7, loadSeconds: 0.6)
    static let quickParts = ["up", "down", "rr", "urr", "crr", "udp1g"]

    private let bench: Bench
    private let setup: WayOutSetup
    private var engines: [ContainerEngine] = []
    private var ways: [WayOut] = []
    private var absent: [AbsentPeer] = []
    private let bulkPort = Int(cbench_free_port())
    private let loadPort = Int(cbench_free_port())

    init(_ bench: Bench) {
        self.bench = bench
        setup = WayOutSetup(bench: bench)
    }

    func run(report: inout Report) throws {
        try startServers()
        ways.append(WayOut(name: "loopback", host: "127.0.0.1"))
        try startSamara()
        try startPeers()
        var result = MetricReport(
            id: "network", title: "Outbound, servers on the host's loopback",
            method:
                "iperf3 \(try bench.iperfVersion()) and net-load run inside each network namespace; MTU 65520 unless said otherwise; CPU is that of the whole machine.",
            wantedRounds: bench.options.rounds, seed: bench.options.seed)
        result.subjects = ways.map { MetricReport.Subject(name: $0.name) }
        result.absent = absent
        defer { report.metrics.append(result) }
        let loads = NetworkLoad.all.filter { bench.options.groups.contains($0.id) }
        for load in loads {
            try Rounds(bench).measure(load.id, &result) { index in try run(load, ways[index]) }
        }
    }

    func cleanUp() {
        for engine in engines { engine.cleanUp(bench.runner) }
    }

    // MARK: Setting up

    private func startServers() throws {
        let (iperf, netLoad) = (try bench.tools.iperf(), try bench.tools.program("net-load"))
        let text = "\(iperf) -s -p \(bulkPort) >/dev/null 2>&1 & exec \(netLoad) serve \(loadPort)"
        _ = try bench.runner.startResident(
            Command(path: "/bin/sh", arguments: ["-c", text], environment: bench.holder.environment))
    }

    private func startSamara() throws {
        guard let image = bench.tools.image else {
            throw BenchError("SAMARA_IMAGES must name the folder with busybox.tar (hack/make-images)")
        }
        let found = try ContainerEngine.find(bench.tools, bench.workspace, bench.runner)
        for engine in found.engines where engine.name.hasPrefix("samara") {
            engines.append(engine)
            try attempt(engine.name) {
                try engine.load(image, bench.runner)
                return try setup.samara(engine)
            }
        }
    }

    private func startPeers() throws {
        for tool in ["pasta", "slirp4netns"] {
            let found = try PeerTool.find(tool, bench.tools, bench.options) {
                try bench.runner.version(of: $0, bench.holder.environment)
            }
            absent += found.absent
            for peer in found.found {
                try attempt(peer.name) {
                    tool == "pasta"
                        ? try setup.pasta(peer.path, peer.name) : try setup.slirp4netns(peer.path, peer.name)
                }
            }
        }
    }

    /// A way out counts when a request has gone through each of its namespaces.
    private func attempt(_ name: String, _ body: () throws -> WayOut) throws {
        bench.progress.say("preparing \(name)")
        do {
            let way = try body()
            guard let check = NetworkLoad.all.first(where: { $0.id == "crr" }) else { return }
            for mtu in WayOutSetup.mtus {
                var line = try check.client(
                    bench.tools, way.host, bulkPort: bulkPort, loadPort: loadPort, bench.options)
                line[line.count - 1] = "0.05"
                let outcome = try bench.runner.run(
                    way.command(line, mtu: mtu, bench.holder.environment), capturesOutput: true)
                guard outcome.status == 0 else { throw BenchError(ProcessRunner.reason(outcome)) }
                _ = try check.figures(outcome.output)
            }
            ways.append(way)
        } catch let error as BenchError {
            // A tool that does not know an option prints all that it knows.
            let reason = error.description.split(separator: "\n").first.map(String.init) ?? error.description
            absent.append(AbsentPeer(peer: name, reason: reason))
        }
    }

    // MARK: Measuring

    private func run(_ load: NetworkLoad, _ way: WayOut) throws -> [(Metric, Double)] {
        let line = try load.client(bench.tools, way.host, bulkPort: bulkPort, loadPort: loadPort, bench.options)
        var command = try way.command(line, mtu: load.mtu, bench.holder.environment)
        command.timeLimitSeconds = bench.options.loadSeconds * 3 + 8
        let before = MachineTime.busy()
        let outcome = try bench.runner.run(command, capturesOutput: true)
        let used = Double(MachineTime.busy() - before)
        guard outcome.status == 0 else { throw BenchError("\(load.title): \(ProcessRunner.reason(outcome))") }
        let figures = try load.figures(outcome.output)
        return figures.values + [load.cpuMetric(nanoseconds: used, amount: figures.amount)]
    }
}
