// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import Presentation

func podPsCommand() -> Command<Session> {
    Command("ps", aliases: ["ls", "list"], summary: "List pods") {
        CommandDeclaration(
            description: "List all pods on system including their names, ids and current state.",
            usage: "[options]", examples: ["samara pod ps", "samara pod ps --ctr-names --format json"],
            flags: [
                .bool("ctr-ids", help: "Display the container UUIDs. If no-trunc is not set they will be truncated"),
                .bool("ctr-names", help: "Display the container names"),
                .bool("ctr-status", help: "Display the container status"),
                .stringArray("filter", short: "f", help: "Filter output based on conditions given"),
                .string("format", help: "Pretty-print pods to JSON or using a Go template"),
                PodTargets.latest,
                .bool("no-trunc", help: "Do not truncate pod and container IDs"),
                .bool("noheading", short: "n", help: "Do not print headers"),
                .bool("quiet", short: "q", help: "Print the numeric IDs of the pods only"),
                .string("sort", default: "created", help: "Sort output by created, id, name, or number"),
            ],
            positional: .none, run: list)
    }
}

private func list(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let format = arguments.string("format")
    if arguments.bool("quiet"), !format.isEmpty { throw Failure("quiet and format cannot be used together") }
    guard let order = PodOrder(rawValue: arguments.string("sort")) else {
        throw Failure("invalid option for --sort, options are: created, id, name, number, or status")
    }
    let now = Moment.now
    let engine = try session.engine(arguments)
    let filters = try PodFilters(arguments.strings("filter"), now: now)
    var pods = try engine.pods().filter(filters.accepts)
    if arguments.bool("latest") { pods = pods.max { $0.record.created < $1.record.created }.map { [$0] } ?? [] }
    pods = order.sorted(pods)
    let table = PodTable(now: now, isFull: arguments.bool("no-trunc"))
    if ReportFormat.isJSON(format) {
        try session.print(FormattedOutput.json(pods.map(table.json), indent: 2))
    } else if arguments.bool("quiet") {
        try session.print(pods.map { $0.record.id + "\n" }.joined())
    } else if arguments.isSet("format") {
        try FormattedOutput.rows(
            pods.map(table.template), format: format, name: arguments.commandName, fields: PodTable.fields,
            titles: PodTable.titles, noHeading: arguments.bool("noheading"), into: session)
    } else {
        let columns = [("ctr-ids", PodTable.Column.ids), ("ctr-names", .names), ("ctr-status", .statuses)]
            .filter { arguments.bool($0.0) }.map { $0.1 }
        try session.print(table.text(pods, columns, noHeading: arguments.bool("noheading")))
    }
    return 0
}

/// --sort.
enum PodOrder: String {
    case created, id, name, number, status

    func sorted(_ pods: [Pod]) -> [Pod] {
        switch self {
        case .created: pods.sorted { ($0.record.created, $0.record.id) > ($1.record.created, $1.record.id) }
        case .id: pods.sorted { $0.record.id < $1.record.id }
        case .name: pods.sorted { $0.record.name < $1.record.name }
        case .number: pods.sorted { $0.containers.count < $1.containers.count }
        case .status: pods.sorted { $0.status.rawValue < $1.status.rawValue }
        }
    }
}

extension Pod {
    /// The members with the infra container first.
    var containers: [Container] { (InfraContainers.container(of: self).map { [$0] } ?? []) + members }
}
