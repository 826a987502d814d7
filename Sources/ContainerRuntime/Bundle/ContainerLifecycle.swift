// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// A container that has been created, and what can be done to it.
package struct BundleContainer {
    package let directory: String
    package let record: ContainerRecord
    private let warn: (String) -> Void

    /// The config of a container that this command itself created.
    private var knownConfig: RuntimeConfig?

    package init(_ id: String, root: StateRoot, warn: @escaping (String) -> Void) throws(RuntimeError) {
        directory = try root.directory(id)
        record = try ContainerRecord.read(id, root)
        self.warn = warn
    }

    /// The container that this command created.
    package init(_ created: borrowing CreatedContainer, root: StateRoot, warn: @escaping (String) -> Void)
        throws(RuntimeError)
    {
        directory = try root.directory(created.record.id)
        record = created.record
        knownConfig = created.config
        self.warn = warn
    }

    package var status: ContainerRecord.Status { record.status(directory) }

    package func config() throws(RuntimeError) -> RuntimeConfig {
        if let knownConfig { return knownConfig }
        let bytes = try describing("read", directory + "/config.json") { () throws(Errno) in
            try File.read(directory + "/config.json", limit: ContainerCreation.configLimit)
        }
        do { return try RuntimeConfig(bytes: bytes) } catch { throw RuntimeError(error.description) }
    }

    // MARK: Starting

    /// Lets the created process go, and returns when its program runs and the poststart hooks have.
    package func start() throws(RuntimeError) {
        let status = self.status
        guard status == .created else {
            throw RuntimeError(
                status == .stopped
                    ? "cannot start a container that has stopped: container not running"
                    : "cannot start an already running container: its status is \(status.rawValue)")
        }
        let config = try self.config()
        guard config.process != nil else { throw RuntimeError("process: is required to start a container") }
        try start(config, try connect())
    }

    /// The same for a container of `startsAtOnce`.
    package func start(_ created: inout CreatedContainer) throws(RuntimeError) {
        guard created.config.process != nil else { throw RuntimeError("process: is required to start a container") }
        guard let channel = created.channel.take() else { return try start() }
        try start(created.config, channel)
    }

    private func start(_ config: RuntimeConfig, _ connection: consuming OwnedFD) throws(RuntimeError) {
        try SetupStep.send(.go, connection.raw)
        waiting: while true {
            switch try SetupStep.receive(connection.raw) {
            case .listener(let fd):
                try SeccompAgent.hand(OwnedFD(fd), config, record, pid: record.process.pid)
            case .failure(let sentence): throw RuntimeError(sentence)
            case .endOfFile: break waiting
            case .ready, .go, .pid, .terminal: throw RuntimeError("the container sent a message out of order")
            }
        }
        do { try HookRunner.run(.poststart, config.hooks, state: record.state(.running)) } catch {
            // Since 1.3 of the specification a failing poststart hook stops the container.
            if let pidfd = try? record.open() { try? Process.signal(pidfd, SIGKILL) }
            throw error
        }
    }

    private func connect() throws(RuntimeError) -> OwnedFD {
        do throws(Errno) {
            let connection = try UnixSocket.connect(path: directory + "/start")
            // Whoever removes the name is the one who starts it.
            try File.unlink(directory + "/start")
            return connection
        } catch {
            throw error == .noSuchFileOrDirectory
                ? RuntimeError("cannot start an already running container")
                : RuntimeError("cannot start a container that has stopped: \(error.text)")
        }
    }

    // MARK: Signals

    /// Sends a signal to the first process, or to every process of the container.
    package func kill(_ signal: Int32, all: Bool) throws(RuntimeError) {
        if all, record.cgroup.signalAll(signal) { return }
        let pidfd = try record.open()
        do { try Process.signal(pidfd, signal) } catch {
            if error == .noSuchProcess {
                throw RuntimeError("container `\(record.id)` is not running: container not running")
            }
            throw RuntimeError("signal", record.id, error)
        }
    }

    // MARK: Deleting

    /// Removes everything of the container but what its program wrote.
    package func delete(force: Bool) throws(RuntimeError) {
        let status = self.status
        switch status {
        case .stopped: break
        case .created: try end()
        default:
            guard force else {
                throw RuntimeError("cannot delete container `\(record.id)` that is not stopped: \(status.rawValue)")
            }
            try end()
        }
        try removeAll()
    }

    /// The same for a container whose first process this command has reaped.
    package func deleteEnded() throws(RuntimeError) { try removeAll() }

    private func removeAll() throws(RuntimeError) {
        // Processes outlive the first one where the container shares its pid namespace.
        _ = record.cgroup.signalAll(SIGKILL)
        record.cgroup.remove()
        let config = try? self.config()
        try describing("remove", directory) { () throws(Errno) in
            for name in ["state.json", "config.json"] { try? File.unlink(directory + "/" + name) }
            do { try File.unlink(directory, flags: AT_REMOVEDIR) } catch { try FileTree.remove(directory) }
        }
        guard let config else { return }
        for problem in HookRunner.runAll(.poststop, config.hooks, state: record.state(.stopped)) { warn(problem) }
    }

    /// Kills the first process and waits until it has ended; who adopted it reaps it.
    private func end() throws(RuntimeError) {
        guard let pidfd = try? record.open() else { return }
        if record.cgroup.isFrozen { try record.cgroup.setFrozen(false) }
        try? Process.signal(pidfd, SIGKILL)
        if !Process.waitForEnd(pidfd, milliseconds: 10_000) {
            throw RuntimeError("container `\(record.id)` did not end within 10 s after SIGKILL")
        }
    }

    /// Removes the directory of a container whose creation was cut short: there is no record of it.
    package static func deleteUnfinished(_ id: String, root: StateRoot) throws(RuntimeError) {
        let directory = try root.directory(id)
        if !File.exists(directory) || File.exists(directory + "/state.json") { return }
        try describing("remove", directory) { () throws(Errno) in try FileTree.remove(directory) }
    }

    // MARK: Pausing and limits

    package func setPaused(_ paused: Bool) throws(RuntimeError) {
        let status = self.status
        guard paused ? status == .running || status == .created : status == .paused else {
            throw RuntimeError(
                "container `\(record.id)` is not \(paused ? "running" : "paused"): its status is \(status.rawValue)")
        }
        try record.cgroup.setFrozen(paused)
    }

    package func update(_ resources: RuntimeResources) throws(RuntimeError) {
        guard status != .stopped else {
            throw RuntimeError("container `\(record.id)` is not running: container not running")
        }
        try record.cgroup.apply(resources, deviceRules: true)
    }

    /// Host pids of the container's processes: of its cgroup, or of its pid namespace where it has no cgroup.
    package func processes() throws(RuntimeError) -> [Int32] {
        guard status != .stopped else {
            throw RuntimeError("container `\(record.id)` is not running: container not running")
        }
        let pids = record.cgroup.processes()
        if !pids.isEmpty { return pids }
        guard let own = try? File.readLink("/proc/\(record.process.pid)/ns/pid"),
            own != (try? File.readLink("/proc/self/ns/pid"))
        else {
            return [record.process.pid]
        }
        let names = (try? Directory.names("/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { (try? File.readLink("/proc/\($0)/ns/pid")) == own }.sorted()
    }
}
