// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import ImageStore
import LinuxSystem
import PodNetwork
import SystemPackage

/// A container that has just been created, with its lock.
public struct FreshContainer: ~Copyable {
    public let container: Container
    let lock: FileLock
}

extension Engine {
    /// Creates a container; nothing of it is visible until all of it is there.
    public func create(_ request: ContainerRequest) throws(EngineError) -> Container {
        try createLocked(request).container
    }

    /// Creates a container that the caller starts next: nobody else can do anything to it before.
    public func createLocked(_ request: ContainerRequest) throws(EngineError) -> FreshContainer {
        var record = request.settings
        record.id = NameTable.newID()
        if let name = request.name { try NameTable.check(name) }
        let image = try resolveImage(request)
        let pod = try podFor(request)
        // After a pod that was made for it, so that a pod is older than its members.
        record.created = Timestamp.now
        do throws(EngineError) { return try create(record, request, image, pod) } catch {
            if request.createsPod, let pod { try? removePod(try self.pod(pod.id), force: true) }
            throw error
        }
    }

    private func create(
        _ settings: ContainerRecord, _ request: ContainerRequest, _ image: (record: ImageRecord, name: String)?,
        _ pod: PodRecord?
    ) throws(EngineError) -> FreshContainer {
        var record = settings
        if let image { merge(image, request, &record) } else { try mergeRootDirectory(request, &record) }
        try mergeNetwork(request, pod, &record)
        try checkActivated(record, pod)
        try checkText(record)
        _ = try Engine.capabilities(of: record)
        for limit in record.limits { _ = try LimitText.parse(limit) }
        record.mounts = try mounts(request, image?.record)
        try checkMounts(record.mounts)
        return try publish(&record, request, pod)
    }

    // MARK: Appearing

    private func publish(
        _ record: inout ContainerRecord, _ request: ContainerRequest, _ pod: PodRecord?
    ) throws(EngineError) -> FreshContainer {
        if request.replacesExisting, let name = request.name, let existing = try? container(name) {
            try remove(existing, force: true, removesVolumes: true)
        }
        try reserveName(&record, request, pod)
        let final = paths.container(record.id)
        let temporary = stagingPath(record.id)
        do throws(EngineError) {
            try createVolumes(record.mounts)
            let bytes = record.json.serialized()
            let lock = try attempt("create the container's directory", temporary) { () throws(Errno) in
                try Directory.make(temporary, mode: 0o700)
                let directory = try File.open(temporary, O_RDONLY | O_DIRECTORY)
                for name in ["diff", "work"] { try Directory.make(name, mode: 0o755, at: directory.raw) }
                // No state: that is "created".
                try File.write("config.json", bytes, mode: 0o600, flags: O_CREAT_EXCL, at: directory.raw)
                return try FileLock.take(directory)
            }
            if let cidFile = request.cidFile { try writeIDFile(cidFile, record.id, "container") }
            try attempt("create the container", final) { () throws(Errno) in try File.rename(temporary, final) }
            return FreshContainer(container: Container(record: record, state: ContainerState()), lock: lock)
        } catch {
            try? FileTree.remove(temporary)
            nameTable.release(record.name, of: .container(record.id))
            throw error
        }
    }

    func writeIDFile(_ path: String, _ id: String, _ kind: String) throws(EngineError) {
        do throws(Errno) {
            try File.write(path, Array(id.utf8), flags: O_CREAT_EXCL)
        } catch .fileExists {
            throw EngineError("\(kind) id file exists. Ensure another \(kind) is not using it or delete \(path)")
        } catch { throw EngineError("write", path, error) }
    }

    private func reserveName(
        _ record: inout ContainerRecord, _ request: ContainerRequest, _ pod: PodRecord?
    ) throws(EngineError) {
        if let name = request.name {
            record.name = name
            guard let owner = try nameTable.reserve(name, for: .container(record.id)) else { return }
            throw EngineError(
                "creating container storage: the container name \"\(name)\" is already in use by \(owner.id). You have to remove that container to be able to reuse that name: that name is already in use, or use --replace to instruct Samara to do so."
            )
        }
        // In a pod: <pod>-<image>, numbered when taken; elsewhere two random words.
        let base = pod.map { "\($0.name)-\(Engine.shortName(record))" }
        for attempt in 0..<10_000 {
            // The id is as random as anything.
            let candidate =
                base.map { attempt == 0 ? $0 : "\($0)-\(attempt + 1)" }
                ?? (attempt == 0 ? RandomName.make(Array(record.id.utf8.suffix(8))) : RandomName.make())
            record.name = String(candidate.prefix(255))
            if try nameTable.reserve(record.name, for: .container(record.id)) == nil { return }
        }
        throw EngineError("cannot find a free name for the container; give one with --name")
    }

    /// The last part of the image's name without tag: `docker.io/library/nginx:latest` is `nginx`.
    static func shortName(_ record: ContainerRecord) -> String {
        let path = record.imageName.split(separator: "/").last.map(String.init) ?? ""
        let name = path.prefix { $0 != ":" && $0 != "@" }.filter {
            $0.isASCII && ($0.isLetter || $0.isNumber || "_.-".contains($0))
        }
        return name.isEmpty ? String(record.id.prefix(12)) : String(name)
    }

    // MARK: Merging

    private func resolveImage(
        _ request: ContainerRequest
    ) throws(EngineError) -> (record: ImageRecord, name: String)? {
        if request.settings.rootDirectory != nil { return nil }
        if let found = request.foundImage { return (found.record, found.name ?? request.image) }
        do {
            let found = try images.find(request.image)
            return (found.record, found.name ?? request.image)
        } catch {
            if case .notKnown = error.cause {
                throw EngineError(
                    "\(error.description); pull it with 'samara pull' or load it with 'samara load -i ARCHIVE'",
                    kind: .noSuchImage)
            }
            throw EngineError(error.description)
        }
    }

    private func merge(
        _ image: (record: ImageRecord, name: String), _ request: ContainerRequest, _ record: inout ContainerRecord
    ) {
        let config = image.record.config
        record.imageID = image.record.id.hex
        record.imageName = image.name
        record.layers = image.record.layers.reversed().map(\.chainID.hex)
        record.entrypoint = request.entrypoint ?? config.entrypoint
        // A new entrypoint drops the image's arguments, as in Podman.
        record.command =
            !request.command.isEmpty ? request.command : request.entrypoint == nil ? config.cmd : []
        record.user = request.user ?? config.user
        record.workingDirectory = request.workingDirectory ?? nonEmpty(config.workingDir) ?? "/"
        record.environment = Engine.environment(config.env, request, record)
        var labels = config.labels.map { (key: $0.key, value: $0.value) }
        for label in request.settings.labels {
            if let index = labels.firstIndex(where: { $0.key == label.key }) {
                labels[index].value = label.value
            } else {
                labels.append(label)
            }
        }
        record.labels = labels.count < 2 ? labels : labels.sorted { $0.key < $1.key }
        if let text = request.stopSignal ?? nonEmpty(config.stopSignal), let number = SignalNumber.parse(text) {
            record.stopSignal = number
        }
        let exposed = config.exposedPorts + request.exposed
        record.exposedPorts = exposed.isEmpty ? [] : Array(Set(exposed)).sorted()
    }

    private func mergeRootDirectory(_ request: ContainerRequest, _ record: inout ContainerRecord) throws(EngineError) {
        guard let path = record.rootDirectory, (try? File.status(path).isDirectory) == true else {
            throw EngineError("the root filesystem \(record.rootDirectory ?? "") is not a directory")
        }
        record.entrypoint = request.entrypoint ?? []
        record.command = request.command
        record.user = request.user ?? ""
        record.workingDirectory = request.workingDirectory ?? "/"
        record.environment = Engine.environment([], request, record)
        if let text = request.stopSignal, let number = SignalNumber.parse(text) { record.stopSignal = number }
        record.exposedPorts = request.exposed
    }

    private func nonEmpty(_ text: String?) -> String? { text?.isEmpty == true ? nil : text }

    /// Podman's order: defaults, image, request; later entries replace earlier ones of the same name.
    static func environment(_ image: [String], _ request: ContainerRequest, _ record: ContainerRecord) -> [String] {
        var entries: [(name: String, text: String)] = []
        func set(_ text: String) {
            let name = String(text.prefix { $0 != "=" })
            if let index = entries.firstIndex(where: { $0.name == name }) {
                entries[index].text = text
            } else {
                entries.append((name, text))
            }
        }
        if !request.clearsEnvironment {
            set("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            if record.hasTerminal { set("TERM=xterm") }
            set("container=samara")
            image.forEach(set)
        }
        entries.removeAll { request.unsetEnvironment.contains($0.name) }
        request.environment.forEach(set)
        let hostname = record.hostname ?? String(record.id.prefix(12))
        if !entries.contains(where: { $0.name == "HOSTNAME" }) { set("HOSTNAME=\(hostname)") }
        return entries.map(\.text)
    }

    private func mergeNetwork(
        _ request: ContainerRequest, _ pod: PodRecord?, _ record: inout ContainerRecord
    ) throws(EngineError) {
        if let pod {
            record.podID = pod.id
            if pod.shares("net"), pod.hasInfra {
                let ports = Engine.splitPublished(request.ports)
                if !request.createsPod, request.network != nil || !ports.forwarded.isEmpty || request.publishesAll {
                    throw EngineError(
                        "invalid config provided: published or exposed ports must be defined when the pod is created: network cannot be configured when it is shared with a pod"
                    )
                }
                record.network = .pod
                record.ports = try Engine.parsePorts(ports.activated)
            }
            if pod.shares("uts"), pod.hasInfra, record.hostname != nil, !request.createsPod {
                throw EngineError(
                    "invalid config provided: cannot set hostname when joining the pod UTS namespace: invalid configuration"
                )
            }
            if pod.shares("uts"), pod.hasInfra {
                record.hostname = nil
                record.environment = record.environment.map {
                    $0.hasPrefix("HOSTNAME=") ? "HOSTNAME=\(pod.hostname)" : $0
                }
            }
            if record.network == .pod { return }
        }
        record.network = try NetworkText.parse(request.network)
        record.networkOptions = NetworkText.options(request.network)
        if case .container(let name) = record.network { record.network = .container(try containerID(name)) }
        record.ports = try Engine.parsePorts(request.ports)
        if request.publishesAll {
            for exposed in record.exposedPorts {
                record.ports += try Engine.parsePorts([":" + exposed])
            }
        }
        if record.ports.contains(where: { !$0.isActivated }), record.network != .private {
            throw EngineError(
                "ports cannot be published with --network \(record.network.text): the container has no network of its own to forward to"
            )
        }
    }

    private func podFor(_ request: ContainerRequest) throws(EngineError) -> PodRecord? {
        guard let name = request.pod else { return nil }
        guard request.createsPod else { return try podRecord(named: name) }
        var made = PodRequest()
        made.name = name
        made.ports = Engine.splitPublished(request.ports).forwarded
        made.network = request.network
        made.settings.hostname = request.settings.hostname ?? ""
        return try createPod(made).record
    }

    /// The kernel takes C strings: a NUL would cut them short.
    private func checkText(_ record: ContainerRecord) throws(EngineError) {
        let texts =
            record.command + record.entrypoint + record.environment + [record.user, record.workingDirectory]
            + [record.hostname ?? ""]
        if texts.contains(where: { $0.utf8.contains(0) }) {
            throw EngineError("a command, variable or name contains a NUL byte")
        }
        if record.command.isEmpty, record.entrypoint.isEmpty {
            throw EngineError(
                "no command or entrypoint provided, and no CMD or ENTRYPOINT from image: invalid argument")
        }
        if !record.workingDirectory.hasPrefix("/") {
            throw EngineError(
                "invalid working directory \"\(record.workingDirectory)\": it must be an absolute path: invalid argument"
            )
        }
        if let hostname = record.hostname, hostname.utf8.count > 64 {
            throw EngineError("invalid hostname \"\(hostname)\": longer than 64 bytes: invalid argument")
        }
    }

    private func checkMounts(_ mounts: [MountRecord]) throws(EngineError) {
        for (index, mount) in mounts.enumerated() {
            // CVE-2019-16884: nothing may hide the kernel's own view of the container.
            if mount.destination == "/" || mount.destination == "/proc" || mount.destination.hasPrefix("/proc/") {
                throw EngineError(
                    "cannot mount at \(mount.destination): the container's root and /proc are the engine's")
            }
            if mounts[..<index].contains(where: { $0.destination == mount.destination }) {
                throw EngineError("\(mount.destination): duplicate mount destination")
            }
        }
    }
}
