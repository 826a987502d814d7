// SPDX-License-Identifier: Apache-2.0
import Engine
import JSON
import Presentation

/// `volume inspect`: one object per volume, in Podman's shape.
struct VolumeInspection {
    let volume: VolumeRecord
    let paths: StorePaths
    let style: MomentStyle

    static let fields = [
        "Anonymous", "CreatedAt", "Driver", "Labels", "LockNumber", "MountCount", "Mountpoint", "Name", "NeedsCopyUp",
        "Options", "Scope",
    ]

    var template: TemplateValue {
        TemplateValue(
            json, typeName: "define.InspectVolumeData", maps: ["Labels", "Options"],
            aliases: ["MountPoint": "Mountpoint"])
    }

    var json: JSON {
        var object = JSONObject()
        object["Name"] = .string(volume.name)
        object["Driver"] = .string("local")
        object["Mountpoint"] = .string(paths.volume(volume.name) + "/_data")
        object["CreatedAt"] = style.text(Moment(volume.created))
        object["Labels"] = .sortedMap(volume.labels)
        object["Scope"] = .string("local")
        object["Options"] = .sortedMap(volume.options)
        // libpod leaves false out.
        if volume.isAnonymous || style == .template { object["Anonymous"] = .bool(volume.isAnonymous) }
        object["MountCount"] = .int(0)
        if volume.needsCopyUp || style == .template { object["NeedsCopyUp"] = .bool(volume.needsCopyUp) }
        object["LockNumber"] = .int(0)
        return .object(object)
    }
}

/// --filter of `volume ls` and `volume prune`: podman-volume-ls(1).
struct VolumeFilters {
    private let tests: [(VolumeRecord) -> Bool]

    init(_ texts: [String], _ engine: Engine, now: Moment) throws {
        var values: [(key: String, values: [String])] = []
        for text in texts {
            let (key, value) = KeyValueList.split(text)
            guard let value else { throw Failure("invalid filter \"\(text)\": must be of the form KEY=VALUE") }
            if let index = values.firstIndex(where: { $0.key == key }) {
                values[index].values.append(value)
            } else {
                values.append((key, [value]))
            }
        }
        tests = try values.map { try VolumeFilters.test($0.key, $0.values, engine, now) }
    }

    func accepts(_ volume: VolumeRecord) -> Bool { tests.allSatisfy { $0(volume) } }

    private static func test(
        _ key: String, _ values: [String], _ engine: Engine, _ now: Moment
    ) throws -> (VolumeRecord) -> Bool {
        switch key {
        case "name":
            let patterns = try values.map { try NamePattern($0) }
            return { volume in patterns.contains { $0.matches(volume.name) } }
        case "driver", "scope": return { _ in values.contains("local") }
        case "label": return { volume in values.allSatisfy { LabelFilter.fits(volume.labels, $0) } }
        case "label!": return { volume in values.allSatisfy { !LabelFilter.fits(volume.labels, $0) } }
        case "dangling":
            guard let text = values.last,
                let wanted = ["true": true, "1": true, "false": false, "0": false][text.lowercased()]
            else {
                throw Failure(
                    "\"\(values.last ?? "")\" is not a valid value for the \"dangling\" filter - must be true or false")
            }
            let used = try used(engine)
            return { used.contains($0.name) != wanted }
        case "anonymous":
            return { volume in values.contains { ($0.lowercased() == "true") == volume.isAnonymous } }
        case "until":
            let moments = try values.map { try Moment.interpreting($0, now: now) }
            return { volume in moments.allSatisfy { Moment(volume.created) < $0 } }
        case "since", "after":
            let created = try values.map { try engine.volume($0).created }
            return { volume in created.contains { volume.created > $0 } }
        default: throw Failure("\"\(key)\" is an invalid volume filter")
        }
    }

    /// The names of volumes that containers or pods mount.
    static func used(_ engine: Engine) throws(EngineError) -> Set<String> {
        var names: Set<String> = []
        for container in try engine.containers() {
            for mount in container.record.mounts where mount.kind == .volume { names.insert(mount.source) }
        }
        for pod in try engine.pods() {
            for mount in pod.record.mounts where mount.kind == .volume { names.insert(mount.source) }
        }
        return names
    }
}
