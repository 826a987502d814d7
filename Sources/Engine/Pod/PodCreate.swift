// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import LinuxSystem
import SystemPackage

extension Engine {
    private static let knownShares = ["cgroup", "ipc", "net", "pid", "uts"]

    /// Creates a pod. Its infra container is created with it and starts with its first member or `pod start`.
    public func createPod(_ request: PodRequest) throws(EngineError) -> Pod {
        var record = request.settings
        record.id = NameTable.newID()
        record.created = Timestamp.now
        if let name = request.name { try NameTable.check(name) }
        record.shares = try Engine.parseShare(request.share)
        record.hasInfra = request.hasInfra ?? !record.shares.isEmpty
        record.ports = try Engine.parsePorts(request.ports)
        try checkForwarded(record.ports, pod: request.name ?? "POD")
        record.network = try NetworkText.parse(request.network)
        record.networkOptions = NetworkText.options(request.network)
        for text in request.volumes { record.mounts.append(try MountText.volume(text)) }
        if record.network == .host { record.shares.removeAll { $0 == "net" } }
        if !record.ports.isEmpty, record.network != .private || !record.hasInfra || !record.shares("net") {
            throw EngineError(
                "ports can be published only by a pod with a network of its own: remove -p, or share net and use --network private"
            )
        }
        if record.hasInfra {
            record.infraID = NameTable.newID()
            if record.infraName.isEmpty { record.infraName = "\(record.id.prefix(12))-infra" }
        }
        if request.replacesExisting, let name = request.name, let existing = try? pod(name) {
            try removePod(existing, force: true)
        }
        try reservePodName(&record, request.name)
        if record.hostname.isEmpty { record.hostname = String(record.name.prefix(64)) }
        try publishPod(record, request)
        return Pod(record: record, state: PodState(), keeper: nil, members: [])
    }

    private func publishPod(_ record: PodRecord, _ request: PodRequest) throws(EngineError) {
        let final = paths.pod(record.id)
        let temporary = stagingPath(record.id)
        do throws(EngineError) {
            try createVolumes(record.mounts)
            if record.hasInfra { try reserveInfraName(record) }
            try attempt("create the pod's directory", temporary) { () throws(Errno) in
                try Directory.make(temporary, mode: 0o700)
                try Directory.make(temporary + "/etc", mode: 0o755)
            }
            try writeRecord(temporary + "/config.json", record.json)
            try writeRecord(temporary + "/state.json", PodState().json)
            if let file = request.podIDFile { try writeIDFile(file, record.id, "pod") }
            try attempt("create the pod", final) { () throws(Errno) in try File.rename(temporary, final) }
        } catch {
            try? FileTree.remove(temporary)
            nameTable.release(record.name, of: .pod(record.id))
            nameTable.release(record.infraName, of: .pod(record.id))
            throw error
        }
    }

    private func reservePodName(_ record: inout PodRecord, _ name: String?) throws(EngineError) {
        if let name {
            record.name = name
            guard try nameTable.reserve(name, for: .pod(record.id)) != nil else { return }
            throw EngineError("adding pod to state: name \"\(name)\" is in use: pod already exists")
        }
        for _ in 0..<10_000 {
            record.name = RandomName.make()
            if try nameTable.reserve(record.name, for: .pod(record.id)) == nil { return }
        }
        throw EngineError("cannot find a free name for the pod; give one with --name")
    }

    private func reserveInfraName(_ record: PodRecord) throws(EngineError) {
        try NameTable.check(record.infraName)
        if let owner = try nameTable.reserve(record.infraName, for: .pod(record.id)) {
            throw EngineError(
                "the infra container name \"\(record.infraName)\" is already in use by \(owner.id): that name is already in use"
            )
        }
    }

    /// "ipc,net,uts", "+pid", "none", "".
    static func parseShare(_ text: String?) throws(EngineError) -> [String] {
        guard var text else { return ["ipc", "net", "uts"] }
        var shares: Set<String> = []
        if text.hasPrefix("+") {
            shares = ["ipc", "net", "uts"]
            text.removeFirst()
        }
        for name in text.split(separator: ",").map(String.init) where name != "none" {
            guard knownShares.contains(name) else {
                throw EngineError(
                    "invalid kernel namespace to share: \(name). Options are: cgroup, ipc, net, pid, uts or none")
            }
            shares.insert(name)
        }
        // `--share pid` means the default namespaces and pid, as people who type it expect.
        if shares == ["pid"] { shares = ["ipc", "net", "pid", "uts"] }
        return shares.sorted()
    }
}
