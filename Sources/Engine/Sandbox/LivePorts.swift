// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import NetControl
import PodNetwork
import SystemPackage

/// A change of published ports, as given with --publish and --unpublish.
public struct PortChange: Sendable {
    public var published: [String]
    /// In the form of -p. What is not given (host address, host port) matches any: `80/tcp` is every mapping of that
    /// port.
    public var unpublished: [String]

    public init(published: [String], unpublished: [String]) {
        self.published = published
        self.unpublished = unpublished
    }
}

extension Engine {
    /// Changes a pod's published ports: the whole change or, with an error, nothing of it. In a running pod it is in
    /// effect when this returns; established connections of a port that is unpublished go on.
    public func updatePorts(_ pod: Pod, _ change: PortChange) throws(EngineError) {
        let lock = try lock(pod.record.id)
        defer { extendLifetime(lock) }
        var record = try loadPodRecord(pod.record.id)
        if record.network != .private || !record.hasInfra || !record.shares("net") {
            throw EngineError("pod \(record.name) has no network of its own to publish ports of")
        }
        record.ports = try changePorts(record.ports, change, id: record.id, owner: "pod \(record.name)")
        try checkForwarded(record.ports, pod: record.name)
        try writeRecord(paths.pod(record.id) + "/config.json", record.json)
    }

    /// As above, of a container that is not in a pod's network.
    public func updatePorts(_ container: Container, _ change: PortChange) throws(EngineError) {
        let lock = try lockContainer(container.record.id)
        defer { extendLifetime(lock) }
        var record = try loadContainer(container.record.id).record
        if record.network == .pod, let podID = record.podID {
            let pod = try loadPodRecord(podID).name
            throw EngineError("container \(record.name) uses the network of pod \(pod): use 'samara pod update \(pod)'")
        }
        if record.network != .private {
            throw EngineError("container \(record.name) has no network of its own to publish ports of")
        }
        record.ports = try changePorts(record.ports, change, id: record.id, owner: "container \(record.name)")
        try writeRecord(paths.container(record.id) + "/config.json", record.json)
    }

    /// The counters of the process that forwards for a running pod or container, by name; nil when there is none.
    public func networkStatistics(of id: String) -> [(name: String, value: UInt64)]? {
        guard sandbox(id)?.network?.isAlive == true,
            let client = try? NetClient.connect(path: paths.sandboxControl(id)),
            let statistics = try? client.statistics()
        else { return nil }
        return statistics.fields
    }

    /// A pod has no process of its own that could be handed a socket.
    func checkForwarded(_ ports: [PortRecord], pod: String) throws(EngineError) {
        if let port = ports.first(where: \.isActivated) {
            throw EngineError(
                "pod \(pod) cannot have port \(port.hostPort) with mode=activate: give it to the container that is to have the socket, with 'samara run --pod \(pod) -p \(port.hostPort):\(port.containerPort),mode=activate'"
            )
        }
    }

    /// Makes the change in the running sandbox `id`, if there is one, and returns the ports to record.
    private func changePorts(
        _ recorded: [PortRecord], _ change: PortChange, id: String, owner: String
    ) throws(EngineError) -> [PortRecord] {
        var recorded = recorded
        let added = try Engine.parsePorts(change.published)
        let patterns = try change.unpublished.map { (text) throws(EngineError) in (text, try Engine.parsePorts([text]))
        }
        let state = sandbox(id)
        var current = state?.ports ?? recorded
        var removed: [PortRecord] = []
        for (text, pattern) in patterns {
            let matching = current.remove(matching: pattern)
            if matching.isEmpty { throw EngineError("cannot unpublish \(text): \(owner) does not publish it") }
            removed += matching
        }
        for port in removed { recorded.removeOne(publishedAs: port) }
        guard var state else { return recorded + added }
        if (added + removed).contains(where: \.isActivated) {
            throw EngineError("cannot change a port with mode=activate while \(owner) runs: its program has the socket")
        }
        let bound = try exchange(removed, for: added, in: id)
        state.ports = current + bound
        try writeRecord(paths.sandboxState(id), state.json)
        return recorded + bound
    }

    /// - Returns: the added ports with the numbers that the kernel chose.
    private func exchange(
        _ removed: [PortRecord], for added: [PortRecord], in id: String
    ) throws(EngineError) -> [PortRecord] {
        do {
            let client = try NetClient.connect(path: paths.sandboxControl(id))
            // First, because the same host port may be given to another container port.
            try unpublish(removed, client)
            do { return try publish(added, client) } catch {
                // Free a moment ago; if somebody was faster, the first error is still the one to report.
                _ = try? publish(removed, client)
                throw error
            }
        } catch let error as NetControlError {
            throw EngineError(error.message)
        } catch let error as PortBindingError {
            throw EngineError(error.message)
        } catch {
            throw EngineError("cannot change the ports: \(error)")
        }
    }

    private func publish(_ ports: [PortRecord], _ client: borrowing NetClient) throws -> [PortRecord] {
        let bound = try BoundPorts(binding: ports.map(\.published))
        try client.publish(bound.listeners, descriptors: bound.descriptors)
        return bound.ports.map(PortRecord.init)
    }

    private func unpublish(_ ports: [PortRecord], _ client: borrowing NetClient) throws(NetControlError) {
        if ports.isEmpty { return }
        do { try client.unpublish(ports.flatMap { $0.listeners(any: .anyIPv6) }) } catch {
            // On a host without IPv6 "every address" is 0.0.0.0.
            guard error.cause == .refused, ports.contains(where: \.hostIP.isEmpty) else { throw error }
            try client.unpublish(ports.flatMap { $0.listeners(any: .anyIPv4) })
        }
    }
}

extension PortRecord {
    /// Each port of the run.
    var singles: [PortRecord] {
        (0..<range).map { offset in
            var single = self
            single.hostPort = hostPort == 0 ? 0 : hostPort + offset
            single.containerPort += offset
            single.range = 1
            return single
        }
    }

    /// As samara-net knows them; `any` is the address of those without one.
    fileprivate func listeners(any: IPAddress) -> [PublishedListener] {
        singles.map {
            PublishedListener(
                transport: $0.transport == "udp" ? .udp : .tcp, hostIP: IPAddress($0.hostIP) ?? any,
                hostPort: $0.hostPort, podPort: $0.containerPort)
        }
    }

    /// Whether this single port is meant by the single `pattern`.
    fileprivate func matches(_ pattern: PortRecord) -> Bool {
        transport == pattern.transport && containerPort == pattern.containerPort
            && (pattern.hostPort == 0 || hostPort == pattern.hostPort)
            && (pattern.hostIP.isEmpty || hostIP == pattern.hostIP)
    }
}

extension [PortRecord] {
    /// Removes what `patterns` mean, one port at a time: a run may lose some of its ports. Empty, with nothing removed,
    /// unless each of them means something.
    mutating func remove(matching patterns: [PortRecord]) -> [PortRecord] {
        var left = flatMap(\.singles)
        var removed: [PortRecord] = []
        for pattern in patterns.flatMap(\.singles) {
            let matching = left.filter { $0.matches(pattern) }
            if matching.isEmpty { return [] }
            removed += matching
            left.removeAll { $0.matches(pattern) }
        }
        self = left
        return removed
    }

    /// Removes the entry of which the kernel made `port`: its host port may have been left to the kernel.
    mutating func removeOne(publishedAs port: PortRecord) {
        var singles = flatMap(\.singles)
        let index =
            singles.firstIndex(of: port)
            ?? singles.firstIndex {
                $0.hostPort == 0 && $0.containerPort == port.containerPort && $0.transport == port.transport
                    && $0.hostIP == port.hostIP
            }
        if let index { singles.remove(at: index) }
        self = singles
    }
}
