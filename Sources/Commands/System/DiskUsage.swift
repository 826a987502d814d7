// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import Presentation

func diskUsageCommand() -> Command<Session> {
    Command("df", summary: "Show samara disk usage") {
        CommandDeclaration(
            description: "Show samara disk usage", usage: "[options]",
            examples: ["samara system df", "samara system df --format \"{{.Type}} {{.Size}}\""],
            flags: [
                .string("format", help: "Pretty-print disk usage using a Go template or json"),
                .bool("verbose", short: "v", help: "Show detailed information on disk usage"),
            ],
            positional: .none,
            run: { session, arguments in
                if arguments.isSet("format"), arguments.bool("verbose") {
                    throw Failure("cannot combine --format and --verbose flags")
                }
                let engine = try session.engine(arguments)
                // Files of containers belong to subordinate ids.
                try engine.enterUserNamespace()
                let usage = try DiskUsage(engine)
                let format = arguments.string("format")
                if arguments.bool("verbose") {
                    try session.print(DiskUsageDetails(usage: usage, now: .now).text)
                } else if ReportFormat.isJSON(format) {
                    try session.print(FormattedOutput.json(.array(usage.summaries.map(\.json)), indent: 2))
                } else if arguments.isSet("format") {
                    try FormattedOutput.rows(
                        usage.summaries.map(\.template), format: format, name: "df",
                        fields: DiskUsage.Summary.fields, into: session)
                } else {
                    try session.print(
                        Table(
                            header: ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"],
                            rows: usage.summaries.map {
                                [$0.type, String($0.total), String($0.active), $0.sizeText, $0.reclaimableText]
                            }
                        ).text())
                }
                return 0
            })
    }
}

/// What images, containers and volumes take, in bytes.
struct DiskUsage {
    struct Summary {
        var type: String
        var total: Int
        /// In use.
        var active: Int
        var size: Int64
        var reclaimable: Int64

        static let fields = ["Active", "RawReclaimable", "RawSize", "Reclaimable", "Size", "Total", "Type"]

        var sizeText: String { HumanSize.text(bytes: size, separator: "") }

        var reclaimableText: String {
            let share = size > 0 ? Int((Double(reclaimable) / Double(size) * 100).rounded()) : 0
            return "\(HumanSize.text(bytes: reclaimable, separator: "")) (\(share)%)"
        }

        var json: JSON {
            [
                "Type": .string(type), "Total": .int(Int64(total)), "Active": .int(Int64(active)),
                "RawSize": .int(size), "RawReclaimable": .int(reclaimable), "TotalCount": .int(Int64(total)),
                "Size": .string(sizeText), "Reclaimable": .string(reclaimableText),
            ]
        }

        var template: TemplateValue { TemplateValue(json, typeName: "system.dfSummary") }
    }

    struct Image {
        var image: NamedImage
        /// Bytes of layers that another image has too.
        var shared: Int64
        var containers: Int
    }

    struct OwnedSize {
        var name: String
        var id: String
        var size: Int64
        var isActive: Bool
        var container: Container?
        /// Containers that mount it.
        var links = 0
    }

    let images: [Image]
    let containers: [OwnedSize]
    let volumes: [OwnedSize]
    let summaries: [Summary]

    init(_ engine: Engine) throws {
        let users = try ImageLookup.users(engine)
        let listed = try engine.images.list().map(NamedImage.init)
        var owners: [Digest: Int] = [:]
        for image in listed { for layer in Set(image.record.layers.map(\.chainID)) { owners[layer, default: 0] += 1 } }
        images = listed.map { image in
            let shared = image.record.layers.filter { owners[$0.chainID] ?? 0 > 1 }.reduce(0) { $0 + $1.tarSize }
            return Image(image: image, shared: shared, containers: users[image.record.id.hex]?.count ?? 0)
        }
        containers = try engine.containers().map { container in
            let id = container.record.id
            let size = (try? FileTree.size(engine.paths.container(id) + "/diff")) ?? 0
            return OwnedSize(
                name: container.record.name, id: id, size: size, isActive: container.isRunning, container: container)
        }
        var links: [String: Int] = [:]
        for container in try engine.containers() {
            for mount in container.record.mounts where mount.kind == .volume { links[mount.source, default: 0] += 1 }
        }
        volumes = try engine.volumes().map { volume in
            let size = (try? FileTree.size(engine.paths.volume(volume.name) + "/_data")) ?? 0
            let count = links[volume.name] ?? 0
            return OwnedSize(name: volume.name, id: volume.name, size: size, isActive: count > 0, links: count)
        }
        summaries = [
            DiskUsage.summary(images),
            DiskUsage.summary("Containers", containers), DiskUsage.summary("Local Volumes", volumes),
        ]
    }

    /// A layer counts once; it is reclaimable when no image with a container has it.
    private static func summary(_ images: [Image]) -> Summary {
        var sizes: [Digest: Int64] = [:]
        var used: Set<Digest> = []
        for image in images {
            for layer in image.image.record.layers {
                sizes[layer.chainID] = layer.tarSize
                if image.containers > 0 { used.insert(layer.chainID) }
            }
        }
        return Summary(
            type: "Images", total: images.count, active: images.count { $0.containers > 0 },
            size: sizes.values.reduce(0, +),
            reclaimable: sizes.filter { !used.contains($0.key) }.values.reduce(0, +))
    }

    private static func summary(_ type: String, _ items: [OwnedSize]) -> Summary {
        Summary(
            type: type, total: items.count, active: items.count(where: \.isActive),
            size: items.reduce(0) { $0 + $1.size },
            reclaimable: items.filter { !$0.isActive }.reduce(0) { $0 + $1.size })
    }
}

/// `system df -v`.
struct DiskUsageDetails {
    let usage: DiskUsage
    let now: Moment

    var text: String {
        let images = usage.images.flatMap { item -> [[String]] in
            let record = item.image.record
            let layers = record.layers.reduce(0) { $0 + $1.tarSize }
            return (item.image.names.isEmpty ? ["<none>"] : item.image.names).map { name in
                let (repository, tag) = ImageName.split(name)
                return [
                    repository, tag, String(record.id.hex.prefix(12)),
                    ContainerText.age(record.createdMoment, now: now),
                    size(record.size), size(item.shared), size(layers - item.shared), String(item.containers),
                ]
            }
        }
        let containers = usage.containers.map { item -> [String] in
            let record = item.container?.record
            return [
                String(item.id.prefix(12)), String((record?.imageID ?? "").prefix(12)),
                (record?.command ?? []).joined(separator: " "), String(record?.mounts.count ?? 0), size(item.size),
                ContainerText.age(record.map { Moment($0.created) } ?? .zero, now: now),
                item.container?.state.status.rawValue ?? "", item.name,
            ]
        }
        let volumes = usage.volumes.map { [$0.name, String($0.links), size($0.size)] }
        return "Images space usage:\n\n"
            + Table(
                header: [
                    "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS",
                ],
                rows: images
            ).text() + "\nContainers space usage:\n\n"
            + Table(
                header: ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"],
                rows: containers
            ).text() + "\nLocal Volumes space usage:\n\n"
            + Table(header: ["VOLUME NAME", "LINKS", "SIZE"], rows: volumes).text()
    }

    private func size(_ bytes: Int64) -> String { HumanSize.text(bytes: bytes, separator: "") }
}
