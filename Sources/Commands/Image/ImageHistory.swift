// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import JSON
import OCISpec
import Presentation

func historyCommand() -> Command<Session> {
    Command("history", summary: "Show history of a specified image") {
        CommandDeclaration(
            description:
                "Displays the history of an image. The information can be printed out in an easy to read, or user specified format, and can be truncated.",
            usage: "[options] IMAGE",
            examples: ["samara history quay.io/fedora/fedora", "samara history --format json alpine"],
            flags: [
                .string("format", help: "Change the output to JSON or a Go template"),
                .bool("human", short: "H", default: true, help: "Display sizes and dates in human readable format"),
                .bool("no-trunc", help: "Do not truncate the output"),
                .bool("quiet", short: "q", help: "Display the numeric IDs only"),
            ],
            positional: .exactly(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                guard let image = try ImageLookup.find(arguments.positional[0], engine) else {
                    throw Failure("\(arguments.positional[0]): image not known")
                }
                let table = HistoryTable(
                    now: .now, isFull: arguments.bool("no-trunc"), isHuman: arguments.bool("human"))
                let rows = HistoryTable.rows(image)
                let format = arguments.string("format")
                if ReportFormat.isJSON(format) {
                    try session.print(FormattedOutput.json(rows.map(table.json), indent: 2))
                } else if arguments.bool("quiet") {
                    try session.print(rows.map { table.id($0) + "\n" }.joined())
                } else if arguments.isSet("format") {
                    try FormattedOutput.rows(
                        rows.map(table.template), format: format, name: "history", fields: HistoryTable.fields,
                        titles: ["CreatedBy": "CREATED BY"], into: session)
                } else {
                    try session.print(table.text(rows))
                }
                return 0
            })
    }
}

/// The steps of an image, newest first.
struct HistoryTable {
    let now: Moment
    let isFull: Bool
    let isHuman: Bool

    struct Row {
        /// The image's id for its last step; the others are nobody's.
        let id: String?
        let entry: HistoryEntry
        /// Bytes; 0 for a step without a layer.
        let size: Int64
        let tags: [String]
        var created: Moment { entry.created.flatMap { try? Moment(rfc3339: $0) } ?? .zero }
    }

    static func rows(_ image: NamedImage) -> [Row] {
        var layers = image.record.layers[...]
        var rows: [Row] = []
        for (index, entry) in image.record.history.enumerated() {
            let isLast = index == image.record.history.count - 1
            let size = entry.isEmptyLayer ? 0 : layers.popFirst()?.tarSize ?? 0
            rows.append(
                Row(id: isLast ? image.record.id.hex : nil, entry: entry, size: size, tags: isLast ? image.names : []))
        }
        return rows.reversed()
    }

    func id(_ row: Row) -> String { row.id.map { ContainerText.id($0, isFull: isFull) } ?? "<missing>" }

    func text(_ rows: [Row]) -> String {
        Table(
            header: ["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"],
            rows: rows.map { [id($0), created($0), createdBy($0), size($0), $0.entry.comment ?? ""] }
        ).text()
    }

    private func created(_ row: Row) -> String {
        isHuman ? ContainerText.age(row.created, now: now) : row.created.rfc3339()
    }

    private func size(_ row: Row) -> String {
        isHuman ? HumanSize.text(bytes: row.size, separator: "") : String(row.size)
    }

    private func createdBy(_ row: Row) -> String {
        let text = row.entry.createdBy ?? ""
        return isFull || text.count <= 45 ? text : String(text.prefix(42)) + "..."
    }

    func json(_ row: Row) -> JSON {
        [
            "id": .string(row.id ?? "<missing>"), "created": .string(row.created.rfc3339Nano()),
            "Created": .string(row.created.rfc3339Nano()), "CreatedBy": .string(row.entry.createdBy ?? ""),
            "size": .int(row.size), "comment": .string(row.entry.comment ?? ""), "tags": .stringsOrNull(row.tags),
        ]
    }

    static let fields = ["Comment", "Created", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size", "Tags"]

    func template(_ row: Row) -> TemplateValue {
        .structure(
            TemplateStructure(typeName: "images.historyReporter", fieldNames: Self.fields) { name in
                switch name {
                case "Comment": .string(row.entry.comment ?? "")
                case "Created": .string(created(row))
                case "CreatedAt": .string(row.created.rfc3339())
                case "CreatedSince": .string(ContainerText.age(row.created, now: now))
                case "CreatedBy": .string(createdBy(row))
                case "ID", "Id": .string(id(row))
                case "Size": .string(size(row))
                case "Tags": .string(row.tags.joined(separator: ", "))
                default: nil
                }
            })
    }
}
