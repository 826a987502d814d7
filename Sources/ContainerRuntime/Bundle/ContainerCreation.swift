// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// Who makes a container's control group.
package enum CgroupManager: String, Sendable {
    case files = "cgroupfs"
    case systemd
    case none = "disabled"
}

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
    package var cgroupManager = CgroupManager.files
    /// Whether the caller stays and takes the terminal itself.
    package var isForeground = false
    /// Whether the same command starts it: nobody else can then, and it ends when the command dies before that.
    package var startsAtOnce = false

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
    /// Where it waits for the word to start, with `startsAtOnce`.
    var channel: OwnedFD?
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
        var setup = ContainerSetup(request, config, plan, rootfs(config), directory)
        do throws(RuntimeError) {
            var created = try setup.launch(copying: bytes)
            do throws(RuntimeError) {
                if let console, let master = created.terminal.take() {
                    try send(master, "/dev/ptmx", console, request.consoleSocket)
                }
                if let pidfdReceiver { try send(created.pidfd, "pidfd", pidfdReceiver, request.pidfdSocket) }
                try created.record.publish(directory)
                if let pidFile = request.pidFile { try PIDFile.write(created.record.process.pid, pidFile) }
            } catch {
                try? Process.signal(created.pidfd, SIGKILL)
                _ = try? Process.wait(created.pidfd)
                throw error
            }
            return created
        } catch {
            setup.cgroup.remove()
            try? FileTree.remove(directory)
            let state = setup.record(ProcessIdentity(pid: 0, startTime: 0)).state(.stopped)
            for problem in HookRunner.runAll(.poststop, config.hooks, state: state) { warn(problem) }
            throw error
        }
    }

    private func send(
        _ descriptor: borrowing OwnedFD, _ text: String, _ socket: borrowing OwnedFD, _ path: String?
    ) throws(RuntimeError) {
        try describing("send the \(text == "pidfd" ? text : "terminal") to", path ?? "") { () throws(Errno) in
            _ = try UnixSocket.send(socket.raw, Array(text.utf8), descriptors: [descriptor.raw])
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

    private func rootfs(_ config: RuntimeConfig) -> String {
        var path = config.rootPath.hasPrefix("/") ? config.rootPath : request.bundle + "/" + config.rootPath
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }
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
