// SPDX-License-Identifier: Apache-2.0
import Foundation

/// How long a container's start takes, whole process, beside the peers and the floor.
///
/// Groups: `run` (a container alone, without network), `tail` (the same, often), `phases` (the same, from inside), `pod-run` (a container in a running pod), `exec` (a process in a
/// running container), `pod` (create and remove), `ps` (list).
struct StartScenario: Scenario {
    static let name = "start"
    static let summary = "the start of containers: run, run in a pod, exec, pod create and rm, ps"
    static let parts = ["run", "tail", "phases", "pod-run", "exec", "pod", "ps"]
    static let thorough = Profile(rounds: 60, warmUp: 2, secondsPerPart: 180)
    static let quick = Profile(rounds: 20, warmUp: 1, secondsPerPart: 8)

    let options: Options
    let tools: Tools
    let workspace: Workspace
    let runner: ProcessRunner
    let progress: Progress
    private let holder: UserNamespace
    private let rounds: Rounds

    private let bench: Bench
    private var engineSet: EngineSet?
    private var engines: [ContainerEngine] = []
    private var absent: [AbsentPeer] = []

    init(_ bench: Bench) {
        self.bench = bench
        holder = bench.holder
        options = bench.options
        tools = bench.tools
        workspace = bench.workspace
        runner = bench.runner
        progress = bench.progress
        rounds = Rounds(bench)
    }

    // MARK: The whole

    mutating func run(report: inout Report) throws {
        guard let image = tools.image, FileManager.default.fileExists(atPath: image) else {
            throw BenchError("there is no busybox.tar: hack/make-images writes it, and SAMARA_IMAGES names its folder")
        }
        let root = try RootFilesystem.unpack(image, workspace, runner)
        let found = try EngineSet(bench)
        engineSet = found
        engines = found.engines
        absent = found.absent
        let floor = try Floor(root: root, filterFile: samaraFilter, holder, workspace, runner)
        report.facts.notes.append("The floor's seccomp filter is \(floor.filterText).")
        if !holder.hasSubordinateIDs {
            report.facts.notes.append("This user has no subordinate IDs: the floor maps a single ID.")
        }
        report.facts.containers.merge(found.containers) { $1 }
        var measure = Interleaving(runner: runner, rounds: rounds, options: options)
        if options.countsSystemCalls {
            guard let strace = tools.installed("strace") else { throw BenchError("--syscalls needs strace") }
            measure.tracer = (strace, try workspace.directory("trace"))
        }
        for id in options.groups {
            let group: Group
            switch id {
            case "run": group = try runGroup(root, floor)
            case "tail":
                report.metrics.append(try tailMeasure(measure).measure(tailGroup(floor)))
                continue
            case "phases":
                guard let samara = engines.first(where: { $0.name.hasPrefix("samara") }) else { continue }
                let phases = StartPhases(
                    runner: runner, rounds: rounds, file: try workspace.directory("phases") + "/trace")
                let command = samara.command("run", "--rm", "--network", "none", ContainerEngine.image, "true")
                report.metrics.append(try phases.measure(command, by: samara.name))
                continue
            case "pod-run": group = try podGroups(floor).run
            case "exec": group = try podGroups(floor).exec
            case "pod": group = podGroup()
            default: group = try listGroup()
            }
            report.metrics.append(try measure.measure(group))
        }
    }

    func cleanUp() {
        engineSet?.cleanUp()
    }

    // MARK: Preparing

    /// The filter that Samara's first container has left in its cache: store layout, `root/cache`.
    private var samaraFilter: String? {
        guard let samara = engines.first(where: { $0.name.hasPrefix("samara") }), let home = samara.environment["HOME"]
        else { return nil }
        let cache = home + "/.local/share/samara/cache"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? []
        return names.first { $0.hasPrefix("seccomp-") && $0.hasSuffix(".bpf") }.map { cache + "/" + $0 }
    }

    // MARK: Groups

    private func engineCases(_ id: String, _ steps: (ContainerEngine) -> [Command]) -> [Case] {
        engines.map { engine in
            let steps = steps(engine)
            let label = steps.map { $0.arguments.dropFirst(engine.globalArguments.count).joined(separator: " ") }
                .joined(separator: "; ")
            return Case(
                id: engine.name.replacingOccurrences(of: " ", with: "-"), peer: engine.name,
                label: label.replacingOccurrences(of: ContainerEngine.image, with: "busybox"), steps: steps)
        }
    }

    private func runGroup(_ root: String, _ floor: Floor) throws -> Group {
        var group = Group(
            id: "run", title: "A container alone, without network",
            cases: engineCases("run") {
                [$0.command("run", "--rm", "--network", "none", ContainerEngine.image, "true")]
            }, absent: absent)
        group.cases += [
            Case(
                id: "floor", peer: "floor", label: "all namespaces, overlay, OCI mounts, capabilities, seccomp",
                steps: [floor.start()]),
            Case(
                id: "floor-masks", peer: "floor", label: "and Podman's masked and read-only paths",
                steps: [floor.start(["--masks"])]),
            Case(
                id: "floor-volatile", peer: "floor", label: "a volatile overlay", steps: [floor.start(["--volatile"])],
                note:
                    "the kernel writes an overlay's upper file system back when it is unmounted, unless it is volatile"),
            Case(
                id: "floor-directory", peer: "floor", label: "a directory as root instead of the overlay",
                steps: [floor.start(overlay: false)]),
            Case(
                id: "floor-no-seccomp", peer: "floor", label: "without the seccomp filter",
                steps: [floor.start(filtered: false)]),
            Case(
                id: "floor-no-net", peer: "floor", label: "without a network namespace",
                steps: [floor.start(["--namespaces", "user,mount,pid,ipc,uts,cgroup", "--mounts", "proc"])],
                note: "and only /proc mounted: sysfs needs a network namespace of its own"),
        ]
        try addRuntimes(root, to: &group)
        let environment = try workspace.environment(home: "bwrap")
        let found = try PeerTool.find("bwrap", peer: "bubblewrap", tools, options) {
            try runner.version(of: $0, environment)
        }
        group.absent += found.absent
        group.cases += found.found.map { tool in
            Case(
                id: tool.name.replacingOccurrences(of: " ", with: "-"), peer: tool.name, label: "bwrap --unshare-all",
                steps: [Bubblewrap.command(tool.path, root: root, environment)],
                note: "no seccomp filter, a single mapped ID, a directory as root")
        }
        return try tried(group)
    }

    /// Samara and the floor alone, often enough for the 99.9th percentile.
    private func tailGroup(_ floor: Floor) -> Group {
        var group = Group(
            id: "tail", title: "A container alone, a thousand times",
            cases: engineCases("tail") {
                [$0.command("run", "--rm", "--network", "none", ContainerEngine.image, "true")]
            }.filter { $0.peer.hasPrefix("samara") })
        group.cases.append(
            Case(
                id: "floor", peer: "floor", label: "all namespaces, overlay, OCI mounts, capabilities, seccomp",
                steps: [floor.start()]))
        return group
    }

    private func tailMeasure(_ measure: Interleaving) -> Interleaving {
        var tail = measure
        tail.rounds = Rounds(
            count: rounds.count * 50, warmUp: 1, secondsLimit: rounds.secondsLimit, seed: rounds.seed,
            progress: progress)
        tail.tracer = nil
        return tail
    }

    private func addRuntimes(_ root: String, to group: inout Group) throws {
        let found = try Runtime.find(tools, options, workspace, runner)
        group.absent += found.absent
        let profiles = ["/usr/share/containers/seccomp.json", (tools.newerFolder ?? "") + "/etc/seccomp.json"]
        let profile = profiles.first(where: FileManager.default.fileExists(atPath:))
        if profile == nil { progress.say("no seccomp.json of the container packages: runtimes run without a filter") }
        for mapsRange in holder.hasSubordinateIDs ? [true, false] : [false] {
            let bundle = try Bundle.make(
                mapsRange ? "bundle" : "bundle-single", root: root, mapsRange: mapsRange, arguments: ["/bin/true"],
                seccompProfile: profile, workspace)
            for runtime in found.runtimes {
                let id = runtime.name.replacingOccurrences(of: " ", with: "-") + (mapsRange ? "" : "-single")
                group.cases.append(
                    Case(
                        id: id, peer: runtime.name, label: "run" + (mapsRange ? "" : ", a single mapped ID"),
                        steps: [runtime.command(bundle: bundle, id: id.replacingOccurrences(of: ".", with: "-"))],
                        note: "a directory as root" + (profile == nil ? ", no seccomp filter" : "")))
            }
        }
    }

    /// Runs every case once: a peer that refuses to run is named, and does not cost a round.
    private func tried(_ group: Group) throws -> Group {
        var group = group
        group.cases = try group.cases.filter { item in
            for step in item.steps {
                do {
                    let result = try runner.run(step, capturesOutput: true)
                    guard result.status == 0 else { throw BenchError(ProcessRunner.reason(result)) }
                } catch let error as BenchError {
                    group.absent.append(AbsentPeer(peer: "\(item.peer) (\(item.label))", reason: error.description))
                    return false
                }
            }
            return true
        }
        return group
    }

    /// Both groups that need a running pod; it is made when the first of them is asked for.
    private mutating func podGroups(_ floor: Floor) throws -> (run: Group, exec: Group) {
        if !podsAreReady {
            podsAreReady = true
            for engine in engines {
                do { try engine.preparePod(runner) } catch let error as BenchError {
                    podFailures.append(AbsentPeer(peer: engine.name, reason: error.description))
                }
                runner.adoptResidents()
            }
        }
        let failed = Set(podFailures.map(\.peer))
        let image = ContainerEngine.image
        var run = Group(
            id: "pod-run", title: "A container in a running pod",
            cases: engineCases("pod-run") {
                [$0.command("run", "--rm", "--pod", ContainerEngine.pod, image, "true")]
            }, absent: absent + podFailures)
        var exec = Group(
            id: "exec", title: "A process in a running container",
            cases: engineCases("exec") {
                [$0.command("exec", ContainerEngine.container, "true")]
            }, absent: absent + podFailures)
        run.cases.removeAll { failed.contains($0.peer) }
        exec.cases.removeAll { failed.contains($0.peer) }
        run.cases.append(
            Case(
                id: "floor", peer: "floor", label: "joins user, net, ipc, uts; makes mount, pid", steps: [floor.join()])
        )
        exec.cases.append(
            Case(
                id: "floor", peer: "floor", label: "joins every namespace, capabilities, seccomp", steps: [floor.exec()]
            ))
        return (run, exec)
    }

    private var podsAreReady = false
    private var podFailures: [AbsentPeer] = []

    private func podGroup() -> Group {
        Group(
            id: "pod", title: "A pod, created and removed",
            cases: engineCases("pod") {
                [$0.command("pod", "create", "--name", "cycle"), $0.command("pod", "rm", "cycle")]
            }, absent: absent)
    }

    private func listGroup() throws -> Group {
        var failures: [AbsentPeer] = []
        for engine in engines {
            do {
                progress.say("creating \(options.listedContainers) containers with \(engine.name)")
                for number in 0..<options.listedContainers {
                    try runner.output(
                        engine.command("create", "--name", "listed-\(number)", ContainerEngine.image, "true"))
                }
            } catch let error as BenchError {
                failures.append(AbsentPeer(peer: engine.name, reason: error.description))
            }
        }
        var group = Group(
            id: "ps", title: "A list of \(options.listedContainers) created containers",
            cases: engineCases("ps") {
                [$0.command("ps", "-a")]
            }, absent: absent + failures)
        group.cases.removeAll { item in failures.contains { $0.peer == item.peer } }
        return group
    }
}
