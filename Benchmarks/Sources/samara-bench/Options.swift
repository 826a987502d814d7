// SPDX-License-Identifier: Apache-2.0

/// The command line.
struct Options {
    var scenario = ""
    private var wantedRounds: Int?
    var rounds: Int { wantedRounds ?? (scenario == "forward" ? 7 : 60) }
    private var wantedWarmUp: Int?
    var warmUp: Int { wantedWarmUp ?? (scenario == "forward" ? 0 : 2) }
    /// What --only names; empty for all.
    private var only: [String] = []
    var groups: [String] {
        only.isEmpty ? (scenario == "forward" ? ForwardLoad.all.map(\.id) : StartScenario.groups) : only
    }
    var peers: [String] = []
    var json: String?
    private var wantedSeconds: Double?
    var secondsPerGroup: Double { wantedSeconds ?? (scenario == "forward" ? 900 : 180) }
    var loadSeconds = 1.0
    /// Of iperf3's client; nil leaves the host's default.
    var congestionControl: String?
    var countsSystemCalls = false
    var listedContainers = 20
    var seed: UInt64 = UInt64.random(in: 1...999_999)

    static let usage = """
        Usage: samara-bench SCENARIO [OPTION...]

        Runs Samara, its peers and floor programs side by side, in turn, as the calling user, and reports how they
        compare. Run it on an idle machine; hack/bench prepares one.

        Scenarios:
          start    the start of containers: run, run in a pod, exec, pod create and rm, ps
          forward  published TCP ports: throughput, round trips, short connections, CPU

        Options:
          --rounds N     rounds of each group (default: 60; forward: 7)
          --warm-up N    rounds before those, not counted (default: 2)
          --only LIST    start: of the groups \(StartScenario.groups.joined(separator: ", "))
                         forward: of the loads \(ForwardLoad.all.map(\.id).joined(separator: ", "))
          --peers LIST   only peers whose names begin with one of these; the floor is always there
          --seconds N    begin no further round of a group after this time (default: 180; forward: 900)
          --load N       seconds of each single load of forward (default: 1)
          --congestion ALGORITHM   of iperf3's sender in forward (default: the host's)
          --syscalls     start: count the system calls of one run each, under strace
          --listed N     containers in the list of the group ps (default: 20)
          --seed N       of the order in a round (default: random; reported)
          --json FILE    write every raw number

        Environment:
          SAMARA_EXECUTABLES    the folder with samara, samara-net and samara-image
          SAMARA_IMAGES         the folder with busybox.tar (hack/make-images)
          SAMARA_PEERS          a folder with newer peers (hack/bench-peers), measured beside the installed ones
          SAMARA_BENCH_PROGRAMS the folder with floor-start and net-load (default: beside samara-bench)

        """

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        func value(_ name: String) throws -> String {
            guard let value = rest.popFirst() else {
                throw BenchError("\(name) needs a value; see samara-bench --help")
            }
            return value
        }
        func number<Value: LosslessStringConvertible & Comparable>(_ name: String, atLeast least: Value) throws -> Value
        {
            let text = try value(name)
            guard let number = Value(text), number >= least else {
                throw BenchError("\(name) must be a number of at least \(least), not `\(text)`")
            }
            return number
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--rounds": wantedRounds = try number(argument, atLeast: 1)
            case "--warm-up": wantedWarmUp = try number(argument, atLeast: 0)
            case "--seconds": wantedSeconds = try number(argument, atLeast: 1)
            case "--congestion": congestionControl = try value(argument)
            case "--syscalls": countsSystemCalls = true
            case "--load": loadSeconds = try number(argument, atLeast: 1)
            case "--listed": listedContainers = try number(argument, atLeast: 1)
            case "--seed": seed = try number(argument, atLeast: 0)
            case "--json": json = try value(argument)
            case "--peers": peers = try value(argument).split(separator: ",").map(String.init)
            case "--only": only = try value(argument).split(separator: ",").map(String.init)
            case _ where scenario.isEmpty && !argument.hasPrefix("-"): scenario = argument
            default: throw BenchError("unknown argument \(argument); see samara-bench --help")
            }
        }
        guard ["start", "forward"].contains(scenario) else {
            throw BenchError(
                scenario.isEmpty
                    ? "which scenario? See samara-bench --help"
                    : "there is no scenario \(scenario); see samara-bench --help")
        }
        let known = scenario == "forward" ? ForwardLoad.all.map(\.id) : StartScenario.groups
        if let unknown = only.first(where: { !known.contains($0) }) {
            throw BenchError("\(scenario) has no \(unknown): it is one of \(known.joined(separator: ", "))")
        }
    }

    func includes(_ peer: String) -> Bool { peers.isEmpty || peers.contains { peer.hasPrefix($0) } }
}
