// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import Monitor
import SystemPackage

extension Engine {
    /// Stops a container: its stop signal, then SIGKILL after `timeout` seconds (nil: the container's own). One that
    /// does not run is left as it is. When this returns the end is recorded and its own ports are free.
    public func stop(_ container: Container, timeout: Int64?) throws(EngineError) {
        let record = container.record
        guard let (process, monitor) = runningProcess(container) else { return try settle(record) }
        try enterUserNamespace()
        let mark = paths.stopMark(record.id)
        do throws(Errno) { try File.write(mark, []) } catch {
            // On a full disk a container must still stop; only one with a restart policy would come back.
            if record.restartPolicy != "no", !record.restartPolicy.isEmpty { throw EngineError("write", mark, error) }
        }
        let seconds = max(0, timeout ?? record.stopTimeout)
        if seconds > 0, send(record.stopSignal, to: process) {
            if waitForEnd(
                monitor, milliseconds: Int32(clamping: seconds.multipliedReportingOverflow(by: 1000).partialValue))
            {
                return try settle(record)
            }
            warn(
                "StopSignal \(SignalText.name(record.stopSignal)) failed to stop container \(record.name) in \(seconds) seconds, resorting to SIGKILL"
            )
        }
        _ = send(SIGKILL, to: process)
        if !waitForEnd(monitor, milliseconds: 10_000) {
            throw EngineError("container \(record.id) could not be stopped: its processes do not end")
        }
        try settle(record)
    }

    /// Sends a signal to the container's first process.
    public func kill(_ container: Container, signal: Int32) throws(EngineError) {
        guard let (process, monitor) = runningProcess(container) else {
            throw EngineError(
                "can only kill running containers. \(container.record.id) is in state \(container.state.status.rawValue): container state improper",
                kind: .stateImproper)
        }
        try enterUserNamespace()
        if signal == SIGKILL || signal == container.record.stopSignal {
            let mark = paths.stopMark(container.record.id)
            try? File.write(mark, [])
        }
        if !send(signal, to: process), process.isAlive {
            throw EngineError(
                "cannot send signal \(signal) to container \(container.record.id): operation not permitted")
        }
        if signal == SIGKILL { _ = waitForEnd(monitor, milliseconds: 10_000) }
    }

    public func restart(_ container: Container, timeout: Int64?) throws(EngineError) {
        try stop(container, timeout: timeout)
        _ = try start(try self.container(container.record.id), attach: nil)
    }

    /// Waits until the container is in one of `states`.
    /// - Returns: its exit code.
    public func wait(_ container: Container, until states: [ContainerStatus]) throws(EngineError) -> Int32 {
        let id = container.record.id
        while File.exists(paths.container(id)) {
            let state = try loadState(id)
            if states.contains(state.status) { return state.exitCode }
            if states == [.exited], state.status == .running, let code = exitCodeFromMonitor(id) { return code }
            Process.sleep(milliseconds: 20)
        }
        throw EngineError.noSuchContainer(id)
    }

    /// The monitor tells whoever is attached how the container ended, also when the container then removes itself.
    private func exitCodeFromMonitor(_ id: String) -> Int32? {
        guard let socket = try? UnixSocket.connect(path: paths.attachSocket(id)),
            let null = try? File.open("/dev/null", O_RDWR)
        else { return nil }
        var options = SessionOptions(forwardsInput: false, hasTerminal: false, proxiesSignals: false, detachKeys: .none)
        options.input = null.raw
        options.output = null.raw
        options.errorOutput = null.raw
        guard case .exited(let code)? = try? AttachClient.run(socket, options) else { return nil }
        return code
    }

    /// Removes a container and, with `removesVolumes`, its anonymous volumes.
    public func remove(
        _ container: Container, force: Bool, removesVolumes: Bool, timeout: Int64? = nil
    ) throws(EngineError) {
        let record = container.record
        if container.isRunning {
            guard force else {
                throw EngineError(
                    "cannot remove container \(record.id) as it is \(container.state.status.rawValue) - running or paused containers cannot be removed without force: container state improper",
                    exitCode: 2, kind: .inUse)
            }
            try stop(container, timeout: timeout)
        }
        // What never ran has only files of this user: it goes also where no user namespace can be made.
        do throws(EngineError) { try enterUserNamespace() } catch {
            if container.state.status != .created { throw error }
        }
        let lock: FileLock
        do throws(EngineError) { lock = try lockContainer(record.id) } catch {
            if error.kind == .noSuchContainer { return }
            throw error
        }
        let state = try loadState(record.id)
        if state.status == .running {
            guard force else {
                throw EngineError(
                    "container \(record.id) was started meanwhile: container state improper", exitCode: 2, kind: .inUse)
            }
            // By a command that had the lock, or its monitor did. To stop it, the lock must be free for others again.
            _ = consume lock
            let started = try self.container(record.id)
            return try remove(started, force: true, removesVolumes: removesVolumes, timeout: timeout)
        }
        if let namespace = state.mountNamespace, state.boot == Engine.boot { MountNamespace.killMembers(namespace) }
        stopSandbox(record.id)
        try? File.unlink(paths.attachSocket(record.id))
        discard(record, removesVolumes: removesVolumes || record.isAutoRemoved)
        _ = consume lock
        if let podID = record.podID, let pod = try? loadPodRecord(podID) { refreshHosts(pod) }
        emptyTrash()
    }

    /// Makes the container disappear: one rename, then its name. What is in the trash is nobody's.
    func discard(_ record: ContainerRecord, removesVolumes: Bool = true) {
        try? File.rename(paths.container(record.id), "\(paths.trash)/\(record.id)")
        nameTable.release(record.name, of: .container(record.id))
        if let cidFile = record.cidFile, record.isAutoRemoved { try? File.unlink(cidFile) }
        guard removesVolumes else { return }
        for mount in record.mounts where mount.isAnonymous && mount.kind == .volume {
            try? removeVolume(mount.source, force: true)
        }
    }

    /// Removes what killed commands have left: void name reservations, locks and sandboxes of objects that are gone,
    /// the trash. Called by the commands that clean up everything.
    public func sweep() {
        let names = ((try? Directory.names(paths.names)) ?? []).filter { nameTable.isVoid($0) }
        for name in names { nameTable.removeVoid(name) }
        func isGone(_ id: String) -> Bool { !File.exists(paths.container(id)) && !File.exists(paths.pod(id)) }
        for id in (try? Directory.names(paths.locks)) ?? [] where id.utf8.count == 64 && isGone(id) {
            if let free = try? FileLock.acquireIfFree(paths.lock(id)), isGone(id) { removeLock(id, free) }
        }
        for id in (try? Directory.names(paths.sandboxes)) ?? [] where isGone(id) { stopSandbox(id) }
        for id in (try? Directory.names(paths.runContainers)) ?? [] where isGone(id) {
            try? File.unlink(paths.attachSocket(id))
        }
        let trash = (try? Directory.names(paths.trash)) ?? []
        if !trash.isEmpty, (try? enterUserNamespace()) != nil { emptyTrash() }
    }

    /// Deletes what was renamed away, also by a command that was killed before it could finish.
    func emptyTrash() {
        for name in (try? Directory.names(paths.trash)) ?? [] where !isBeingMade(name) {
            try? FileTree.remove("\(paths.trash)/\(name)")
        }
    }

    /// Deletes a discarded container. What every container has is deleted by name, without looking what is there.
    ///
    /// - Parameter hasState: whether it ever had a state.
    func deleteDiscarded(_ id: String, hasState: Bool) {
        let path = "\(paths.trash)/\(id)"
        if let directory = try? File.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) {
            if hasState { try? File.unlink("state.json", at: directory.raw) }
            for name in ["config.json", "hosts", "hostname", "resolv.conf"] {
                try? File.unlink(name, at: directory.raw)
            }
            // overlayfs makes the inner one; the upper layer is empty when nothing was written.
            for name in ["work/work", "work", "diff"] { try? File.unlink(name, flags: AT_REMOVEDIR, at: directory.raw) }
        }
        do throws(Errno) { try File.unlink(path, flags: AT_REMOVEDIR) } catch { try? FileTree.remove(path) }
    }

    /// Where an object is put together before the rename that makes it appear; the name tells who is at it.
    func stagingPath(_ id: String) -> String {
        let maker = Process.identity
        return "\(paths.trash)/new-\(id)-\(maker.pid)-\(maker.startTime)"
    }

    private func isBeingMade(_ name: String) -> Bool {
        let parts = name.split(separator: "-")
        guard parts.count == 4, parts[0] == "new", let pid = Int32(parts[2]), let start = UInt64(parts[3]) else {
            return false
        }
        return ProcessIdentity(pid: pid, startTime: start).isAlive
    }

    func removeLock(_ id: String, _ lock: consuming FileLock) {
        // Still held: whoever waits for it finds its object gone.
        try? File.unlink(paths.lock(id))
        _ = consume lock
    }

    /// Records an end that no monitor is left to record, and frees what belonged to the container alone.
    func settle(_ record: ContainerRecord) throws(EngineError) {
        guard File.exists(paths.container(record.id)) else { return }
        let state = try loadState(record.id)
        guard state.status == .exited, let monitor = state.monitor, !monitor.isAlive || state.boot != Engine.boot else {
            return
        }
        warn("container \(record.name): \(state.error)")
        var corrected = state
        corrected.monitor = nil
        corrected.process = nil
        try enterUserNamespace()
        // A program with set-id bits has lost the parent-death signal: prctl(2), PR_SET_PDEATHSIG.
        if let process = state.process, state.boot == Engine.boot {
            _ = send(SIGKILL, to: process)
            _ = waitForEnd(process, milliseconds: 5000)
        }
        if let namespace = state.mountNamespace, state.boot == Engine.boot { MountNamespace.killMembers(namespace) }
        stopSandbox(record.id)
        // What cannot be written (a full disk) is found and told again by the next command.
        try? saveState(record.id, corrected)
        if record.isAutoRemoved {
            try? File.unlink(paths.attachSocket(record.id))
            discard(record)
            emptyTrash()
        }
    }

    private func runningProcess(_ container: Container) -> (ProcessIdentity, ProcessIdentity)? {
        guard container.isRunning, let process = container.state.process, let monitor = container.state.monitor else {
            return nil
        }
        return (process, monitor)
    }

    private func send(_ signal: Int32, to process: ProcessIdentity) -> Bool {
        guard let pidfd = try? process.open() else { return false }
        return (try? Process.signal(pidfd, signal)) != nil
    }

    private func waitForEnd(_ process: ProcessIdentity, milliseconds: Int32) -> Bool {
        guard let pidfd = try? process.open() else { return true }
        return Process.waitForEnd(pidfd, milliseconds: milliseconds)
    }
}

/// Names of signals for messages: signal(7).
enum SignalText {
    static func name(_ number: Int32) -> String {
        switch number {
        case SIGTERM: "SIGTERM"
        case SIGQUIT: "SIGQUIT"
        case SIGINT: "SIGINT"
        case SIGHUP: "SIGHUP"
        case SIGKILL: "SIGKILL"
        case SIGUSR1: "SIGUSR1"
        case SIGUSR2: "SIGUSR2"
        case SIGWINCH: "SIGWINCH"
        default: "\(number)"
        }
    }
}
