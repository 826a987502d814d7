// SPDX-License-Identifier: Apache-2.0
import Engine

/// A pod's infra container as a container: the keeper process is not one of `engine.containers()`, but `ps`,
/// `inspect` and `port` show it as Podman does.
enum InfraContainers {
    /// The container that stands for the pod's keeper; nil for a pod without one.
    static func container(of pod: Pod) -> Container? {
        guard pod.record.hasInfra else { return nil }
        var record = ContainerRecord()
        record.id = pod.record.infraID
        record.name = pod.record.infraName
        record.created = pod.record.created
        record.podID = pod.record.id
        record.labels = pod.record.labels
        record.ports = pod.record.ports
        // Its ports are the pod's, so they are looked up as a member's are.
        record.network = pod.record.network
        record.hostname = pod.record.hostname.isEmpty ? pod.record.name : pod.record.hostname
        record.addedHosts = pod.record.addedHosts
        record.dnsServers = pod.record.dnsServers
        record.dnsSearch = pod.record.dnsSearch
        record.dnsOptions = pod.record.dnsOptions
        record.sysctls = pod.record.sysctls
        record.shmSize = pod.record.shmSize
        record.mounts = pod.record.mounts
        record.restartPolicy = pod.record.restartPolicy
        record.logDriver = "none"
        var state = ContainerState()
        state.status = pod.state.status
        state.process = pod.keeper
        state.started = pod.state.started
        state.finished = pod.state.finished
        state.exitCode = pod.state.exitCode
        state.error = pod.state.error
        return Container(record: record, state: state)
    }

    /// The pod whose infra container `text` names by its name, id or unambiguous id prefix.
    static func pod(of text: String, _ engine: Engine) throws(EngineError) -> Pod? {
        let pods = try engine.pods().filter(\.record.hasInfra)
        if let exact = pods.first(where: { $0.record.infraName == text || $0.record.infraID == text }) { return exact }
        let isHex = !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        let fitting = isHex ? pods.filter { $0.record.infraID.hasPrefix(text) } : []
        return fitting.count == 1 ? fitting[0] : nil
    }

    static func removalRefused(_ pod: Pod) -> Failure {
        Failure(
            "container \(pod.record.infraID) is the infra container of pod \(pod.record.id) and cannot be removed without "
                + "removing the pod")
    }
}
