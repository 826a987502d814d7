// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import SystemPackage

extension Engine {
    /// Starts the pod's infra container, or repairs its network process, under the pod's lock.
    func startInfra(_ pod: PodRecord) throws(EngineError) -> SandboxState {
        if let state = sandbox(pod.id), state.network?.isAlive ?? true { return state }
        let lock = try lock(pod.id)
        defer { extendLifetime(lock) }
        guard File.exists(paths.pod(pod.id)) else { throw EngineError.noSuchPod(pod.name) }
        if sandbox(pod.id) == nil,
            let orphan = try members(of: pod.id).first(where: { $0.isRunning && $0.record.network == .pod })
        {
            throw EngineError(
                "pod \(pod.name) has lost its keeper process while container \(orphan.record.name) still runs in the old namespaces; 'samara pod restart \(pod.name)' brings it back: container state improper",
                kind: .stateImproper)
        }
        var namespaces: NamespaceSet = [.mount]
        for (share, namespace) in [
            ("net", NamespaceSet.network), ("ipc", .ipc), ("uts", .uts), ("pid", .pid), ("cgroup", .cgroup),
        ]
        where pod.shares(share) { namespaces.insert(namespace) }
        var network: SandboxSpec.Network?
        if pod.shares("net") {
            network = pod.network == .none ? .loopbackOnly : .full(ports: pod.ports, options: pod.networkOptions)
        }
        let state: SandboxState
        do throws(EngineError) {
            state = try ensureSandbox(
                SandboxSpec(
                    id: pod.id, name: pod.name, hostname: pod.hostname, namespaces: namespaces, network: network,
                    shmSize: pod.shmSize, sysctls: pod.sysctls))
        } catch {
            throw EngineError("starting container \(pod.infraID): \(error.message)", exitCode: error.exitCode)
        }
        refreshHosts(pod)
        var podState = PodState()
        podState.status = .running
        podState.started = Timestamp.now
        try writeRecord(paths.pod(pod.id) + "/state.json", podState.json)
        return state
    }

    private func endInfra(_ pod: PodRecord) throws(EngineError) {
        let lock = try lock(pod.id)
        defer { extendLifetime(lock) }
        guard File.exists(paths.pod(pod.id)) else { return }
        var state = PodState(try readRecord(paths.pod(pod.id) + "/state.json"))
        stopSandbox(pod.id)
        guard state.status == .running else { return }
        state.status = .exited
        state.finished = Timestamp.now
        try writeRecord(paths.pod(pod.id) + "/state.json", state.json)
    }

    /// Starts the infra container and every member that does not run. Every failure is told; the first is thrown.
    public func startPod(_ pod: Pod) throws(EngineError) {
        if pod.record.hasInfra { _ = try startInfra(pod.record) }
        try forEachMember(pod) { (member) throws(EngineError) in
            if !member.isRunning { _ = try start(member, attach: nil) }
        }
    }

    /// Stops every member, newest first, then the infra container. The pod's ports are free when this returns.
    public func stopPod(_ pod: Pod, timeout: Int64?) throws(EngineError) {
        try stopMembers(pod, timeout: timeout)
        if pod.record.hasInfra { try endInfra(pod.record) }
    }

    /// All are told at once, so that the pod stops in the time of its slowest member.
    private func stopMembers(_ pod: Pod, timeout: Int64?) throws(EngineError) {
        try forEachMember(pod, reversed: true, parallel: true) { (member) throws(EngineError) in
            if member.isRunning { try stop(member, timeout: timeout) }
        }
    }

    public func restartPod(_ pod: Pod) throws(EngineError) {
        try stopPod(pod, timeout: nil)
        try startPod(try self.pod(pod.record.id))
    }

    /// Sends a signal to every running member, and ends the infra container with SIGKILL.
    public func killPod(_ pod: Pod, signal: Int32) throws(EngineError) {
        try forEachMember(pod) { (member) throws(EngineError) in
            if member.isRunning { try kill(member, signal: signal) }
        }
        if signal == SIGKILL, pod.record.hasInfra { try endInfra(pod.record) }
    }

    /// Removes the pod with its members; running ones only with `force`.
    public func removePod(_ pod: Pod, force: Bool, timeout: Int64? = nil) throws(EngineError) {
        let record = pod.record
        let running = pod.members.filter(\.isRunning)
        if !running.isEmpty, !force {
            var lines = ["not all containers could be removed from pod \(record.id): removing pod containers"]
            for member in running {
                let id = member.record.id
                lines.append(
                    "Error: error removing container \(id) from pod \(record.id): cannot remove container \(id) as it is running - running or paused containers cannot be removed without force: container state improper"
                )
            }
            throw EngineError(lines.joined(separator: "\n"), exitCode: 125, kind: .inUse)
        }
        // Nothing is recorded of a pod that goes: on a full disk it could not be.
        try stopMembers(pod, timeout: timeout)
        let members = try members(of: record.id)
        for member in members { try remove(member, force: force, removesVolumes: true, timeout: timeout) }
        // Only containers have files of other users; a pod goes also where there is no namespace for them.
        if !members.isEmpty || sandbox(record.id) != nil { try enterUserNamespace() }
        let lock = try lock(record.id)
        stopSandbox(record.id)
        if File.exists(paths.pod(record.id)) {
            try attempt("remove the pod", record.name) { () throws(Errno) in
                try File.rename(paths.pod(record.id), "\(paths.trash)/\(record.id)")
            }
        }
        nameTable.release(record.name, of: .pod(record.id))
        if record.hasInfra { nameTable.release(record.infraName, of: .pod(record.id)) }
        removeLock(record.id, lock)
        emptyTrash()
    }

    /// After a member has ended: the pod's hosts file forgets it, and with `--exit-policy stop` the last one takes the
    /// infra container with it. Called by the member's monitor.
    func memberEnded(_ record: ContainerRecord, _ pod: PodRecord) {
        if pod.managesHosts { editHosts(pod, removing: record.name) }
        guard pod.exitPolicy == "stop", pod.hasInfra else { return }
        let others = ((try? members(of: pod.id)) ?? []).filter { $0.record.id != record.id && $0.isRunning }
        if others.isEmpty { try? endInfra(pod) }
    }

    private func forEachMember(
        _ pod: Pod, reversed: Bool = false, parallel: Bool = false, _ body: (Container) throws(EngineError) -> Void
    ) throws(EngineError) {
        var failures: [EngineError] = []
        let members = reversed ? pod.members.reversed() : pod.members
        if parallel, members.count > 1 {
            failures = inChildren(members, body)
        } else {
            for member in members {
                do throws(EngineError) { try body(member) } catch {
                    // Removed by itself meanwhile (--rm).
                    if error.kind != .noSuchContainer { failures.append(error) }
                }
            }
        }
        guard let first = failures.first else { return }
        let lines = failures.map(\.message)
        throw EngineError(
            failures.count == 1
                ? first.message : "\(failures.count) errors occurred:\n\t* " + lines.joined(separator: "\n\t* "),
            exitCode: first.exitCode, kind: first.kind)
    }

    /// Does `body` for each member in a child process of its own: this process must not have threads.
    private func inChildren(
        _ members: [Container], _ body: (Container) throws(EngineError) -> Void
    ) -> [EngineError] {
        var children: [(pid: Int32, answer: OwnedAnswer)] = []
        var failures: [EngineError] = []
        for member in members {
            guard let pipe = try? PipePair.make().release(), let pid = try? Process.fork() else {
                do throws(EngineError) { try body(member) } catch { failures.append(error) }
                continue
            }
            if pid == 0 {
                do throws(EngineError) { try body(member) } catch {
                    if error.kind != .noSuchContainer { _ = try? File.writeAll(pipe.write, Array(error.message.utf8)) }
                }
                Process.exitNow(0)
            }
            _ = OwnedFD(pipe.write)
            children.append((pid, OwnedAnswer(OwnedFD(pipe.read))))
        }
        for child in children {
            let text = child.answer.text()
            _ = try? Process.wait(pid: child.pid)
            if !text.isEmpty { failures.append(EngineError(text)) }
        }
        return failures
    }
}

/// The read end of a child's answer, in a list.
private final class OwnedAnswer {
    private let fd: OwnedFD
    init(_ fd: consuming OwnedFD) { self.fd = fd }
    func text() -> String { String(decoding: (try? File.readAll(fd, limit: 64 << 10)) ?? [], as: UTF8.self) }
}
