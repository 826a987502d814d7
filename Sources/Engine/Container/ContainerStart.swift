// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import Monitor
import SystemPackage

extension Engine {
    /// Starts a created or ended container.
    ///
    ///     command                      monitor (fork)                    container
    ///       | lock, sandbox, plan           |                               |
    ///       |-- fork ---------------------->| setsid, join namespaces       |
    ///       |                               |-- clone3 -------------------->| root, identity, exec
    ///       |                               | record "running"              |
    ///       |<- started / failed -----------|                               |
    ///       | unlock; exits, or follows     | relays, waits, records        |
    ///
    /// - Returns: the exit code when `attach` is given, else nil.
    public func start(_ container: Container, attach: AttachRequest?) throws(EngineError) -> Int32? {
        let record = container.record
        let lock = try lockContainer(record.id)
        return try start(record, try loadState(record.id), lock, attach)
    }

    /// Starts what `createLocked` has made.
    public func start(_ fresh: consuming FreshContainer, attach: AttachRequest?) throws(EngineError) -> Int32? {
        let container = fresh.container
        return try start(container.record, container.state, fresh.lock, attach)
    }

    private func start(
        _ record: ContainerRecord, _ state: ContainerState, _ lock: consuming FileLock, _ attach: AttachRequest?
    ) throws(EngineError) -> Int32? {
        let socket = try startMonitored(record, state, lock, isFollowed: attach != nil)
        guard let attach else {
            try awaitStart(socket)
            return nil
        }
        return try follow(socket, record, attach)
    }

    /// Starts the container under its lock; the socket is the foreground connection to its monitor.
    private func startMonitored(
        _ record: ContainerRecord, _ state: ContainerState, _ lock: consuming FileLock, isFollowed: Bool
    ) throws(EngineError) -> OwnedFD {
        if state.status == .running || state.status == .stopping || state.status == .paused {
            throw EngineError(
                "container \(record.id) is already running: container state improper", kind: .stateImproper)
        }
        let pod = try record.podID.map { (id) throws(EngineError) in try loadPodRecord(id) }
        let home = try prepareNamespaces(record, pod)
        try enterUserNamespace()
        Trace.point("command namespaces")
        try prepareEtc(record, pod)
        try copyUpVolumes(record)
        let plan = try launchPlan(record, pod, home)
        let windowSize = record.hasTerminal ? SessionOptions(forwardsInput: false, hasTerminal: true).windowSize : nil
        let activated = try bindActivated(record)
        let ends: (first: Int32, second: Int32)
        let passed: [Int32]
        let pid: Int32
        Trace.point("command plan")
        // From here on by number, for the copy of this process too.
        let held = lock.release()
        do throws(Errno) {
            // In this order the copy's descriptors follow each other.
            let listener = try UnixSocket.listen(path: paths.attachSocket(record.id), isNonBlocking: true).release()
            ends = try AttachSocket.pair().release()
            // The first array of its type, before the fork: what it makes the Swift runtime touch, both processes would
            // have to fault in again.
            passed = [held, ends.first, listener]
            pid = try Process.fork()
        } catch {
            _ = OwnedFD(held)
            throw EngineError("cannot start \(record.name): \(error.text)")
        }
        if pid == 0 {
            let sockets = activated.descriptors
            guard let moved = try? ActivatedSockets.arrange(sockets, others: passed) else {
                Process.exitNow(125)
            }
            extendLifetime(activated)
            let monitor = ContainerMonitor(
                engine: self, record: record, pod: pod, home: home, lock: moved[0], client: moved[1],
                listener: moved[2], activated: ActivatedSockets.descriptors(sockets.count), previous: state,
                isFollowed: isFollowed, windowSize: windowSize)
            monitor.run(plan)
        }
        extendLifetime(activated)
        Descriptors.close(passed)
        return OwnedFD(ends.second)
    }

    /// In a function of its own, so that the specification is gone when the monitor is forked.
    private func launchPlan(
        _ record: ContainerRecord, _ pod: PodRecord?, _ home: NamespaceHome
    ) throws(EngineError) -> LaunchPlan {
        var spec = try ContainerPlanner(engine: self, record: record, pod: pod, joined: home.namespaces).spec()
        if spec.newNamespaces.contains(.user) {
            spec.idMap = try nestedMap()
            spec.startsAsRoot = true
        }
        return LaunchPlan(spec, name: record.name, base: paths.root, startsInBase: true, emptyDirectory: paths.empty)
    }

    /// Waits until the monitor says that the program runs, or throws why it does not.
    private func awaitStart(_ socket: borrowing OwnedFD) throws(EngineError) {
        switch AttachClient.waitForStart(socket) {
        case .started: return
        case .failed(let code, let text): throw EngineError(text, exitCode: code)
        case .connectionLost: throw Engine.monitorLost
        }
    }

    static let monitorLost = EngineError(
        "the container's monitor process was killed; 'samara rm' removes what is left of the container")

    private func follow(
        _ socket: consuming OwnedFD, _ record: ContainerRecord, _ attach: AttachRequest
    ) throws(EngineError) -> Int32 {
        let outcome: AttachOutcome
        do throws(MonitorError) {
            let options = SessionOptions(
                forwardsInput: attach.forwardsInput, hasTerminal: record.hasTerminal,
                proxiesSignals: attach.forwardsSignals, detachKeys: try DetachKeys(attach.detachKeys))
            outcome = try AttachClient.run(socket, options)
        } catch { throw EngineError(error.description) }
        switch outcome {
        case .exited(let code): return code
        case .detached: return 0
        case .failed(let code, let text): throw EngineError(text, exitCode: code)
        case .interrupted(let signal): return 128 + signal
        case .connectionLost: throw Engine.monitorLost
        }
    }

    /// Follows a running container: `attach`, `start -a` of a running one.
    public func attach(_ container: Container, _ request: AttachRequest) throws(EngineError) -> Int32 {
        guard container.isRunning else {
            throw EngineError(
                "you can only attach to running containers: container state improper", kind: .stateImproper)
        }
        let path = paths.attachSocket(container.record.id)
        let socket = try attempt("connect to", path) { () throws(Errno) in try UnixSocket.connect(path: path) }
        return try follow(socket, container.record, request)
    }

    /// Which running namespaces the container joins, and who keeps them.
    struct NamespaceHome: Sendable {
        var keeper: ProcessIdentity?
        var namespaces: NamespaceSet = []
        /// The container's own sandbox ends with it.
        var ownsSandbox = false
    }

    private func prepareNamespaces(_ record: ContainerRecord, _ pod: PodRecord?) throws(EngineError) -> NamespaceHome {
        if let pod, pod.hasInfra {
            let state = try startInfra(pod)
            return NamespaceHome(keeper: state.keeper, namespaces: state.namespaces.union(.user))
        }
        switch record.network {
        case .private:
            let state = try ensureSandbox(
                SandboxSpec(
                    id: record.id, name: record.name, hostname: record.hostname ?? String(record.id.prefix(12)),
                    namespaces: record.sharesHostUTS ? [.network, .ipc, .mount] : [.network, .uts, .ipc, .mount],
                    network: .full(ports: record.ports.filter { !$0.isActivated }, options: record.networkOptions),
                    shmSize: record.shmSize))
            return NamespaceHome(
                keeper: state.keeper,
                namespaces: record.sharesHostUTS ? [.user, .network] : [.user, .network, .uts], ownsSandbox: true)
        case .container(let name):
            let other = try container(name)
            guard let process = other.state.process, other.isRunning else {
                throw EngineError(
                    "cannot join the network of container \(name): it is not running: container state improper",
                    kind: .stateImproper)
            }
            return NamespaceHome(keeper: process, namespaces: [.user, .network, .uts])
        case .none, .host, .pod:
            return NamespaceHome()
        }
    }
}
