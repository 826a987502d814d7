// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import JSON
import LinuxSystem
import NetControl
import PodNetwork
import SystemPackage

extension Engine {
    /// The sandbox's state if its keeper runs.
    func sandbox(_ id: String) -> SandboxState? {
        guard let bytes = try? File.read(paths.sandboxState(id), limit: 1 << 20),
            let json = try? JSON.parse(bytes), let state = SandboxState(json),
            state.boot == Engine.boot, state.keeper.isAlive
        else { return nil }
        return state
    }

    /// Starts a sandbox or repairs a running one whose samara-net is gone. The caller holds the object's lock.
    ///
    /// All or nothing: ports are bound first, because they fail most often; a failure at any step ends what was started.
    func ensureSandbox(_ spec: SandboxSpec) throws(EngineError) -> SandboxState {
        if let state = sandbox(spec.id) {
            guard case .full? = spec.network, state.network?.isAlive != true else { return state }
            return try repairNetwork(state, spec)
        }
        removeSandboxFiles(spec.id)
        let directory = paths.sandbox(spec.id)
        let shm = paths.sandboxShm(spec.id)
        try attempt("create the directory", directory) { () throws(Errno) in
            try Directory.makeAll(directory)
            try Directory.makeAll(shm)
        }
        do throws(EngineError) { return try startSandbox(spec) } catch {
            removeSandboxFiles(spec.id)
            throw error
        }
    }

    private func startSandbox(_ spec: SandboxSpec) throws(EngineError) -> SandboxState {
        let bound = try bindPorts(spec.network)
        try enterUserNamespace()

        let settings = Engine.networkSettings(spec)
        let ready: (first: Int32, second: Int32)
        let listener: Int32
        do throws(Errno) {
            listener = try UnixSocket.listen(path: paths.sandboxKeeper(spec.id)).release()
            ready = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
        } catch { throw EngineError("cannot start \(spec.name): \(error.text)") }

        let keeper = Keeper(
            spec: spec, shmDirectory: paths.sandboxShm(spec.id), settings: settings, readySocket: ready.second,
            listener: listener)
        let child: (pid: Int32, pidfd: Int32)
        do {
            child = try NamespaceProcess.start(spec.namespaces.union(.user), name: spec.name) { keeper.run() }
        } catch { throw EngineError(error) }
        let readyEnd = OwnedFD(ready.first)
        _ = OwnedFD(ready.second)
        _ = OwnedFD(listener)
        let pidfd = OwnedFD(child.pidfd)
        do throws(EngineError) {
            try awaitKeeper(readyEnd, spec)
            guard let identity = ProcessIdentity(pid: child.pid) else {
                throw EngineError("cannot start \(spec.name): its keeper ended at once")
            }
            var state = SandboxState(keeper: identity, network: nil, namespaces: spec.namespaces, boot: Engine.boot)
            if case .full? = spec.network, let settings {
                state.network = try startNetwork(spec, settings, bound)
                state.ports = bound.ports.map(PortRecord.init)
            }
            try writeRecord(paths.sandboxState(spec.id), state.json)
            do { try UnixSocket.send(readyEnd.raw, [1]) } catch {
                throw EngineError("cannot start \(spec.name): its keeper ended at once")
            }
            return state
        } catch {
            // samara-net follows the keeper: its socket closes.
            try? Process.signal(pidfd, SIGKILL)
            _ = try? Process.wait(pidfd)
            throw error
        }
    }

    private func awaitKeeper(_ socket: borrowing OwnedFD, _ spec: SandboxSpec) throws(EngineError) {
        let message: UnixSocket.Message
        do { message = try UnixSocket.receive(socket.raw, limit: 4096) } catch {
            throw EngineError("cannot start \(spec.name): \(error.text)")
        }
        if message.bytes == [0] { return }
        throw EngineError(
            message.bytes.isEmpty
                ? "cannot start \(spec.name): its keeper ended before it was ready"
                : String(decoding: message.bytes, as: UTF8.self))
    }

    /// Executes samara-net and configures it; returns when it forwards.
    private func startNetwork(
        _ spec: SandboxSpec, _ settings: PodNetworkSettings, _ bound: borrowing BoundPorts
    ) throws(EngineError) -> ProcessIdentity {
        let program = executables + "/samara-net"
        let started: (pid: Int32, starter: Int32)
        do { started = try executeNetwork(program, spec) } catch {
            throw EngineError("cannot run \(program): \(error.text)")
        }
        let pid = started.pid
        let client = NetClient(starter: OwnedFD(started.starter))
        do {
            try client.configure(
                settings.netConfiguration(podName: spec.name), listeners: bound.listeners,
                descriptors: bound.descriptors)
        } catch {
            CLinux.kill(pid, SIGKILL)
            _ = try? Process.wait(pid: pid)
            throw EngineError(error.message)
        }
        guard let identity = ProcessIdentity(pid: pid) else {
            throw EngineError("cannot start \(spec.name): samara-net ended at once")
        }
        return identity
    }

    private func executeNetwork(_ program: String, _ spec: SandboxSpec) throws(Errno) -> (pid: Int32, starter: Int32) {
        let null = try File.open("/dev/null", O_RDWR)
        let keeper = try UnixSocket.connect(path: paths.sandboxKeeper(spec.id))
        let listener = try UnixSocket.listen(path: paths.sandboxControl(spec.id))
        let pair = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
        let mine = OwnedFD(pair.first)
        let theirs = OwnedFD(pair.second)
        let pid = try Spawn.start(
            // The name makes room for the title in ps(1).
            program, [spec.name], environment: [],
            descriptors: [null.raw, null.raw, null.raw, keeper.raw, listener.raw, theirs.raw])
        return (pid, mine.release())
    }

    private func bindPorts(_ network: SandboxSpec.Network?) throws(EngineError) -> BoundPorts {
        var requested: [PublishedPort] = []
        if case .full(let ports, _)? = network { requested = ports.map(\.published) }
        do { return try BoundPorts(binding: requested) } catch { throw EngineError(error.message) }
    }

    /// Gives a running keeper whose samara-net was lost a new one, with the same ports.
    private func repairNetwork(_ lost: SandboxState, _ spec: SandboxSpec) throws(EngineError) -> SandboxState {
        guard let settings = Engine.networkSettings(spec) else { return lost }
        warn("the network process of \(spec.name) (samara-net) was lost and is being replaced")
        // The numbers chosen by the kernel at the first start stay.
        var again = spec
        if case .full(_, let options)? = spec.network { again.network = .full(ports: lost.ports, options: options) }
        let bound = try bindPorts(again.network)
        var state = lost
        state.network = try startNetwork(again, settings, bound)
        try writeRecord(paths.sandboxState(spec.id), state.json)
        return state
    }

    private static func networkSettings(_ spec: SandboxSpec) -> PodNetworkSettings? {
        switch spec.network {
        case nil: nil
        case .loopbackOnly: PodNetworkSettings(tap: nil)
        case .full(_, let options): PodNetworkSettings(tap: NetworkText.tap(options))
        }
    }

    // MARK: Ending

    /// Ends the sandbox: host ports are free and its processes gone when this returns. Missing is success.
    func stopSandbox(_ id: String) {
        guard let state = sandbox(id) else { return removeSandboxFiles(id) }
        // Listeners first: no connection may be accepted that nobody will serve.
        if let network = state.network, network.isAlive {
            if let client = try? NetClient.connect(path: paths.sandboxControl(id)) { try? client.stop() }
            end(network, politely: false)
        }
        end(state.keeper, politely: true)
        removeSandboxFiles(id)
    }

    /// Ends a process that may not be a child: SIGTERM with a second's grace, then SIGKILL, and waits for the end.
    private func end(_ process: ProcessIdentity, politely: Bool) {
        guard let pidfd = try? process.open() else { return }
        if politely {
            try? Process.signal(pidfd, SIGTERM)
            if Process.waitForEnd(pidfd, milliseconds: 1000) { return Process.reap(process.pid) }
        } else if Process.waitForEnd(pidfd, milliseconds: 1000) {
            return Process.reap(process.pid)
        }
        try? Process.signal(pidfd, SIGKILL)
        _ = Process.waitForEnd(pidfd, milliseconds: 5000)
        Process.reap(process.pid)
    }

    func removeSandboxFiles(_ id: String) {
        try? FileTree.remove(paths.sandbox(id))
    }
}

extension PortRecord {
    init(_ port: PublishedPort) {
        self.init(
            hostIP: port.hostIP, hostPort: port.hostPort, containerPort: port.containerPort, range: port.range,
            transport: port.protocol.rawValue)
        targetsLoopback = port.targetsLoopback
    }

    var published: PublishedPort {
        var port = PublishedPort(
            hostIP: hostIP, hostPort: hostPort, containerPort: containerPort, range: range,
            protocol: transport == "udp" ? .udp : .tcp)
        port.targetsLoopback = targetsLoopback
        return port
    }
}
