// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// What `create` and `run` are asked for.
package struct CreationRequest {
    package var id: String
    /// Absolute path of the bundle.
    package var bundle: String
    /// nil is the bundle's config.json.
    package var configPath: String?
    package var pidFile: String?
    package var consoleSocket: String?
    package var pidfdSocket: String?
    package var preservedDescriptors = 0
    package var entersRootByPivot = true
    package var joinsNewKeyring = true
    package var usesCgroups = true
    /// Whether the caller stays and takes the terminal itself.
    package var isForeground = false

    package init(id: String, bundle: String) {
        self.id = id
        self.bundle = bundle
    }
}

/// A container whose process waits to be started.
package struct CreatedContainer: ~Copyable {
    package var record: ContainerRecord
    package var config: RuntimeConfig
    package var pidfd: OwnedFD
    /// The pty master, unless it went to a console socket.
    package var terminal: OwnedFD?
}

/// The command's side of `create`: runtime.md, "Lifecycle", steps 1 to 5.
package struct ContainerCreation {
    let root: StateRoot
    let request: CreationRequest
    let warn: (String) -> Void

    package init(_ request: CreationRequest, root: StateRoot, warn: @escaping (String) -> Void) {
        self.request = request
        self.root = root
        self.warn = warn
    }

    static let configLimit = 16 << 20

    package func run() throws(RuntimeError) -> CreatedContainer {
        let directory = try root.directory(request.id)
        let path = request.configPath ?? request.bundle + "/config.json"
        let bytes = try describing("open", path) { () throws(Errno) in
            try File.read(path, limit: ContainerCreation.configLimit)
        }
        let config: RuntimeConfig
        do { config = try RuntimeConfig(bytes: bytes) } catch { throw RuntimeError(error.description) }
        try checkOptions(config)
        try root.prepare()
        let plan = try config.process.map { (process) throws(RuntimeError) in
            try ProcessPlan(
                process, seccomp: config.linux.seccomp, personality: config.linux.personality,
                preservedDescriptors: request.preservedDescriptors, cache: root.path, warn: warn)
        }
        // Connected before anything exists, so that a wrong path leaves nothing behind.
        let console = try connect(request.consoleSocket, "--console-socket")
        let pidfdReceiver = try connect(request.pidfdSocket, "--pidfd-socket")

        do { try Directory.make(directory, mode: 0o700) } catch {
            if error == .fileExists { throw RuntimeError("container with given ID already exists: `\(request.id)`") }
            throw RuntimeError("create", directory, error)
        }
        var cgroup = Cgroup(directories: [])
        do throws(RuntimeError) {
            try describing("write", "\(directory)/config.json") { () throws(Errno) in
                try File.write("\(directory)/config.json", bytes, mode: 0o600)
            }
            if request.usesCgroups {
                cgroup = try Cgroup.make(
                    path: config.linux.cgroupsPath, id: request.id, resources: config.linux.resources,
                    isRootless: Identity.effective.0 != 0 || UserNamespace.isNested)
            } else if config.linux.resources.hasLimits {
                throw RuntimeError("cannot honour linux.resources with the cgroup manager `disabled`")
            }
            var created = try launch(config, plan, cgroup, directory)
            do throws(RuntimeError) {
                if let console, let master = created.terminal.take() {
                    try describing("send the terminal to", request.consoleSocket ?? "") { () throws(Errno) in
                        _ = try UnixSocket.send(console.raw, Array("/dev/ptmx".utf8), descriptors: [master.raw])
                    }
                }
                if let pidfdReceiver {
                    try describing("send the pidfd to", request.pidfdSocket ?? "") { () throws(Errno) in
                        _ = try UnixSocket.send(
                            pidfdReceiver.raw, Array("pidfd".utf8), descriptors: [created.pidfd.raw])
                    }
                }
                try created.record.write(directory)
                if let pidFile = request.pidFile { try PIDFile.write(created.record.process.pid, pidFile) }
            } catch {
                try? Process.signal(created.pidfd, SIGKILL)
                _ = try? Process.wait(created.pidfd)
                throw error
            }
            return created
        } catch {
            cgroup.remove()
            try? FileTree.remove(directory)
            let record = makeRecord(config, cgroup, ProcessIdentity(pid: 0, startTime: 0))
            for problem in HookRunner.runAll(.poststop, config.hooks, state: record.state(.stopped)) { warn(problem) }
            throw error
        }
    }

    private func checkOptions(_ config: RuntimeConfig) throws(RuntimeError) {
        let hasTerminal = config.process?.hasTerminal ?? false
        if request.consoleSocket != nil, !hasTerminal {
            throw RuntimeError("--console-socket is given but process.terminal is false")
        }
        if hasTerminal, request.consoleSocket == nil, !request.isForeground {
            throw RuntimeError("cannot allocate a terminal: process.terminal is true but no --console-socket is given")
        }
        if Identity.effective.0 != 0, !config.linux.has(.user) {
            throw RuntimeError("linux.namespaces: a user namespace is required to run as an unprivileged user")
        }
    }

    private func connect(_ path: String?, _ option: String) throws(RuntimeError) -> OwnedFD? {
        guard let path else { return nil }
        do { return try UnixSocket.connect(path: path, type: Int32(samara_sock_stream)) } catch {
            throw RuntimeError("\(option): connect to", path, error)
        }
    }

    private func makeRecord(_ config: RuntimeConfig, _ cgroup: Cgroup, _ process: ProcessIdentity) -> ContainerRecord {
        ContainerRecord(
            id: request.id, version: config.version, bundle: request.bundle, rootfs: rootfs(config), process: process,
            namespaces: config.linux.namespaces.reduce(0) { $0 | $1.kind.flag }, cgroup: cgroup,
            annotations: config.annotations)
    }

    private func rootfs(_ config: RuntimeConfig) -> String {
        var path = config.rootPath.hasPrefix("/") ? config.rootPath : request.bundle + "/" + config.rootPath
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    // MARK: Launching

    private func launch(
        _ config: RuntimeConfig, _ plan: ProcessPlan?, _ cgroup: Cgroup, _ directory: String
    ) throws(RuntimeError) -> CreatedContainer {
        let sync: (first: Int32, second: Int32)
        let listener: OwnedFD
        do throws(Errno) {
            sync = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
            listener = try UnixSocket.listen(path: directory + "/start", backlog: 4)
        } catch {
            throw RuntimeError("create", "\(directory)/start", error)
        }
        let namespaces = NamespacePaths(config.linux.namespaces)
        let hasNewUser = config.linux.isNew(.user)
        // A dumpable process's /proc/PID/uid_map can be written by its parent.
        _ = samara_prctl(PR_SET_DUMPABLE, hasNewUser ? 1 : 0, 0, 0, 0)
        let child = ContainerInit(
            config: config, bundle: request.bundle, rootfs: rootfs(config), plan: plan,
            record: makeRecord(config, cgroup, ProcessIdentity(pid: 0, startTime: 0)),
            entersRootByPivot: request.entersRootByPivot, joinsNewKeyring: request.joinsNewKeyring,
            hasOwnUser: config.linux.has(.user), isUnprivileged: Identity.effective.0 != 0, channel: sync.second,
            listener: listener.raw)
        let flags = config.linux.namespaces.reduce(UInt64(0)) { flags, namespace in
            // Cgroup and time namespaces are made by the process itself; see ContainerInit.
            namespace.path != nil || namespace.kind == .cgroup || namespace.kind == .time
                ? flags : flags | namespace.kind.flag
        }
        let parentEnd = OwnedFD(sync.first)
        let process = try ContainerProcess.clone(namespaces, flags: flags, channel: (parentEnd.raw, sync.second)) {
            child.run()
        }
        _ = OwnedFD(sync.second)
        listener.closeNow()
        var terminal: OwnedFD?
        do throws(RuntimeError) {
            if hasNewUser { try IDMapping.write(config.linux, to: process.pid) }
            try cgroup.add(process.pid)
            guard let identity = ProcessIdentity(pid: process.pid) else {
                throw RuntimeError("the container's process ended during the set-up")
            }
            let record = makeRecord(config, cgroup, identity)
            try HookRunner.run(.prestart, config.hooks, state: record.state(.creating))
            try HookRunner.run(.createRuntime, config.hooks, state: record.state(.creating))
            try SetupStep.send(.go, parentEnd.raw)
            waiting: while true {
                switch try SetupStep.receive(parentEnd.raw) {
                case .ready: break waiting
                case .terminal(let master): terminal = OwnedFD(master)
                case .failure(let sentence): throw RuntimeError(sentence)
                case .endOfFile: throw RuntimeError("the container's process ended during the set-up")
                case .go, .pid: throw RuntimeError("the container's process sent a message out of order")
                }
            }
            return CreatedContainer(record: record, config: config, pidfd: process.pidfd, terminal: terminal.take())
        } catch {
            // Killed by number: it is this process's own child and not reaped yet, so the number is still its own.
            _ = kill(process.pid, SIGKILL)
            _ = try? Process.wait(pid: process.pid)
            throw error
        }
    }
}

extension OwnedFD {
    /// Ends the ownership here rather than at the end of the scope.
    consuming func closeNow() {}
}

/// The file that tells an engine the pid: no newline, and never seen half-written.
package enum PIDFile {
    package static func write(_ pid: Int32, _ path: String) throws(RuntimeError) {
        try describing("write the pid file", path) { () throws(Errno) in
            let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
            let temporary = path[..<slash] + "." + path[slash...]
            try File.write(String(temporary), Array("\(pid)".utf8))
            try File.rename(String(temporary), path)
        }
    }
}
