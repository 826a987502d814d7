// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import ImageStore
import LinuxSystem
import SystemPackage

/// Turns a container's record into what the runtime launches.
struct ContainerPlanner {
    let engine: Engine
    let record: ContainerRecord
    let pod: PodRecord?
    /// Namespaces that are joined rather than made.
    let joined: NamespaceSet

    func spec() throws(EngineError) -> ContainerSpec {
        let paths = engine.paths
        let directory = paths.container(record.id)
        let root: RootFilesystem
        if let path = record.rootDirectory {
            root = .directory(path)
        } else {
            root = .overlay(
                lower: record.layers.map { "\(paths.root)/layers/\($0)/diff" } + [paths.baseLayer],
                upper: directory + "/diff", work: directory + "/work")
        }
        var spec = ContainerSpec(root: root, mountPoint: paths.rootMountPoint)
        spec.newNamespaces = newNamespaces
        spec.isRootReadOnly = record.isReadOnly
        spec.mounts = try mounts(directory)
        // Tells programs that they run in a container; Podman's is empty unless privileged. Not in a volume of the user.
        if !isMounted("/run") { spec.markerFile = "/run/.containerenv" }
        if !record.isPrivileged {
            spec.maskedPaths = (DefaultPaths.masked + record.maskedPaths).filter { !isUnmasked($0) }
            spec.readOnlyPaths = DefaultPaths.readOnly.filter { !isUnmasked($0) }
        }
        if spec.newNamespaces.contains(.uts) { spec.hostname = record.hostname ?? String(record.id.prefix(12)) }
        spec.sysctls = record.sysctls.map { ($0.key, $0.value) }
        spec.process = try process()
        let activation = ActivatedSockets.environment(record.activatedPorts)
        if !activation.isEmpty {
            spec.process.environment.removeAll { $0.hasPrefix("LISTEN_") }
            spec.process.environment += activation
            spec.process.preservedDescriptors = record.activatedPorts.count
        }
        return spec
    }

    private var newNamespaces: NamespaceSet {
        var wanted: NamespaceSet = [.user, .mount, .pid, .ipc, .uts, .cgroup]
        if record.network != .host { wanted.insert(.network) }
        if record.sharesHostPID { wanted.remove(.pid) }
        if record.sharesHostIPC { wanted.remove(.ipc) }
        if record.sharesHostUTS || record.network == .host && record.hostname == nil { wanted.remove(.uts) }
        wanted.subtract(joined)
        // The mount namespace that was joined is the keeper's; the container gets its copy.
        wanted.insert(.mount)
        return wanted
    }

    private func isUnmasked(_ path: String) -> Bool {
        record.unmaskedPaths.contains { $0.lowercased() == "all" || $0 == path }
    }

    // MARK: Process

    func process() throws(EngineError) -> ProcessSpec {
        var process = ProcessSpec()
        process.arguments = record.entrypoint + record.command
        process.environment = record.environment
        process.workingDirectory = record.workingDirectory
        process.user = record.user
        process.additionalGroups = record.groups
        process.hasTerminal = record.hasTerminal
        process.umask = record.umask
        process.noNewPrivileges = record.noNewPrivileges
        process.usesInit = record.usesInit
        process.capabilities = try Engine.capabilities(of: record)
        process.userCapabilities = try Engine.mask(of: record.capabilitiesAdded)
        process.limits = try record.limits.map { (text) throws(EngineError) in try LimitText.parse(text) }
        if !record.isSeccompUnconfined, !record.isPrivileged {
            process.seccomp = try engine.seccomp(for: process.capabilities)
        }
        return process
    }

    // MARK: Mounts

    private func mounts(_ directory: String) throws(EngineError) -> [Mount] {
        var mounts = DefaultMounts.list(
            shm: shm, hasOwnPID: !record.sharesHostPID, hasOwnIPC: !record.sharesHostIPC,
            hasOwnNetwork: record.network != .host,
            // devpts refuses a gid that is not mapped.
            terminalGroup: 5)
        // Not every host has it, in a container least of all.
        if record.sharesHostIPC, !File.exists("/dev/mqueue") { mounts.removeAll { $0.destination == "/dev/mqueue" } }
        if record.isReadOnly, record.hasReadOnlyTmpfs {
            for path in ["/run", "/tmp", "/var/tmp"] where !isMounted(path) {
                mounts.append(Engine.tmpfs(at: path, options: []))
            }
        }
        let shared = engine.sharedEtc(record, pod)
        for name in ["hosts", "resolv.conf", "hostname"] where !isMounted("/etc/" + name) {
            if name == "hosts", shared == nil ? record.hasOwnHostsFile : pod?.managesHosts == false { continue }
            mounts.append(Mount(.file(path: (shared ?? directory) + "/" + name), at: "/etc/" + name))
        }
        for entry
            in (pod?.mounts.filter { inherited in !record.mounts.contains { $0.destination == inherited.destination } }
            ?? []) + record.mounts
        {
            mounts.append(try mount(of: entry))
        }
        return mounts
    }

    private func isMounted(_ destination: String) -> Bool {
        record.mounts.contains { $0.destination == destination }
    }

    private var shm: DefaultMounts.SharedMemory {
        if record.sharesHostIPC { return .path("/dev/shm") }
        if joined.contains(.ipc), let podID = record.podID { return .path(engine.paths.sandboxShm(podID)) }
        return .new(bytes: record.shmSize)
    }

    private func mount(of entry: MountRecord) throws(EngineError) -> Mount {
        switch entry.kind {
        case .tmpfs: return Engine.tmpfs(at: entry.destination, options: entry.options, readOnly: entry.isReadOnly)
        case .volume, .bind:
            let path = entry.kind == .volume ? engine.paths.volume(entry.source) + "/_data" : entry.source
            guard File.exists(path) else {
                throw EngineError("cannot mount \(path) at \(entry.destination): no such file or directory")
            }
            var mount = Mount(.bind(path: path, recursive: !entry.options.contains("bind")), at: entry.destination)
            mount.isReadOnly = entry.isReadOnly
            mount.noSuid = !entry.options.contains("suid")
            mount.noDevices = !entry.options.contains("dev")
            mount.noExecute = entry.options.contains("noexec")
            if entry.options.contains(where: { ["slave", "rslave"].contains($0) }) { mount.propagation = .slave }
            if entry.options.contains(where: { ["shared", "rshared"].contains($0) }) { mount.propagation = .shared }
            return mount
        }
    }
}

extension Engine {
    static func tmpfs(at destination: String, options: [String], readOnly: Bool = false) -> Mount {
        var pairs: [(String, String?)] = []
        var mount: Mount
        var noExecute = true
        var noSuid = true
        var noDevices = true
        var isReadOnly = readOnly
        for option in options {
            switch option {
            case "exec": noExecute = false
            case "suid": noSuid = false
            case "dev": noDevices = false
            case "ro": isReadOnly = true
            case "rw", "noexec", "nosuid", "nodev", "tmpcopyup", "notmpcopyup", "rprivate", "private": break
            default:
                let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
                pairs.append((parts[0], parts.count > 1 ? parts[1] : nil))
            }
        }
        if !pairs.contains(where: { $0.0 == "mode" }) { pairs.append(("mode", "1777")) }
        mount = Mount(.filesystem(type: "tmpfs", options: pairs), at: destination)
        mount.noExecute = noExecute
        mount.noSuid = noSuid
        mount.noDevices = noDevices
        mount.isReadOnly = isReadOnly
        return mount
    }

    func seccomp(for capabilities: CapabilitySets) throws(EngineError) -> SeccompProgram {
        do {
            return try SeccompProfile.podmanDefault(capabilities: capabilities.bounding, cache: paths.cache)
        } catch {
            throw EngineError(error)
        }
    }

    static func capabilities(of record: ContainerRecord) throws(EngineError) -> CapabilitySets {
        if record.isPrivileged { return .all }
        let (added, dropped) = (record.capabilitiesAdded, record.capabilitiesDropped)
        func isAll(_ names: [String]) -> Bool { names.contains { $0.uppercased() == "ALL" } }
        var mask = CapabilitySets.podmanDefault.bounding
        if isAll(added) { mask = CapabilitySets.all.bounding }
        if isAll(dropped) { mask = 0 }
        mask &= ~(try Engine.mask(of: dropped))
        mask |= try Engine.mask(of: added)
        return CapabilitySets(mask)
    }

    /// The bits of named capabilities; "ALL" is none here. An unknown name is an error.
    static func mask(of names: [String]) throws(EngineError) -> UInt64 {
        var mask: UInt64 = 0
        for name in names where name.uppercased() != "ALL" {
            guard let bit = CapabilitySets.mask(named: name) else {
                throw EngineError("invalid capability \"\(name)\": unknown capability name; see capabilities(7)")
            }
            mask |= bit
        }
        return mask
    }
}
