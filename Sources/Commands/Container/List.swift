// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import JSON
import Presentation

func psCommand(_ name: String = "ps", aliases: [String] = []) -> Command<Session> {
    Command(name, aliases: aliases, summary: "List containers") {
        CommandDeclaration(
            description: "Prints out information about the containers",
            usage: "[options]",
            examples: [
                "samara ps -a", "samara ps -a --format \"{{.ID}}  {{.Image}}  {{.Labels}}  {{.Mounts}}\"",
                "samara ps --sort names",
            ],
            flags: [
                .bool("all", short: "a", help: "Show all the containers, default is only running containers"),
                .stringArray("filter", short: "f", help: "Filter output based on conditions given"),
                .string("format", help: "Pretty-print containers to JSON or using a Go template"),
                .int("last", short: "n", default: -1, help: "Print the n last created containers (all states)"),
                ContainerTargets.latest,
                .bool("no-trunc", help: "Display the extended information"),
                .bool("noheading", help: "Do not print headers"),
                .bool("pod", short: "p", help: "Print the ID and name of the pod the containers are associated with"),
                .bool("quiet", short: "q", help: "Print the numeric IDs of the containers only"),
                .custom(
                    "sort", typeName: "choice",
                    help: "Sort output by: " + ContainerOrder.choices.joined(separator: ", "),
                    problem: {
                        ContainerOrder(rawValue: $0) == nil
                            ? "\"\($0)\" is not a valid value.  Choose from: \"\(ContainerOrder.choices.joined(separator: ", "))\""
                            : nil
                    }),
            ],
            positional: .none, run: list)
    }
}

private func list(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let (last, wantsLatest) = (arguments.int("last"), arguments.bool("latest"))
    if last >= 0, wantsLatest { throw Failure("last and latest are mutually exclusive") }
    let engine = try session.engine(arguments)
    let now = Moment.now
    let filters = try ContainerFilters(arguments.strings("filter"), engine, now: now)
    var containers = try ContainerListing.load(engine).filter(filters.accepts)
    if wantsLatest || last >= 0 {
        containers = Array(containers.filter { !wantsLatest || !$0.isInfra }.suffix(wantsLatest ? 1 : last))
    } else if !arguments.bool("all"), !filters.namesStatus {
        containers = containers.filter { $0.state.status == .running || $0.state.status == .stopping }
    }
    if let order = ContainerOrder(rawValue: arguments.string("sort")) { containers = order.sorted(containers) }
    let table = ContainerTable(
        now: now, isFull: arguments.bool("no-trunc"),
        showsPod: arguments.bool("pod"), noHeading: arguments.bool("noheading"))
    let format = arguments.string("format")
    if ReportFormat.isJSON(format) {
        try session.print(FormattedOutput.json(containers.map(table.json), indent: 2))
    } else if arguments.isSet("format") {
        try FormattedOutput.rows(
            containers.map(table.template), format: format, name: arguments.commandName,
            fields: ContainerTable.fields, titles: ContainerTable.titles, noHeading: table.noHeading, into: session)
    } else if arguments.bool("quiet") {
        try session.print(containers.map { ContainerText.id($0.record.id, isFull: table.isFull) + "\n" }.joined())
    } else {
        try session.print(table.text(containers))
    }
    return 0
}

extension ParsedArguments {
    /// The last word of the command's name, which is what templates are called in messages.
    var commandName: String { commandPath.split(separator: " ").last.map(String.init) ?? commandPath }
}

/// --sort.
enum ContainerOrder: String, CaseIterable {
    case command, created, id, image, names, runningfor, status

    static var choices: [String] { allCases.map(\.rawValue) }

    func sorted(_ containers: [ListedContainer]) -> [ListedContainer] {
        switch self {
        case .command: containers.sorted { ($0.command.first ?? "") < ($1.command.first ?? "") }
        case .created: containers
        case .id: containers.sorted { $0.record.id < $1.record.id }
        case .image: containers.sorted { $0.record.imageName < $1.record.imageName }
        case .names: containers.sorted { $0.record.name < $1.record.name }
        case .runningfor:
            containers.sorted { (left, right) in
                (left.state.started.map(Moment.init) ?? .zero) < (right.state.started.map(Moment.init) ?? .zero)
            }
        case .status: containers.sorted { $0.state.status.rawValue < $1.state.status.rawValue }
        }
    }
}
