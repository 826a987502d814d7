// SPDX-License-Identifier: Apache-2.0
import Engine
import JSON
import Presentation

/// A pod as `pod ps` shows it: a row, a JSON object, a template's fields.
struct PodTable {
    let now: Moment
    let isFull: Bool

    /// What replaces the number of containers.
    enum Column { case ids, names, statuses }

    func text(_ pods: [Pod], _ columns: [Column], noHeading: Bool) -> String {
        var header = ["POD ID", "NAME", "STATUS", "CREATED", "INFRA ID"]
        for column in columns {
            switch column {
            case .ids: header.append("IDS")
            case .names: header.append("NAMES")
            case .statuses: header.append("STATUS")
            }
        }
        if columns.isEmpty { header.append("# OF CONTAINERS") }
        let rows = pods.map { pod in
            var row = [
                id(pod.record.id), pod.record.name, pod.status.rawValue,
                ContainerText.age(Moment(pod.record.created), now: now), infraID(pod),
            ]
            for column in columns {
                switch column {
                case .ids: row.append(ids(pod))
                case .names: row.append(names(pod))
                case .statuses: row.append(statuses(pod))
                }
            }
            if columns.isEmpty { row.append(String(pod.containers.count)) }
            return row
        }
        return Table(header: noHeading ? nil : header, rows: rows).text()
    }

    func json(_ pod: Pod) -> JSON {
        var object = JSONObject()
        object["Cgroup"] = .string("")
        object["Containers"] = .array(
            pod.containers.map { container in
                [
                    "Id": .string(container.record.id), "Names": .string(container.record.name),
                    "Status": .string(container.state.status.rawValue), "RestartCount": .int(container.state.restarts),
                ]
            })
        object["Created"] = .string(Moment(pod.record.created).rfc3339Nano())
        object["Id"] = .string(pod.record.id)
        object["InfraId"] = .string(pod.record.hasInfra ? pod.record.infraID : "")
        object["Name"] = .string(pod.record.name)
        object["Namespace"] = .string("")
        object["Networks"] = .array([])
        object["Status"] = .string(pod.status.rawValue)
        object["Labels"] = .sortedMap(pod.record.labels)
        return .object(object)
    }

    static let fields = [
        "Cgroup", "ContainerIds", "ContainerNames", "ContainerStatuses", "Created", "ID", "Id", "InfraID", "InfraId",
        "Label", "Labels", "Name", "Namespace", "Networks", "NumberOfContainers", "Restarts", "Status",
    ]

    static let titles = [
        "ID": "POD ID", "Id": "POD ID", "NumberOfContainers": "# OF CONTAINERS", "InfraID": "INFRA ID",
        "InfraId": "INFRA ID", "ContainerIds": "IDS", "ContainerNames": "NAMES", "ContainerStatuses": "STATUS",
        "Namespace": "NAMESPACES",
    ]

    func template(_ pod: Pod) -> TemplateValue {
        .structure(
            TemplateStructure(
                typeName: "pods.ListPodReporter", fieldNames: Self.fields,
                methods: ["Label": TemplateValue.labelMethod(pod.record.labels)], field: { field($0, pod) }))
    }

    private func field(_ name: String, _ pod: Pod) -> TemplateValue? {
        switch name {
        case "Cgroup", "Namespace", "Networks": .string("")
        case "ContainerIds": .string(ids(pod))
        case "ContainerNames": .string(names(pod))
        case "ContainerStatuses": .string(statuses(pod))
        case "Containers": .list(pod.containers.map(container))
        case "Created": .string(ContainerText.age(Moment(pod.record.created), now: now))
        case "ID", "Id": .string(id(pod.record.id))
        case "InfraID", "InfraId": .string(infraID(pod))
        case "Labels": .map(pod.record.labels)
        case "Name": .string(pod.record.name)
        case "NumberOfContainers": .int(Int64(pod.containers.count))
        case "Restarts": .string(String(pod.members.reduce(0) { $0 + $1.state.restarts }))
        case "Status": .string(pod.status.rawValue)
        default: nil
        }
    }

    private func container(_ container: Container) -> TemplateValue {
        .structure(
            TemplateStructure(
                typeName: "*entities.ListPodContainer",
                fields: [
                    ("Id", .string(container.record.id)), ("Names", .string(container.record.name)),
                    ("Status", .string(container.state.status.rawValue)),
                    ("RestartCount", .int(container.state.restarts)),
                ]))
    }

    private func id(_ id: String) -> String { ContainerText.id(id, isFull: isFull) }
    private func infraID(_ pod: Pod) -> String { pod.record.hasInfra ? id(pod.record.infraID) : "" }
    private func ids(_ pod: Pod) -> String { pod.containers.map { id($0.record.id) }.joined(separator: ",") }
    private func names(_ pod: Pod) -> String { pod.containers.map(\.record.name).joined(separator: ",") }
    private func statuses(_ pod: Pod) -> String {
        pod.containers.map(\.state.status.rawValue).joined(separator: ",")
    }
}
