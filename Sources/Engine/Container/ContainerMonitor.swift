// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import Monitor
import SystemPackage

/// The monitor process of one container: its parent, from the start to the record of its end.
///
/// A fork of the command that started the container. If it is killed, the container goes with it (PR_SET_PDEATHSIG): a
/// container without monitor would have no log and no exit code.
struct ContainerMonitor {
    let engine: Engine
    let record: ContainerRecord
    let pod: PodRecord?
    let home: Engine.NamespaceHome
    /// The container's lock, held until the state says "running" or the failure is known.
    let lock: Int32
    let client: Int32
    let listener: Int32
    /// Sockets for the program, at the numbers that they have in it.
    let activated: Range<Int32>
    let previous: ContainerState
    /// Of the command's terminal, for a container with one.
    let windowSize: WindowSize?

    func run(_ plan: consuming LaunchPlan) -> Never {
        _ = setsid()
        Process.setTitle("samara: monitor \(record.name)")
        Descriptors.close(from: 3, keeping: [lock, client, listener] + activated)
        let relay: Relay
        do throws(EngineError) {
            try detachStreams()
            try joinHome()
            relay = try makeRelay()
        } catch {
            abandon(error, client: OwnedFD(client))
        }
        relay.addForegroundClient(OwnedFD(client))
        supervise(plan, relay)
    }

    // MARK: Preparing

    private func detachStreams() throws(EngineError) {
        let null = try attempt("open", "/dev/null") { () throws(Errno) in try File.open("/dev/null", O_RDWR) }
        for descriptor in Int32(0)...2 { dup2(null.raw, descriptor) }
        _ = chdir("/")
    }

    private func joinHome() throws(EngineError) {
        guard let keeper = home.keeper else { return }
        do {
            let pidfd = try keeper.open()
            try Launch.join(pidfd, home.namespaces, name: pod?.name ?? record.name)
        } catch let error as LaunchError { throw EngineError(error) } catch {
            throw EngineError("cannot join the namespaces of \(pod?.name ?? record.name): its keeper process ended")
        }
    }

    private func makeRelay() throws(EngineError) -> Relay {
        do throws(MonitorError) {
            var log: LogWriter?
            if let format = LogFormat(rawValue: record.logDriver) {
                log = try LogWriter(
                    path: engine.paths.log(record.id), format: format,
                    maxSize: record.logSizeLimit > 0 ? record.logSizeLimit : nil)
            }
            var options = Relay.Options(input: record.isInteractive ? .openForOneClient : .closed)
            options.windowSize = windowSize
            return try Relay(options, log: log, listener: OwnedFD(listener))
        } catch { throw EngineError(error.description) }
    }

    // MARK: The container's life

    private func supervise(_ plan: consuming LaunchPlan, _ relay: Relay) -> Never {
        var state = previous
        var isFirst = true
        while true {
            let process: MonitoredProcess
            do throws(EngineError) {
                process = try launch(plan, &state)
            } catch {
                state.status = isFirst && previous.status == .created ? .created : .exited
                state.error = error.message
                state.exitCode = error.exitCode
                releaseActivated()
                try? engine.saveState(record.id, state)
                close(lock)
                endSurroundings()
                if record.isAutoRemoved { engine.discard(record) }
                relay.fail(code: error.exitCode, text: error.message)
                finishRemoval()
                Process.exitNow(error.exitCode)
            }
            if isFirst { close(lock) }
            isFirst = false
            let status: ExitStatus
            do { status = try relay.run(process) } catch {
                state.error = error.description
                status = .exited(125)
            }
            killLeftovers(state)
            state.status = .exited
            state.exitCode = status.code
            state.finished = Timestamp.now
            state.process = nil
            if restarts(state) {
                state.restarts += 1
                continue
            }
            state.monitor = nil
            releaseActivated()
            try? engine.saveState(record.id, state)
            endSurroundings()
            if record.isAutoRemoved { engine.discard(record) }
            relay.finish(status)
            finishRemoval()
            Process.exitNow(0)
        }
    }

    private func launch(_ plan: borrowing LaunchPlan, _ state: inout ContainerState) throws(EngineError)
        -> MonitoredProcess
    {
        let launched: LaunchedProcess
        var streams: ProcessStreams
        do {
            if record.hasTerminal {
                var started = try Launch.start(plan, streams: .init(input: 0, output: 1, error: 2))
                guard let master = started.terminal.take() else { throw Errno.noSuchAddressOrDevice }
                streams = .terminal(master)
                launched = started
            } else {
                var inputEnds: (read: Int32, write: Int32)?
                if record.isInteractive { inputEnds = try PipePair.make().release() }
                let inputRead = inputEnds.map { OwnedFD($0.read) }
                let inputWrite = inputEnds.map { OwnedFD($0.write) }
                let null = try File.open("/dev/null", O_RDONLY)
                let output = try PipePair.make()
                let error = try PipePair.make()
                launched = try Launch.start(
                    plan,
                    streams: .init(
                        input: inputEnds?.read ?? null.raw, output: output.writeEnd.raw, error: error.writeEnd.raw))
                streams = .pipes(
                    stdin: inputWrite, stdout: output.keepingReadEnd(), stderr: error.keepingReadEnd())
                _ = consume inputRead
            }
        } catch let error as LaunchError {
            throw EngineError(error)
        } catch {
            throw EngineError("cannot start \(record.name): \((error as? Errno)?.text ?? "no terminal")")
        }
        state.status = .running
        state.process = ProcessIdentity(pid: launched.pid)
        state.monitor = ProcessIdentity(pid: Process.id)
        state.mountNamespace =
            home.namespaces.contains(.pid) || record.sharesHostPID ? MountNamespace.of(launched.pid) : nil
        state.boot = Engine.boot
        state.started = Timestamp.now
        state.finished = nil
        state.error = ""
        state.exitCode = 0
        try engine.saveState(record.id, state)
        return MonitoredProcess(pidfd: launched.descriptor(), streams: streams)
    }

    /// In a pid namespace that is shared, what the program left behind outlives it; in an own one the kernel ends
    /// everything with the first process.
    private func killLeftovers(_ state: ContainerState) {
        if let namespace = state.mountNamespace { MountNamespace.killMembers(namespace) }
    }

    private func restarts(_ state: ContainerState) -> Bool {
        if File.exists(engine.paths.stopMark(record.id)) || !File.exists(engine.paths.container(record.id)) {
            return false
        }
        let parts = record.restartPolicy.split(separator: ":")
        switch parts.first {
        case "always", "unless-stopped": break
        case "on-failure":
            guard state.exitCode != 0 else { return false }
            if parts.count > 1, let limit = Int64(parts[1]), state.restarts >= limit { return false }
        default: return false
        }
        // A program that fails at once must not occupy a processor.
        Process.sleep(milliseconds: state.restarts == 0 ? 0 : min(100 << min(state.restarts, 9), 60_000))
        return !File.exists(engine.paths.stopMark(record.id))
    }

    // MARK: Ending

    /// Their ports are free when the container counts as ended.
    private func releaseActivated() {
        for descriptor in activated { close(descriptor) }
    }

    private func endSurroundings() {
        try? File.unlink(engine.paths.attachSocket(record.id))
        if home.ownsSandbox { engine.stopSandbox(record.id) }
        if let pod { engine.memberEnded(record, pod) }
    }

    /// The slow part of a removal, after the command was told: the name is free and the record gone already.
    private func finishRemoval() {
        if record.isAutoRemoved { engine.emptyTrash() }
    }

    private func abandon(_ error: EngineError, client: consuming OwnedFD) -> Never {
        var state = previous
        state.error = error.message
        releaseActivated()
        try? engine.saveState(record.id, state)
        endSurroundings()
        if record.isAutoRemoved { engine.discard(record) }
        AttachSocket.reportFailure(client, code: error.exitCode, text: error.message)
        finishRemoval()
        Process.exitNow(error.exitCode)
    }
}
