// SPDX-License-Identifier: Apache-2.0
import Engine
import JSON
import Presentation

/// A container as `ps` shows it: a row, a JSON object, a template's fields.
struct ContainerTable {
    let now: Moment
    let isFull: Bool
    let showsPod: Bool
    let noHeading: Bool

    func text(_ containers: [ListedContainer]) -> String {
        var header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
        if showsPod { header += ["POD ID", "PODNAME"] }
        let rows = containers.map { container in
            let record = container.record
            var row = [
                ContainerText.id(record.id, isFull: isFull), record.imageName,
                ContainerText.command(container.command, isFull: isFull),
                ContainerText.age(Moment(record.created), now: now), ContainerText.status(container.state, now: now),
                ports(container), record.name,
            ]
            if showsPod { row += [ContainerText.id(record.podID ?? "", isFull: isFull), container.podName] }
            return row
        }
        return Table(header: noHeading ? nil : header, rows: rows).text()
    }

    private func ports(_ container: ListedContainer) -> String {
        PortText.list(container.ports, exposed: container.record.exposedPorts)
    }

    // MARK: JSON

    func json(_ container: ListedContainer) -> JSON {
        let (record, state) = (container.record, container.state)
        var object = JSONObject()
        object["AutoRemove"] = .bool(record.isAutoRemoved)
        object["Command"] = .stringsOrNull(container.command)
        object["CreatedAt"] = .string(ContainerText.age(Moment(record.created), now: now))
        object["CIDFile"] = .string(record.cidFile ?? "")
        object["Exited"] = .bool(state.status == .exited)
        object["ExitedAt"] = .int(finished(state).seconds)
        object["ExitCode"] = .int(Int64(state.exitCode))
        object["ExposedPorts"] = exposedPorts(record)
        object["Id"] = .string(record.id)
        object["Image"] = .string(record.imageName)
        object["ImageID"] = .string(record.imageID)
        object["IsInfra"] = .bool(container.isInfra)
        object["Labels"] = record.labels.isEmpty ? .null : .sortedMap(record.labels)
        object["Mounts"] = .strings(mounts(record))
        object["Names"] = .strings([record.name])
        object["Namespaces"] = .object([:])
        object["Networks"] = .array([])
        object["Pid"] = .int(pid(state))
        object["Pod"] = .string(record.podID ?? "")
        object["PodName"] = .string(container.podName)
        object["Ports"] = PortText.mappings(container.ports)
        object["Restarts"] = .int(state.restarts)
        object["Size"] = .null
        object["StartedAt"] = .int(started(state).seconds)
        object["State"] = .string(state.status.rawValue)
        object["Status"] = .string(ContainerText.status(state, now: now))
        object["Created"] = .int(record.created.seconds)
        return .object(object)
    }

    private func started(_ state: ContainerState) -> Moment { state.started.map(Moment.init) ?? .zero }
    private func finished(_ state: ContainerState) -> Moment { state.finished.map(Moment.init) ?? .zero }

    private func pid(_ state: ContainerState) -> Int64 {
        switch state.status {
        case .running, .paused, .stopping: Int64(state.process?.pid ?? 0)
        case .created, .exited: 0
        }
    }

    private func mounts(_ record: ContainerRecord) -> [String] {
        record.mounts.filter { $0.kind != .tmpfs }.map(\.destination)
    }

    /// `{"80": ["tcp"]}`, as libpod keys exposed ports by number; null when there are none.
    private func exposedPorts(_ record: ContainerRecord) -> JSON {
        var object = JSONObject()
        for port in record.exposedPorts {
            let parts = PortText.normalised(port).split(separator: "/", maxSplits: 1).map(String.init)
            object[parts[0]] = .array((object[parts[0]]?.arrayValue ?? []) + [.string(parts[1])])
        }
        return object.keys.isEmpty ? .null : .object(object)
    }

    // MARK: Templates

    static let fields = [
        "AutoRemove", "CIDFile", "Command", "Created", "CreatedAt", "CreatedHuman", "ExitCode", "Exited", "ExitedAt",
        "ExposedPorts", "ID", "Image", "ImageID", "IsInfra", "Label", "Labels", "Mounts", "Names", "Networks", "Pid",
        "Pod", "PodName", "Ports", "Restarts", "RunningFor", "StartedAt", "State", "Status",
    ]

    static let titles = [
        "CreatedHuman": "CREATED", "ID": "CONTAINER ID", "Pod": "POD ID", "PodName": "PODNAME",
        "RunningFor": "RUNNING FOR", "Id": "CONTAINER ID", "CIDFile": "CIDFILE",
    ]

    func template(_ container: ListedContainer) -> TemplateValue {
        .structure(
            TemplateStructure(
                typeName: "*containers.psReporter", fieldNames: Self.fields,
                methods: ["Label": TemplateValue.labelMethod(container.record.labels)],
                field: { field($0, container) }))
    }

    private func field(_ name: String, _ container: ListedContainer) -> TemplateValue? {
        let (record, state) = (container.record, container.state)
        switch name {
        case "AutoRemove": return .bool(record.isAutoRemoved)
        case "CIDFile": return .string(record.cidFile ?? "")
        case "Command": return .string(ContainerText.command(container.command, isFull: isFull))
        case "Created", "CreatedAt": return .string(Moment(record.created).goText())
        case "CreatedHuman", "RunningFor": return .string(ContainerText.age(Moment(record.created), now: now))
        case "ExitCode": return .int(Int64(state.exitCode))
        case "Exited": return .bool(state.status == .exited)
        case "ExitedAt": return .int(finished(state).seconds)
        case "ExposedPorts": return TemplateValue(exposedPorts(record))
        case "ID", "Id": return .string(ContainerText.id(record.id, isFull: isFull))
        case "Image": return .string(record.imageName)
        case "ImageID": return .string(ContainerText.id(record.imageID, isFull: isFull))
        case "IsInfra": return .bool(container.isInfra)
        case "Labels": return .map(record.labels)
        case "Mounts": return .strings(mounts(record))
        case "Names", "Name": return .string(record.name)
        case "Networks": return .string("")
        case "Pid", "PID": return .int(pid(state))
        case "Pod": return .string(ContainerText.id(record.podID ?? "", isFull: isFull))
        case "PodName": return .string(container.podName)
        case "Ports": return .string(ports(container))
        case "Restarts": return .string(String(state.restarts))
        case "StartedAt": return .int(started(state).seconds)
        case "State": return .string(state.status.rawValue)
        case "Status": return .string(ContainerText.status(state, now: now))
        default: return nil
        }
    }
}
