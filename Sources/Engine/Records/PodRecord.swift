// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem

/// What a pod is; written when it is created.
public struct PodRecord: Sendable {
    public var id = ""
    public var name = ""
    public var created = Timestamp(seconds: 0)
    public var labels: [(key: String, value: String)] = []
    /// "cgroup", "ipc", "net", "pid", "uts"; sorted.
    public var shares: [String] = ["ipc", "net", "uts"]
    public var hasInfra = true
    public var infraID = ""
    public var infraName = ""
    public var hostname = ""
    public var network = NetworkMode.private
    /// `--network` with its options when it had any: `NetworkOptions`.
    public var networkOptions = ""
    public var ports: [PortRecord] = []
    public var addedHosts: [String] = []
    public var managesHosts = true
    public var dnsServers: [String] = []
    public var dnsSearch: [String] = []
    public var dnsOptions: [String] = []
    public var mounts: [MountRecord] = []
    public var sysctls: [(key: String, value: String)] = []
    public var shmSize: Int64 = 65_536_000
    /// "continue" or "stop".
    public var exitPolicy = "continue"
    public var restartPolicy = "no"
    public var createCommand: [String] = []
    public init() {}

    public func shares(_ namespace: String) -> Bool { shares.contains(namespace) }

    init(_ json: JSON) {
        id = json.text("id")
        name = json.text("name")
        created = json.moment("created") ?? created
        labels = json.map("labels")
        shares = json.texts("shares")
        hasInfra = json.flag("hasInfra")
        infraID = json.text("infraID")
        infraName = json.text("infraName")
        hostname = json.text("hostname")
        network = NetworkMode(json.text("network")) ?? .private
        networkOptions = json.text("networkOptions")
        ports = json.list("ports").map(PortRecord.init)
        addedHosts = json.texts("addedHosts")
        managesHosts = json.flag("managesHosts")
        dnsServers = json.texts("dnsServers")
        dnsSearch = json.texts("dnsSearch")
        dnsOptions = json.texts("dnsOptions")
        mounts = json.list("mounts").compactMap(MountRecord.init)
        sysctls = json.map("sysctls")
        shmSize = json.number("shmSize")
        exitPolicy = json.text("exitPolicy")
        restartPolicy = json.text("restartPolicy")
        createCommand = json.texts("createCommand")
    }

    var json: JSON {
        [
            "schema": .int(recordSchema), "id": .string(id), "name": .string(name), "created": .moment(created),
            "labels": .map(labels), "shares": .texts(shares), "hasInfra": .bool(hasInfra),
            "infraID": .string(infraID), "infraName": .string(infraName), "hostname": .string(hostname),
            "network": .string(network.text), "networkOptions": .string(networkOptions),
            "ports": .array(ports.map(\.json)), "addedHosts": .texts(addedHosts),
            "managesHosts": .bool(managesHosts), "dnsServers": .texts(dnsServers), "dnsSearch": .texts(dnsSearch),
            "dnsOptions": .texts(dnsOptions), "mounts": .array(mounts.map(\.json)), "sysctls": .map(sysctls),
            "shmSize": .int(shmSize), "exitPolicy": .string(exitPolicy), "restartPolicy": .string(restartPolicy),
            "createCommand": .texts(createCommand),
        ]
    }
}

/// What happens to a pod's infra container.
public struct PodState: Sendable {
    public var status = ContainerStatus.created
    public var started: Timestamp?
    public var finished: Timestamp?
    public var exitCode: Int32 = 0
    /// How it was lost; a sentence.
    public var error = ""
    public init() {}

    init(_ json: JSON) {
        status = ContainerStatus(rawValue: json.text("status")) ?? .created
        started = json.moment("started")
        finished = json.moment("finished")
        exitCode = Int32(clamping: json.number("exitCode"))
        error = json.text("error")
    }

    var json: JSON {
        [
            "schema": .int(recordSchema), "status": .string(status.rawValue), "started": .moment(started),
            "finished": .moment(finished), "exitCode": .int(Int64(exitCode)), "error": .string(error),
        ]
    }
}

/// Podman's pod states: libpod's pod status over all members including infra.
public enum PodStatus: String, Sendable {
    case created = "Created"
    case running = "Running"
    case degraded = "Degraded"
    case paused = "Paused"
    case exited = "Exited"
    case stopped = "Stopped"
    case error = "Error"

    public static func of(_ members: [ContainerStatus]) -> PodStatus {
        func count(_ status: ContainerStatus) -> Int { members.count { $0 == status } }
        let running = count(.running) + count(.stopping)
        if members.isEmpty { return .created }
        if running == members.count { return .running }
        if running > 0 { return .degraded }
        if count(.paused) == members.count { return .paused }
        if count(.exited) == members.count { return .exited }
        if count(.exited) > 0 { return .stopped }
        return .created
    }
}

/// A pod as commands see it.
public struct Pod: Sendable {
    public var record: PodRecord
    /// The infra container's state, checked against the kernel.
    public var state: PodState
    /// The keeper, when it runs.
    public var keeper: ProcessIdentity?
    public var members: [Container]

    public var status: PodStatus {
        PodStatus.of((record.hasInfra ? [state.status] : []) + members.map(\.state.status))
    }
}

/// A named volume.
public struct VolumeRecord: Sendable {
    public var name = ""
    public var created = Timestamp(seconds: 0)
    public var labels: [(key: String, value: String)] = []
    public var options: [(key: String, value: String)] = []
    public var isAnonymous = false
    /// The image's content has not been copied in yet.
    public var needsCopyUp = true
    public init() {}

    init(_ json: JSON) {
        name = json.text("name")
        created = json.moment("created") ?? created
        labels = json.map("labels")
        options = json.map("options")
        isAnonymous = json.flag("anonymous")
        needsCopyUp = json.flag("needsCopyUp")
    }

    var json: JSON {
        [
            "schema": .int(recordSchema), "name": .string(name), "created": .moment(created), "labels": .map(labels),
            "options": .map(options), "anonymous": .bool(isAnonymous), "needsCopyUp": .bool(needsCopyUp),
        ]
    }
}
