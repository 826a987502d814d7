// SPDX-License-Identifier: Apache-2.0

/// The command line.
struct Options {
    /// `all`, or one scenario's name; each scenario sees its own.
    var scenario = ""
    /// As it was typed.
    private(set) var command = "samara-bench"
    var scenarios: [String] { scenario == "all" ? Scenarios.all.map { $0.name } : [scenario] }
    private(set) var isQuick = false
    private var profile: Profile {
        let type = Scenarios.named(scenario)
        return (isQuick ? type?.quick : type?.thorough) ?? Profile(rounds: 1, secondsPerPart: 60)
    }
    private var wantedRounds: Int?
    var rounds: Int { wantedRounds ?? profile.rounds }
    private var wantedWarmUp: Int?
    var warmUp: Int { wantedWarmUp ?? profile.warmUp }
    /// What --only names; empty for all.
    private var only: [String] = []
    /// The scenario's parts that are wanted.
    var groups: [String] {
        guard let type = Scenarios.named(scenario) else { return [] }
        let wanted = only.isEmpty && isQuick ? type.quickParts : only
        return wanted.isEmpty ? type.parts : type.parts.filter(wanted.contains)
    }
    var peers: [String] = []
    var json: String?
    var html: String?
    /// The JSON of an earlier run.
    var compare: String?
    /// The least change that counts, in per cent.
    var thresholdPercent = 5.0
    /// Reports that are put together instead of measuring anything.
    private(set) var files: [String] = []
    /// Injected into what is timed, by peer: so that a comparison can be seen to find it.
    private var delays: [(peer: String, milliseconds: Double)] = []
    private var wantedSeconds: Double?
    var secondsPerGroup: Double { wantedSeconds ?? profile.secondsPerPart }
    private var wantedLoadSeconds: Double?
    var loadSeconds: Double { wantedLoadSeconds ?? profile.loadSeconds }
    /// Of iperf3's client; nil leaves the host's default.
    var congestionControl: String?
    var countsSystemCalls = false
    var listedContainers = 20
    var seed: UInt64 = UInt64.random(in: 1...999_999)

    static var usage: String {
        let width = (Scenarios.all.map { $0.name.count }.max() ?? 0) + 2
        func line(_ name: String, _ text: String) -> String {
            "  " + name + String(repeating: " ", count: width - name.count) + text
        }
        let scenarios =
            Scenarios.all.map { line($0.name, $0.summary) } + [
                line("all", "every one of them, in turn"),
                line("report", "measures nothing: puts the JSON files that follow together"),
            ]
        let parts = Scenarios.all.map { "                   \($0.name): " + $0.parts.joined(separator: ", ") }
        return """
            Usage: samara-bench SCENARIO [OPTION...]
                   samara-bench report FILE.json... [--compare OLD.json] [--html FILE] [--json FILE]

            Runs Samara, its peers and floor programs side by side, in turn, as the calling user, and reports how they
            compare. Run it on an idle machine; hack/bench prepares one.

            Scenarios:
            \(scenarios.joined(separator: "\n"))

            Options:
              --quick        fewer and shorter rounds: minutes instead of an hour for all
              --rounds N     rounds of each part
              --warm-up N    rounds before those, not counted
              --only LIST    only these parts
            \(parts.joined(separator: "\n"))
              --peers LIST   only peers whose names begin with one of these; the floor is always there
              --seconds N    begin no further round of a part after this time
              --load N       seconds of each single load of forward
              --congestion ALGORITHM   of iperf3's sender in forward (default: the host's)
              --syscalls     start: count the system calls of one run each, under strace
              --listed N     containers in the list of the part ps (default: 20)
              --seed N       of the order in a round (default: random; reported)
              --json FILE    write every raw number
              --html FILE    write the report for a browser, in one file
              --compare OLD.json   say what has changed since; exit status 3 when anything of Samara's got worse
              --threshold P  the least change that counts, in per cent (default: 5)
              --delay PEER=MS   start: sleep this long in every timed run of the peer, to see --compare find it

            Environment:
              SAMARA_EXECUTABLES    the folder with samara, samara-net and samara-image
              SAMARA_IMAGES         the folder with busybox.tar (hack/make-images)
              SAMARA_PEERS          a folder with newer peers (hack/bench-peers), measured beside the installed ones
              SAMARA_IPERF3         the iperf3 for everybody's bulk (default: the newest there is)
              SAMARA_BENCH_PROGRAMS the folder with floor-start and net-load (default: beside samara-bench)

            """
    }

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
        command = Self.withoutFiles(arguments)
        while let argument = rest.popFirst() {
            switch argument {
            case "--quick": isQuick = true
            case "--rounds": wantedRounds = try number(argument, atLeast: 1)
            case "--warm-up": wantedWarmUp = try number(argument, atLeast: 0)
            case "--seconds": wantedSeconds = try number(argument, atLeast: 1)
            case "--congestion": congestionControl = try value(argument)
            case "--syscalls": countsSystemCalls = true
            case "--load": wantedLoadSeconds = try number(argument, atLeast: 1)
            case "--listed": listedContainers = try number(argument, atLeast: 1)
            case "--seed": seed = try number(argument, atLeast: 0)
            case "--json": json = try value(argument)
            case "--html": html = try value(argument)
            case "--compare": compare = try value(argument)
            case "--threshold": thresholdPercent = try number(argument, atLeast: 0)
            case "--delay": delays.append(try Self.delay(try value(argument)))
            case "--peers": peers = try value(argument).split(separator: ",").map(String.init)
            case "--only": only = try value(argument).split(separator: ",").map(String.init)
            case _ where scenario.isEmpty && !argument.hasPrefix("-"): scenario = argument
            case _ where scenario == "report" && !argument.hasPrefix("-"): files.append(argument)
            default: throw BenchError("unknown argument \(argument); see samara-bench --help")
            }
        }
        try check()
    }

    /// What was measured does not depend on where it was written.
    private static func withoutFiles(_ arguments: [String]) -> String {
        var words = ["samara-bench"]
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if ["--json", "--html", "--compare"].contains(argument) {
                rest = rest.dropFirst()
            } else {
                words.append(argument)
            }
        }
        return words.joined(separator: " ")
    }

    private static func delay(_ text: String) throws -> (peer: String, milliseconds: Double) {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let milliseconds = Double(parts[1]), milliseconds >= 0 else {
            throw BenchError("--delay must be PEER=MILLISECONDS, not `\(text)`")
        }
        return (parts[0], milliseconds)
    }

    private func check() throws {
        if scenario == "report" {
            guard !files.isEmpty else { throw BenchError("report needs the JSON files of earlier runs") }
            return
        }
        guard scenario == "all" || Scenarios.named(scenario) != nil else {
            throw BenchError(
                scenario.isEmpty
                    ? "which scenario? See samara-bench --help"
                    : "there is no scenario \(scenario); see samara-bench --help")
        }
        let known = scenarios.compactMap(Scenarios.named).flatMap { $0.parts }
        if let unknown = only.first(where: { !known.contains($0) }) {
            throw BenchError("\(scenario) has no \(unknown): it is one of \(known.joined(separator: ", "))")
        }
    }

    /// What is added to each timed run of the peer, in milliseconds.
    func delay(of peer: String) -> Double { delays.filter { peer.hasPrefix($0.peer) }.reduce(0) { $0 + $1.milliseconds } }

    func includes(_ peer: String) -> Bool { peers.isEmpty || peers.contains { peer.hasPrefix($0) } }

    /// Whether any version of the peer is asked for: "pasta 2026" asks for pasta.
    func mentions(_ peer: String) -> Bool { peers.isEmpty || peers.contains { peer.hasPrefix($0) || $0.hasPrefix(peer) } }
}
