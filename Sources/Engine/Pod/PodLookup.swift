// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import LinuxSystem
import SystemPackage

extension Engine {
    /// The pod named, or with the id or unambiguous id prefix, `name`.
    public func pod(_ name: String) throws(EngineError) -> Pod { try loadPod(try podID(name)) }

    /// Its record alone, without a look at its processes and members.
    public func podRecord(named name: String) throws(EngineError) -> PodRecord { try loadPodRecord(try podID(name)) }

    private func podID(_ name: String) throws(EngineError) -> String {
        if case .pod(let id)? = nameTable.owner(of: name), File.exists(paths.pod(id)) { return id }
        guard let id = try NameTable.resolve(prefix: name, in: paths.pods, kind: "pod") else {
            throw EngineError.noSuchPod(name)
        }
        return id
    }

    /// Every pod, newest first, as `pod ps` lists them.
    public func pods() throws(EngineError) -> [Pod] {
        let directory = paths.pods
        let ids = try attempt("list", directory) { () throws(Errno) in try Directory.names(directory) }
        if ids.isEmpty { return [] }
        var members: [String: [Container]] = [:]
        for container in try containers() {
            if let id = container.record.podID { members[id, default: []].append(container) }
        }
        var result: [Pod] = []
        for id in ids where id.utf8.count == 64 {
            do throws(EngineError) { result.append(try loadPod(id, members: members[id] ?? [])) } catch {
                if File.exists(paths.pod(id)) { warn(error.message) }
            }
        }
        result.sort { ($0.record.created, $0.record.id) > ($1.record.created, $1.record.id) }
        return result
    }

    func loadPodRecord(_ id: String) throws(EngineError) -> PodRecord {
        guard File.exists(paths.pod(id)) else { throw EngineError.noSuchPod(id) }
        return PodRecord(try readRecord(paths.pod(id) + "/config.json"))
    }

    private func loadPod(_ id: String, members: [Container]? = nil) throws(EngineError) -> Pod {
        let record = try loadPodRecord(id)
        var state = PodState(try readRecord(paths.pod(id) + "/state.json"))
        let sandbox = sandbox(id)
        if state.status == .running, sandbox == nil {
            state.status = .exited
            state.exitCode = 137
            state.error = "its keeper process was killed"
            state.finished = state.finished ?? Timestamp.now
            warn("pod \(record.name): \(state.error); 'samara pod restart \(record.name)' brings it back")
            removeSandboxFiles(id)
            try? writeRecord(paths.pod(id) + "/state.json", state.json)
        } else if let sandbox, sandbox.network.map({ !$0.isAlive }) == true {
            state.error =
                "its network process (samara-net) was killed: published ports are closed until 'samara pod start \(record.name)'"
            warn("pod \(record.name): \(state.error)")
        }
        let list: [Container]
        if let members { list = members } else { list = try self.members(of: id) }
        return Pod(record: record, state: state, keeper: sandbox?.keeper, members: list)
    }

    /// The pod's containers without infra, oldest first.
    func members(of id: String) throws(EngineError) -> [Container] {
        try containers().filter { $0.record.podID == id }
    }

    /// The published ports that a container answers on: its own or its pod's, with the numbers the kernel chose.
    public func ports(of container: Container) -> [PortRecord] {
        let record = container.record
        let activated = record.ports.filter(\.isActivated)
        if let podID = record.podID, record.network == .pod { return ports(ofPod: podID) + activated }
        guard let state = sandbox(record.id) else { return record.ports }
        return state.ports + activated
    }

    public func ports(ofPod id: String) -> [PortRecord] {
        if let state = sandbox(id), !state.ports.isEmpty { return state.ports }
        return (try? loadPodRecord(id))?.ports ?? []
    }

    public func logPath(of container: Container) -> String { paths.log(container.record.id) }
}
