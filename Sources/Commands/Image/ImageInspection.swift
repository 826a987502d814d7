// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import JSON
import OCISpec
import Presentation

func imageInspectCommand() -> Command<Session> {
    Command("inspect", summary: "Display the configuration of an image") {
        CommandDeclaration(
            description: "Displays the low-level information of an image identified by name or ID.",
            usage: "[options] IMAGE [IMAGE...]",
            examples: [
                "samara image inspect alpine",
                "samara image inspect --format \"imageId: {{.Id}} size: {{.Size}}\" alpine",
            ],
            flags: [.string("format", short: "f", default: "json", help: "Format the output to a Go template or json")],
            run: { session, arguments in try inspect(session, arguments, .image) })
    }
}

/// `image inspect`: one object per image, in Podman's shape.
struct ImageInspection {
    let image: NamedImage
    let style: MomentStyle

    static let aliases = ["ID": "Id", "OS": "Os", "DiffIDs": "Layers"]

    var template: TemplateValue {
        TemplateValue(
            json, typeName: "*inspect.ImageData", maps: ["Labels", "Annotations", "ExposedPorts", "Volumes", "Data"],
            aliases: Self.aliases)
    }

    var json: JSON {
        let record = image.record
        let labels: JSON =
            record.config.labels.isEmpty ? .null : .sortedMap(record.config.labels.map { ($0.key, $0.value) })
        var object = JSONObject()
        object["Id"] = .string(record.id.hex)
        object["Digest"] = .string(record.manifestDigest.description)
        object["RepoTags"] = .strings(image.names.filter { !$0.contains("@") })
        object["RepoDigests"] = .strings(ImageName.digested(image.names, record.manifestDigest))
        object["Parent"] = .string("")
        object["Comment"] = .string(record.history.last?.comment ?? "")
        object["Created"] = style.text(record.createdMoment)
        object["Config"] = config
        object["Version"] = .string("")
        object["Author"] = .string(record.author ?? "")
        object["Architecture"] = .string(record.platform.architecture)
        object["Os"] = .string(record.platform.os)
        object["Size"] = .int(record.size)
        object["VirtualSize"] = .int(record.size)
        object["GraphDriver"] = ["Name": "overlay", "Data": .object([:])]
        object["RootFS"] = ["Type": "layers", "Layers": .strings(record.layers.map(\.diffID.description))]
        object["Labels"] = labels
        object["Annotations"] = .object([:])
        object["ManifestType"] = .string(record.manifestMediaType)
        object["User"] = .string(record.config.user)
        object["History"] = .array(record.history.map(historyEntry))
        object["NamesHistory"] = .strings(image.names)
        return .object(object)
    }

    /// The image's own configuration. In templates all its members exist, so that `.Config.User` of an image without
    /// one is empty rather than an error, as with Go's structs.
    private var config: JSON {
        var object = image.record.config.json.objectValue ?? [:]
        guard style == .template else { return .object(object) }
        let empty: [(String, JSON)] = [
            ("User", ""), ("ExposedPorts", .object([:])), ("Env", .array([])), ("Entrypoint", .array([])),
            ("Cmd", .array([])),
            ("Volumes", .object([:])), ("WorkingDir", ""), ("Labels", .object([:])), ("StopSignal", ""),
        ]
        for (key, value) in empty where object[key] == nil { object[key] = value }
        return .object(object)
    }

    private func historyEntry(_ entry: HistoryEntry) -> JSON {
        var object = JSONObject()
        object["created"] = style.text(entry.created.flatMap { try? Moment(rfc3339: $0) } ?? .zero)
        if let text = entry.createdBy { object["created_by"] = .string(text) }
        if let text = entry.author { object["author"] = .string(text) }
        if let text = entry.comment { object["comment"] = .string(text) }
        if entry.isEmptyLayer { object["empty_layer"] = true }
        return .object(object)
    }
}
