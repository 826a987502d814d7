// SPDX-License-Identifier: Apache-2.0

/// One thing that `samara-bench` measures.
///
/// To add one: a type in a folder of its own, and a line in `Scenarios.all`. The command line, `all`, the quick
/// profile, the reports (Markdown, HTML, JSON), `--compare` and the cleanup follow from what is declared here and from
/// the `MetricReport`s that `run` appends to `report.metrics`.
protocol Scenario {
    /// On the command line.
    static var name: String { get }
    /// For --help, a line.
    static var summary: String { get }
    /// What --only chooses from.
    static var parts: [String] { get }
    /// Those of the quick profile; all, unless a scenario says otherwise.
    static var quickParts: [String] { get }
    static var thorough: Profile { get }
    /// Part of a run of all scenarios that must end within ten minutes: seconds per peer, not minutes.
    static var quick: Profile { get }

    init(_ bench: Bench)

    /// Fills the report as far as it gets. A peer that is missing or does not work goes into
    /// `MetricReport.absent` or `Subject.failures` with the reason, never into a value.
    mutating func run(report: inout Report) throws

    /// Removes what engines keep; processes and files are ended and removed by the caller.
    func cleanUp()
}

extension Scenario {
    static var quickParts: [String] { parts }
}

/// How much of a scenario is run.
struct Profile {
    var rounds: Int
    /// Rounds before those, which are not counted.
    var warmUp = 0
    /// No further round of a part begins after this time.
    var secondsPerPart: Double
    /// Of each single load.
    var loadSeconds = 1.0
}

enum Scenarios {
    /// In the order of `all`.
    static var all: [any Scenario.Type] {
        [
            StartScenario.self,
            FirstByteScenario.self,
            ForwardScenario.self,
            MemoryScenario.self,
            ScaleScenario.self,
            MicroScenario.self,
            NetworkScenario.self,
            ImageScenario.self,
        ]
    }

    static func named(_ name: String) -> (any Scenario.Type)? { all.first { $0.name == name } }
}

/// What every scenario works with.
struct Bench {
    /// Those of this scenario: rounds, parts and seconds are its own.
    var options: Options
    let tools: Tools
    let workspace: Workspace
    let runner: ProcessRunner
    /// The user's subordinate IDs, held by a sleeping process.
    let holder: UserNamespace
    let progress: Progress

    func iperfVersion() throws -> String { try runner.version(of: tools.iperf(), holder.environment) }
}
