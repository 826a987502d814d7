// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import JSON
import Presentation

func podInspectCommand() -> Command<Session> {
    Command("inspect", summary: "Display a pod configuration") {
        CommandDeclaration(
            description: """
                Display the configuration for a pod by name or id

                By default, this will render all results in a JSON array.
                """,
            usage: "[options] POD [POD...]", examples: ["samara pod inspect podID"],
            flags: [
                .string("format", short: "f", default: "json", help: "Format the output to a Go template or json"),
                PodTargets.latest,
            ],
            run: { session, arguments in try inspect(session, arguments, .pod) })
    }
}

/// `pod inspect`: one object per pod, in Podman's shape.
struct PodInspection {
    let pod: Pod
    /// The published ports, with the numbers that the kernel chose.
    let ports: [PortRecord]
    /// The forwarder's counters by name, when it runs.
    var statistics: [(name: String, value: UInt64)]?
    let style: MomentStyle

    static let aliases = ["ID": "Id", "HostIP": "HostIp", "PidNS": "pid_ns", "UserNS": "userns", "UtsNS": "uts_ns"]

    var template: TemplateValue {
        // Podman names the interface, not the type.
        TemplateValue(
            json, typeName: "interface {}", maps: ["Labels", "PortBindings", "NetworkOptions"], aliases: Self.aliases)
    }

    var json: JSON {
        let record = pod.record
        var object = JSONObject()
        object["Id"] = .string(record.id)
        object["Name"] = .string(record.name)
        object["Created"] = style.text(Moment(record.created))
        object["CreateCommand"] = .strings(record.createCommand)
        object["ExitPolicy"] = .string(record.exitPolicy)
        object["State"] = .string(pod.status.rawValue)
        object["Hostname"] = .string(record.hostname)
        object["Labels"] = .sortedMap(record.labels)
        object["CreateCgroup"] = .bool(false)
        object["CgroupParent"] = .string("")
        object["CgroupPath"] = .string("")
        object["CreateInfra"] = .bool(record.hasInfra)
        object["InfraContainerID"] = .string(record.hasInfra ? record.infraID : "")
        if record.hasInfra { object["InfraConfig"] = infraConfig }
        object["SharedNamespaces"] = .strings(record.shares)
        object["NumContainers"] = .int(Int64(pod.containers.count))
        object["Containers"] = .array(
            pod.containers.map { container in
                [
                    "Id": .string(container.record.id), "Name": .string(container.record.name),
                    "State": .string(container.state.status.rawValue),
                ]
            })
        if record.restartPolicy != "no" { object["RestartPolicy"] = .string(record.restartPolicy) }
        object["LockNumber"] = .int(0)
        if let statistics { object["Network"] = ["Statistics": .object(NetworkStatistics.object(statistics))] }
        return .object(object)
    }

    private var infraConfig: JSON {
        let record = pod.record
        var object = JSONObject()
        object["PortBindings"] = .object(PortText.bindings(ports))
        object["HostNetwork"] = .bool(record.network == .host)
        object["StaticIP"] = .string("")
        object["StaticMAC"] = .string("")
        object["NoManageResolvConf"] = .bool(false)
        object["DNSServer"] = .stringsOrNull(record.dnsServers)
        object["DNSSearch"] = .stringsOrNull(record.dnsSearch)
        object["DNSOption"] = .stringsOrNull(record.dnsOptions)
        object["NoManageHostname"] = .bool(false)
        object["NoManageHosts"] = .bool(!record.managesHosts)
        object["HostAdd"] = .stringsOrNull(record.addedHosts)
        object["HostsFile"] = .string("")
        object["Networks"] = .null
        object["NetworkOptions"] = .null
        object["pid_ns"] = .string("private")
        object["userns"] = .string("host")
        object["uts_ns"] = .string("private")
        return .object(object)
    }
}

/// The forwarder's counters, which Podman does not have.
enum NetworkStatistics {
    /// `{"Listeners": 1, "TcpAccepted": 3, …}`: the names with a capital, as every key of an inspection.
    static func object(_ counters: [(name: String, value: UInt64)]) -> JSONObject {
        var object = JSONObject()
        for counter in counters {
            object[counter.name.prefix(1).uppercased() + counter.name.dropFirst()] = .int(
                Int64(clamping: counter.value))
        }
        return object
    }
}
