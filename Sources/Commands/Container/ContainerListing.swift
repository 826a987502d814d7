// SPDX-License-Identifier: Apache-2.0
import Engine
import LinuxSystem

/// A line of `ps`: a container, or a pod's infra container, with what it shows of its pod.
struct ListedContainer {
    let container: Container
    let isInfra: Bool
    let podName: String
    /// The pod's for members of a pod.
    let ports: [PortRecord]
    /// The pod's infra container; "" outside of pods.
    var infraID = ""

    var record: ContainerRecord { container.record }
    var state: ContainerState { container.state }
    /// What the process was started with: the entrypoint, then the command.
    var command: [String] { isInfra ? [] : record.entrypoint + record.command }
}

enum ContainerListing {
    /// Every container and infra container, oldest first.
    static func load(_ engine: Engine) throws(EngineError) -> [ListedContainer] {
        let containers = try engine.containers()
        let pods = try engine.pods()
        return merge(containers, pods) { container, isInfra in
            guard container.isRunning else { return nil }
            return isInfra ? engine.ports(ofPod: container.record.podID ?? "") : engine.ports(of: container)
        }
    }

    /// - Parameter chosenPorts: the ports of a container, infra or not, with the numbers that the kernel chose; nil if it
    ///   has none. Asked only where a record leaves the choice to the kernel.
    static func merge(
        _ containers: [Container], _ pods: [Pod], chosenPorts: (Container, Bool) -> [PortRecord]? = { _, _ in nil }
    ) -> [ListedContainer] {
        func ports(_ container: Container, isInfra: Bool, _ recorded: [PortRecord]) -> [PortRecord] {
            recorded.contains { $0.hostPort == 0 } ? chosenPorts(container, isInfra) ?? recorded : recorded
        }
        var podsByID: [String: PodRecord] = [:]
        var listed: [(age: LinuxSystem.Timestamp, row: ListedContainer)] = []
        listed.reserveCapacity(containers.count + pods.count)
        for pod in pods {
            podsByID[pod.record.id] = pod.record
            guard let infra = InfraContainers.container(of: pod) else { continue }
            // Sorted before its members, also the one that a `run --pod new:` made it for.
            let age = min(pod.record.created, pod.members.map(\.record.created).min() ?? pod.record.created)
            let row = ListedContainer(
                container: infra, isInfra: true, podName: pod.record.name,
                ports: ports(infra, isInfra: true, pod.record.ports),
                infraID: pod.record.infraID)
            listed.append((age, row))
        }
        for container in containers {
            let pod = container.record.podID.flatMap { podsByID[$0] }
            let recorded = (container.record.network == .pod ? pod?.ports ?? [] : []) + container.record.ports
            let row = ListedContainer(
                container: container, isInfra: false, podName: pod?.name ?? "",
                ports: ports(container, isInfra: false, recorded),
                infraID: pod?.infraID ?? "")
            listed.append((container.record.created, row))
        }
        return listed.sorted {
            ($0.age, $0.row.isInfra ? 0 : 1, $0.row.record.id) < ($1.age, $1.row.isInfra ? 0 : 1, $1.row.record.id)
        }.map(\.row)
    }
}
