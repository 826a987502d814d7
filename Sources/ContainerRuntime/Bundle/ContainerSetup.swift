// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// The command's side of a container's set-up, from the clone to the moment when the container can be started.
///
/// What the container's process need not wait for is done while it works: the id maps while it makes its namespaces,
/// the files of the state directory while it mounts.
struct ContainerSetup {
    private let request: CreationRequest
    private let config: RuntimeConfig
    private let plan: ProcessPlan?
    private let rootfs: String
    private let directory: String
    private(set) var cgroup = Cgroup(directories: [])

    init(
        _ request: CreationRequest, _ config: RuntimeConfig, _ plan: ProcessPlan?, _ rootfs: String, _ directory: String
    ) {
        self.request = request
        self.config = config
        self.plan = plan
        self.rootfs = rootfs
        self.directory = directory
    }

    func record(_ process: ProcessIdentity) -> ContainerRecord {
        ContainerRecord(
            id: request.id, version: config.version, bundle: request.bundle, rootfs: rootfs, process: process,
            namespaces: config.linux.namespaces.reduce(0) { $0 | $1.kind.flag }, cgroup: cgroup,
            annotations: config.annotations)
    }

    /// - Parameter bytes: the config as it was read.
    mutating func launch(copying bytes: [UInt8]) throws(RuntimeError) -> CreatedContainer {
        let sync: (first: Int32, second: Int32)
        var listener: Int32 = -1
        do throws(Errno) {
            sync = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
            if !request.startsAtOnce {
                listener = try UnixSocket.listen(path: directory + "/start", backlog: 4).release()
            }
        } catch {
            throw RuntimeError("create", "\(directory)/start", error)
        }
        let parentEnd = OwnedFD(sync.first)
        let mapped = try MappedMounts(config, bundle: request.bundle)
        let process = try clone((parentEnd.raw, sync.second), listener, mapped)
        _ = OwnedFD(sync.second)
        mapped.close()
        if listener >= 0 { close(listener) }
        do throws(RuntimeError) {
            let maps = config.linux.isNew(.user) ? try IDMapping.begin(config.linux, process.pid) : nil
            try makeCgroup(process.pid)
            if let maps { try maps.finish() }
            try cgroup.add(process.pid)
            guard let identity = ProcessIdentity(pid: process.pid) else {
                throw RuntimeError("the container's process ended during the set-up")
            }
            let record = record(identity)
            try HookRunner.run(.prestart, config.hooks, state: record.state(.creating))
            try HookRunner.run(.createRuntime, config.hooks, state: record.state(.creating))
            try SetupStep.send(.go, parentEnd.raw)
            try describing("write", "\(directory)/config.json") { () throws(Errno) in
                try File.write("\(directory)/config.json", bytes, mode: 0o600)
            }
            try record.prepare(directory)
            let terminal = try awaitReady(parentEnd)
            var channel: OwnedFD?
            if request.startsAtOnce { channel = consume parentEnd }
            return CreatedContainer(
                record: record, config: config, pidfd: process.pidfd, terminal: terminal, channel: channel)
        } catch {
            // Killed by number: it is this process's own child and not reaped yet, so the number is still its own.
            _ = kill(process.pid, SIGKILL)
            _ = try? Process.wait(pid: process.pid)
            throw error
        }
    }

    private func clone(
        _ channel: (parent: Int32, child: Int32), _ listener: Int32, _ mapped: MappedMounts
    ) throws(RuntimeError) -> ContainerProcess.Child {
        let namespaces = NamespacePaths(config.linux.namespaces)
        let hasNewUser = config.linux.isNew(.user)
        // A dumpable process's /proc/PID/uid_map can be written by its parent.
        _ = samara_prctl(PR_SET_DUMPABLE, hasNewUser ? 1 : 0, 0, 0, 0)
        var flags = config.linux.namespaces.reduce(UInt64(0)) { flags, namespace in
            // Cgroup and time namespaces are made by the process itself; see ContainerInit.
            namespace.path != nil || namespace.kind == .cgroup || namespace.kind == .time
                ? flags : flags | namespace.kind.flag
        }
        var own: UInt64 = 0
        // The network namespace takes longest; hooks before the mounts need to find it, though.
        if hasNewUser, IDMapping.needsHelpers(config.linux), config.hooks[.prestart].isEmpty,
            config.hooks[.createRuntime].isEmpty
        {
            own = flags & ~UInt64(CLONE_NEWUSER | CLONE_NEWPID)
            flags &= ~own
        }
        let child = ContainerInit(
            config: config, bundle: request.bundle, rootfs: rootfs, plan: plan,
            record: record(ProcessIdentity(pid: 0, startTime: 0)), entersRootByPivot: request.entersRootByPivot,
            joinsNewKeyring: request.joinsNewKeyring, hasOwnUser: config.linux.has(.user),
            isUnprivileged: Identity.effective.0 != 0, ownNamespaces: own, mapped: mapped,
            channel: channel.child, listener: listener)
        return try ContainerProcess.clone(
            namespaces, oomScore: plan?.process.oomScoreAdjustment, flags: flags, channel: channel
        ) { child.run() }
    }

    private mutating func makeCgroup(_ pid: Int32) throws(RuntimeError) {
        let (path, resources) = (config.linux.cgroupsPath, config.linux.resources)
        let isRootless = Identity.effective.0 != 0 || UserNamespace.isNested
        switch request.cgroupManager {
        case .files:
            cgroup = try Cgroup.make(path: path, id: request.id, resources: resources, isRootless: isRootless)
        case .systemd:
            cgroup = try Cgroup.makeScope(
                path: path, id: request.id, resources: resources, annotations: config.annotations,
                isRootless: isRootless, pid)
        case .none:
            if resources.hasLimits {
                throw RuntimeError("cannot honour linux.resources with the cgroup manager `disabled`")
            }
        }
    }

    /// - Returns: the master of the container's terminal.
    private func awaitReady(_ channel: borrowing OwnedFD) throws(RuntimeError) -> OwnedFD? {
        var terminal: OwnedFD?
        while true {
            switch try SetupStep.receive(channel.raw) {
            case .ready: return terminal.take()
            case .terminal(let master): terminal = OwnedFD(master)
            case .failure(let sentence): throw RuntimeError(sentence)
            case .endOfFile: throw RuntimeError("the container's process ended during the set-up")
            case .go, .pid, .listener: throw RuntimeError("the container's process sent a message out of order")
            }
        }
    }
}
