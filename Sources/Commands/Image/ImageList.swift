// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import JSON
import Presentation

func imagesCommand(_ name: String = "images", aliases: [String] = []) -> Command<Session> {
    Command(name, aliases: aliases, summary: "List images in local storage") {
        CommandDeclaration(
            description: "Lists images previously pulled to the system or created on the system.",
            usage: "[options] [IMAGE]",
            examples: [
                "samara images --format json",
                "samara images --sort repository --format \"table {{.ID}} {{.Repository}} {{.Tag}}\"",
                "samara images --filter dangling=true",
            ],
            flags: [
                .bool("all", short: "a", help: "Show all images, also those without a name that others were made from"),
                .bool("digests", help: "Show digests"),
                .strings("filter", short: "f", help: "Filter output based on conditions provided (default [])"),
                .string("format", help: "Change the output format to JSON or a Go template"),
                .bool("history", help: "Display the names that the image has"),
                .bool("no-trunc", help: "Do not truncate output"),
                .bool("noheading", short: "n", help: "Do not print column headings"),
                .bool("quiet", short: "q", help: "Display only image IDs"),
                .string("sort", default: "created", help: "Sort by created, id, repository, size, tag"),
            ],
            positional: .atMost(1), run: list)
    }
}

private func list(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    var filterTexts = arguments.strings("filter")
    if let name = arguments.positional.first {
        if !filterTexts.isEmpty { throw Failure("cannot specify an image and a filter(s)") }
        filterTexts.append("reference=" + name)
    }
    let sort = arguments.string("sort")
    guard let order = ImageOrder(rawValue: sort) else {
        throw Failure("\"\(sort)\" is not a valid field for sorting. Choose from: created, id, repository, size, tag")
    }
    let now = Moment.now
    let engine = try session.engine(arguments)
    let users = try ImageLookup.users(engine)
    let all = try engine.images.list().map(NamedImage.init)
    let parents = ImageParents.unnamed(all)
    let filters = try ImageFilters(filterTexts, engine, users: users, parents: parents, now: now)
    let table = ImageTable(
        now: now, isFull: arguments.bool("no-trunc"), showsDigests: arguments.bool("digests"),
        showsHistory: arguments.bool("history"))
    let images = all.filter { image in
        (arguments.bool("all") || !parents.contains(image.record.id.hex)) && filters.accepts(image)
    }
    let rows = order.sorted(
        ImageTable.rows(images, users: users, parents: parents, shownNames: filters.references))
    let format = arguments.string("format")
    if ReportFormat.isJSON(format) {
        try session.print(FormattedOutput.json(rows.map(table.json), indent: 4))
    } else if arguments.bool("quiet") {
        var seen: Set<String> = []
        try session.print(rows.map(table.id).filter { seen.insert($0).inserted }.map { $0 + "\n" }.joined())
    } else if arguments.isSet("format") {
        try FormattedOutput.rows(
            rows.map(table.template), format: format, name: arguments.commandName, fields: ImageTable.fields,
            titles: ImageTable.titles, noHeading: arguments.bool("noheading"), into: session)
    } else {
        try session.print(table.text(rows, noHeading: arguments.bool("noheading")))
    }
    return 0
}

enum ImageParents {
    /// The ids of images without a name whose layers are the lower ones of another image: Podman's intermediate images.
    static func unnamed(_ all: [NamedImage]) -> Set<String> {
        let candidates = all.filter { $0.names.isEmpty && !$0.record.layers.isEmpty }
        let parents = candidates.filter { image in
            let depth = image.record.layers.count
            let top = image.record.layers[depth - 1].chainID
            return all.contains {
                $0.record.layers.count > depth && $0.record.layers[depth - 1].chainID == top
            }
        }
        return Set(parents.map(\.record.id.hex))
    }
}

/// --sort.
enum ImageOrder: String {
    case created, id, repository, size, tag

    func sorted(_ rows: [ImageTable.Row]) -> [ImageTable.Row] {
        switch self {
        case .created: rows
        case .id: rows.sorted { $0.image.record.id.hex < $1.image.record.id.hex }
        case .repository: rows.sorted { $0.repository < $1.repository }
        case .size: rows.sorted { $0.image.record.size < $1.image.record.size }
        case .tag: rows.sorted { $0.tag < $1.tag }
        }
    }
}

/// The images in the forms of `images`: one row per name.
struct ImageTable {
    let now: Moment
    let isFull: Bool
    let showsDigests: Bool
    let showsHistory: Bool

    struct Row {
        let image: NamedImage
        let repository: String
        let tag: String
        /// How many containers were made from it.
        let containers: Int
        /// Without a name, and no other image's lower layers.
        let isDangling: Bool
    }

    /// - Parameter shownNames: says which names a reference filter leaves; nil leaves all.
    static func rows(
        _ images: [NamedImage], users: [String: [Container]], parents: Set<String>,
        shownNames: ((String) -> Bool)? = nil
    ) -> [Row] {
        images.flatMap { image -> [Row] in
            let count = users[image.record.id.hex]?.count ?? 0
            if image.names.isEmpty {
                return [
                    Row(
                        image: image, repository: "<none>", tag: "<none>", containers: count,
                        isDangling: !parents.contains(image.record.id.hex))
                ]
            }
            return image.names.filter { shownNames?($0) ?? true }.map { name in
                let (repository, tag) = ImageName.split(name)
                return Row(image: image, repository: repository, tag: tag, containers: count, isDangling: false)
            }
        }
    }

    func id(_ row: Row) -> String {
        isFull ? "sha256:" + row.image.record.id.hex : String(row.image.record.id.hex.prefix(12))
    }

    func text(_ rows: [Row], noHeading: Bool) -> String {
        let header =
            ["REPOSITORY", "TAG"] + (showsDigests ? ["DIGEST"] : []) + ["IMAGE ID", "CREATED", "SIZE"]
            + (showsHistory ? ["HISTORY"] : [])
        let lines = rows.map { row in
            [row.repository, row.tag] + (showsDigests ? [row.image.record.manifestDigest.description] : [])
                + [id(row), age(row), size(row)] + (showsHistory ? [history(row)] : [])
        }
        return Table(header: noHeading ? nil : header, rows: lines).text()
    }

    private func age(_ row: Row) -> String { ContainerText.age(row.image.record.createdMoment, now: now) }
    private func history(_ row: Row) -> String { row.image.names.joined(separator: ", ") }
    private func size(_ row: Row) -> String { HumanSize.text(bytes: row.image.record.size) }

    func json(_ row: Row) -> JSON {
        let record = row.image.record
        var object = JSONObject()
        object["Id"] = .string(record.id.hex)
        object["ParentId"] = .string("")
        object["RepoTags"] = .null
        object["RepoDigests"] = .strings(ImageName.digested(row.image.names, record.manifestDigest))
        object["Size"] = .int(record.size)
        object["SharedSize"] = .int(0)
        object["VirtualSize"] = .int(record.size)
        object["Labels"] = .sortedMap(record.config.labels.map { ($0.key, $0.value) })
        object["Containers"] = .int(Int64(row.containers))
        object["Names"] = .strings(row.image.names)
        object["Digest"] = .string(record.manifestDigest.description)
        object["History"] = .strings(row.image.names)
        object["Created"] = .int(record.createdMoment.seconds)
        object["CreatedAt"] = .string(record.createdMoment.rfc3339Nano())
        return .object(object)
    }

    static let fields = [
        "Containers", "Created", "CreatedAt", "CreatedSince", "CreatedTime", "Dangling", "Digest", "History", "ID",
        "Id",
        "Labels", "Names", "ParentId", "ReadOnly", "RepoDigests", "RepoTags", "Repository", "Size", "Tag",
        "VirtualSize",
    ]

    static let titles = ["ID": "IMAGE ID", "Id": "IMAGE ID", "ReadOnly": "R/O"]

    func template(_ row: Row) -> TemplateValue {
        .structure(
            TemplateStructure(typeName: "images.imageReporter", fieldNames: Self.fields, field: { field($0, row) }))
    }

    private func field(_ name: String, _ row: Row) -> TemplateValue? {
        let record = row.image.record
        return switch name {
        case "Containers": .int(Int64(row.containers))
        case "Created", "CreatedSince": .string(age(row))
        case "CreatedAt", "CreatedTime": .string(record.createdMoment.goText())
        case "Dangling": .bool(row.isDangling)
        case "Digest": .string(record.manifestDigest.description)
        case "History": .string(history(row))
        case "ID", "Id": .string(id(row))
        case "Labels": .map(record.config.labels.map { ($0.key, $0.value) })
        case "Names", "RepoTags": .strings(row.image.names)
        case "ParentId": .string("")
        case "ReadOnly": .bool(false)
        case "RepoDigests": .strings(ImageName.digested(row.image.names, record.manifestDigest))
        case "Repository": .string(row.repository)
        case "Size": .string(size(row))
        case "Tag": .string(row.tag)
        case "VirtualSize": .int(record.size)
        default: nil
        }
    }
}
