// SPDX-License-Identifier: Apache-2.0
import Engine

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
        return merge(containers, pods)
    }

    static func merge(_ containers: [Container], _ pods: [Pod]) -> [ListedContainer] {
        var podsByID: [String: PodRecord] = [:]
        var listed: [ListedContainer] = []
        listed.reserveCapacity(containers.count + pods.count)
        for pod in pods {
            podsByID[pod.record.id] = pod.record
            guard let infra = InfraContainers.container(of: pod) else { continue }
            listed.append(
                ListedContainer(container: infra, isInfra: true, podName: pod.record.name, ports: pod.record.ports))
        }
        for container in containers {
            let pod = container.record.podID.flatMap { podsByID[$0] }
            let ports = container.record.network == .pod ? pod?.ports ?? [] : container.record.ports
            listed.append(ListedContainer(container: container, isInfra: false, podName: pod?.name ?? "", ports: ports))
        }
        // An infra container is as old as its pod, so it sorts before the members made with it.
        return listed.sorted {
            ($0.record.created, $0.isInfra ? 0 : 1, $0.record.id) < (
                $1.record.created, $1.isInfra ? 0 : 1, $1.record.id
            )
        }
    }
}
