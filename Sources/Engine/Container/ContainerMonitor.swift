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
    /// The command that starts the container follows it: then "running" need not be recorded before the container does
    /// something that somebody could see.
    let isFollowed: Bool
    /// Of the command's terminal, for a container with one.
    let windowSize: WindowSize?

    func run(_ plan: consuming LaunchPlan) -> Never {
        Trace.point("monitor begun")
        _ = setsid()
        Process.setTitle("samara: monitor \(record.name)")
        Descriptors.close(from: 3, keeping: [lock, client, listener, Trace.kept] + activated)
        let relay: Relay
        let null: Int32
        do throws(EngineError) {
            null = try detachStreams()
            try joinHome()
            relay = try makeRelay()
        } catch {
            abandon(error, client: OwnedFD(client))
        }
        relay.addForegroundClient(OwnedFD(client))
        Trace.point("monitor ready")
        supervise(plan, relay, null)
    }

    // MARK: Preparing

    /// Returns the null device's descriptor, which is the container's standard input without --interactive.
    private func detachStreams() throws(EngineError) -> Int32 {
        let null = try attempt("open", "/dev/null") { () throws(Errno) in try File.open("/dev/null", O_RDWR).release() }
        for descriptor in Int32(0)...2 { dup2(null, descriptor) }
        // Where the launch starts from: see `LaunchPlan`.
        _ = chdir(engine.paths.root)
        return null
    }

    private func joinHome() throws(EngineError) {
        guard let keeper = home.keeper else { return }
        do {
            let pidfd = try keeper.open()
            try Launch.join(pidfd, home.namespaces, name: pod?.name ?? record.name)
            // A mount namespace is entered at its root.
            _ = chdir(engine.paths.root)
        } catch let error as LaunchError { throw EngineError(error) } catch {
            throw EngineError("cannot join the namespaces of \(pod?.name ?? record.name): its keeper process ended")
        }
    }

    private func makeRelay() throws(EngineError) -> Relay {
        do throws(MonitorError) {
            var log: LogWriter?
            if let format = LogFormat(rawValue: record.logDriver) {
                log = LogWriter(
                    path: engine.paths.log(record.id), format: format,
                    maxSize: record.logSizeLimit > 0 ? record.logSizeLimit : nil)
            }
            var options = Relay.Options(input: record.isInteractive ? .openForOneClient : .closed)
            options.windowSize = windowSize
            options.listenerIsNonBlocking = true
            return try Relay(options, log: log, listener: OwnedFD(listener))
        } catch { throw EngineError(error.description) }
    }

    // MARK: The container's life

    private func supervise(_ plan: consuming LaunchPlan, _ relay: Relay, _ null: Int32) -> Never {
        var plan = plan
        var state = previous
        var isFirst = true
        let lock = HeldLock(self.lock)
        while true {
            let process: MonitoredProcess
            // Of a container that is deleted with its end: its mounts go after the command was told.
            var mounts: OwnedFD?
            do throws(EngineError) {
                process = try launch(plan, &state, null, &mounts)
            } catch {
                state.status = isFirst && previous.status == .created ? .created : .exited
                state.error = error.message
                state.exitCode = error.exitCode
                recordEnd(state)
                fail(error, relay, lock)
            }
            Trace.point("monitor executed")
            if !mayRestart { plan.discard() }
            let status: ExitStatus
            let recording = Recording(self, state, lock)
            if !isFollowed || !isFirst { recording.perform() }
            if let failure = recording.failure { fail(failure, relay, lock) }
            isFirst = false
            do {
                status =
                    recording.isDone
                    ? try relay.run(process)
                    : try relay.run(process, quietTime: 5, firstActivity: { recording.perform() })
            } catch {
                state.error = error.description
                status = .exited(125)
            }
            Trace.point("monitor exited")
            if let failure = recording.failure { fail(failure, relay, lock) }
            if !record.isAutoRemoved || mayRestart { mounts = nil }
            killLeftovers(state)
            state.status = .exited
            state.exitCode = status.code
            state.finished = Timestamp.now
            state.process = nil
            if restarts(state) {
                state.restarts += 1
                lock.release()
                continue
            }
            state.monitor = nil
            releaseActivated()
            recordEnd(state)
            lock.release()
            endSurroundings()
            if record.isAutoRemoved { engine.discard(record) }
            Trace.point("monitor cleaned")
            relay.finish(status)
            mounts = nil
            finishRemoval(hasState: recording.isDone)
            Trace.point("monitor removed")
            Process.exitNow(0)
        }
    }

    /// Tells everybody that the container does not run, and ends.
    private func fail(_ error: EngineError, _ relay: Relay, _ lock: HeldLock) -> Never {
        releaseActivated()
        lock.release()
        endSurroundings()
        if record.isAutoRemoved { engine.discard(record) }
        relay.fail(code: error.exitCode, text: error.message)
        finishRemoval()
        Process.exitNow(error.exitCode)
    }

    private func launch(
        _ plan: borrowing LaunchPlan, _ state: inout ContainerState, _ null: Int32, _ mounts: inout OwnedFD?
    ) throws(EngineError) -> MonitoredProcess {
        var launched: LaunchedProcess
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
                let output = try PipePair.make()
                let error = try PipePair.make()
                launched = try Launch.start(
                    plan,
                    streams: .init(
                        input: inputEnds?.read ?? null, output: output.writeEnd.raw, error: error.writeEnd.raw))
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
        // What else a record says of the process is asked when there is to be one.
        state.process = ProcessIdentity(pid: launched.pid, startTime: 0)
        state.mountNamespace =
            home.namespaces.contains(.pid) || record.sharesHostPID ? MountNamespace.of(launched.pid) : nil
        state.started = Timestamp.now
        state.finished = nil
        state.error = ""
        state.exitCode = 0
        mounts = launched.mountNamespace.take()
        return MonitoredProcess(pidfd: launched.descriptor(), streams: streams)
    }

    /// The record of a running process, made once: a container that cannot be recorded is ended.
    private final class Recording {
        private let monitor: ContainerMonitor
        private var state: ContainerState
        private let lock: HeldLock
        private(set) var isDone = false
        private(set) var failure: EngineError?

        init(_ monitor: ContainerMonitor, _ state: ContainerState, _ lock: HeldLock) {
            self.monitor = monitor
            self.state = state
            self.lock = lock
        }

        func perform() {
            if isDone { return }
            isDone = true
            state.process = state.process.flatMap { ProcessIdentity(pid: $0.pid) }
            state.monitor = Process.identity
            state.boot = Engine.boot
            do throws(EngineError) { try monitor.engine.saveState(monitor.record.id, state) } catch {
                failure = error
                if let process = state.process, let pidfd = try? process.open() {
                    try? Process.signal(pidfd, SIGKILL)
                }
            }
            lock.release()
            Trace.point("monitor recorded")
            // It lives on, and with it this process.
            Process.trimMemory()
        }
    }

    /// The container's lock, given back once.
    private final class HeldLock {
        private var descriptor: Int32
        init(_ descriptor: Int32) { self.descriptor = descriptor }
        func release() {
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    /// In a pid namespace that is shared, what the program left behind outlives it; in an own one the kernel ends
    /// everything with the first process.
    private func killLeftovers(_ state: ContainerState) {
        if let namespace = state.mountNamespace { MountNamespace.killMembers(namespace) }
    }

    private var mayRestart: Bool { record.restartPolicy != "no" && !record.restartPolicy.isEmpty }

    private func restarts(_ state: ContainerState) -> Bool {
        if !mayRestart { return false }
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

    /// Not of a container that goes with its end: what is left of one whose monitor is killed in between still says
    /// "running", and is removed by the command that finds that it does not.
    private func recordEnd(_ state: ContainerState) {
        if record.isAutoRemoved, pod?.exitPolicy != "stop" { return }
        try? engine.saveState(record.id, state)
    }

    private func endSurroundings() {
        try? File.unlink(engine.paths.attachSocket(record.id))
        if home.ownsSandbox { engine.stopSandbox(record.id) }
        if let pod { engine.memberEnded(record, pod) }
    }

    /// The slow part of a removal, after the command was told: the name is free and the record gone already.
    private func finishRemoval(hasState: Bool = true) {
        if record.isAutoRemoved { engine.deleteDiscarded(record.id, hasState: hasState) }
    }

    private func abandon(_ error: EngineError, client: consuming OwnedFD) -> Never {
        var state = previous
        state.error = error.message
        releaseActivated()
        recordEnd(state)
        endSurroundings()
        if record.isAutoRemoved { engine.discard(record) }
        AttachSocket.reportFailure(client, code: error.exitCode, text: error.message)
        finishRemoval()
        Process.exitNow(error.exitCode)
    }
}
