// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// The first process of a bundle's container, from clone to execve. It runs in a copy of the single-threaded command's
/// memory, so ordinary code is safe here; every descriptor it opens is close-on-exec.
struct ContainerInit {
    var config: RuntimeConfig
    var bundle: String
    var rootfs: String
    var plan: ProcessPlan?
    /// The state that hooks read, without the pid, which is not known before the clone.
    var record: ContainerRecord
    var entersRootByPivot: Bool
    var joinsNewKeyring: Bool
    /// Whether it is in a user namespace that is not the command's.
    var hasOwnUser: Bool
    /// Whether the command is unprivileged, so that only a dumpable process can be joined by `exec`.
    var isUnprivileged: Bool
    /// CLONE_NEW* of what this process makes itself while its id maps are being written.
    var ownNamespaces: UInt64
    var mapped: MappedMounts
    /// Descriptors: the connection to `create`, and the listener for `start`; -1 when the same command starts it.
    var channel: Int32
    var listener: Int32

    func run() -> Never {
        var channel = self.channel
        do throws(RuntimeError) {
            try assemble()
            try SetupStep.send(.ready, channel)
            if listener >= 0 {
                CLinux.close(channel)
                channel = try awaitStart()
            } else {
                guard case .go = try SetupStep.receive(channel) else { Process.exitNow(1) }
            }
            guard let plan else { throw RuntimeError("process: is required to start a container") }
            try HookRunner.run(.startContainer, config.hooks, state: record.state(.created))
            try ProcessEntry(plan: plan, channel: channel).execute()
        } catch {
            _ = try? SetupMessage.failure(error.message).send(channel)
            Process.exitNow(1)
        }
    }

    private func assemble() throws(RuntimeError) {
        // A command that dies during the set-up takes this process with it.
        _ = samara_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0)
        if ownNamespaces != 0 {
            try SetupStep.check(
                "create the namespaces of", record.id, samara_unshare(Int32(truncatingIfNeeded: ownNamespaces)))
        }
        guard case .go = try SetupStep.receive(channel) else { Process.exitNow(1) }
        // Where namespaces are joined, the process that joined them has done it before.
        if !config.linux.joinsNamespaces { try ProcessEntry.setOOMScore(plan?.process.oomScoreAdjustment) }
        // The maps are written: nobody needs /proc/PID of this process any more (CVE-2016-9962).
        _ = samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        if hasOwnUser {
            // EINVAL where the map has no root: the process keeps its id and, as the namespace's maker, its privilege.
            _ = samara_setresgid(0, 0, 0)
            _ = samara_setresuid(0, 0, 0)
            _ = samara_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0)
        }
        _ = setsid()
        // After the move into the cgroup, which becomes this namespace's root.
        if config.linux.isNew(.cgroup) {
            try SetupStep.check("create the cgroup namespace of", record.id, samara_unshare(CLONE_NEWCGROUP))
        }
        try enterTimeNamespace()
        if joinsNewKeyring, samara_join_session_keyring() < 0 {
            // No keyrings in this kernel, a filter around it, or the user's quota: none is the container's fault.
            let error = lastErrno()
            if ![ENOSYS, EDQUOT, EPERM, EACCES].contains(error.rawValue) {
                throw RuntimeError("join", "a new session keyring", error)
            }
        }
        if let name = config.hostname, !name.isEmpty {
            try SetupStep.check("set the host name", name, sethostname(name, name.utf8.count))
        }
        if let name = config.domainname, !name.isEmpty {
            try SetupStep.check("set the domain name", name, samara_setdomainname(name, name.utf8.count))
        }
        let root = BundleRoot(
            config: config, bundle: bundle, rootfs: rootfs, entersByPivot: entersRootByPivot, mapped: mapped)
        try root.enter { () throws(RuntimeError) in
            var now = record
            now.process.pid = config.linux.isNew(.pid) ? hostPID() : Process.id
            try HookRunner.run(.createContainer, config.hooks, state: now.state(.creating))
        }
        if let plan {
            if plan.process.hasTerminal { try openTerminal(plan) }
            try ProcessEntry(plan: plan, channel: channel).prepare()
        }
        // From here on nobody of ours stays: the process belongs to whoever adopts it.
        _ = samara_prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
    }

    /// The pid that the host knows this process by, as its own /proc link says (before the root is entered).
    private func hostPID() -> Int32 {
        (try? File.readLink("/proc/self")).flatMap { Int32($0) } ?? Process.id
    }

    /// The process itself enters its new time namespace at execve (Linux 6.1): time_namespaces(7).
    private func enterTimeNamespace() throws(RuntimeError) {
        guard config.linux.isNew(.time) else { return }
        try SetupStep.check("create the time namespace of", record.id, samara_unshare(0x80))
        for offset in config.linux.timeOffsets {
            try describing("set the clock offset", offset.clock) { () throws(Errno) in
                try File.write(
                    "/proc/self/timens_offsets",
                    Array("\(offset.clock) \(offset.seconds) \(offset.nanoseconds)\n".utf8), flags: 0)
            }
        }
    }

    private func openTerminal(_ plan: ProcessPlan) throws(RuntimeError) {
        let master = try ContainerTerminal.open(plan.process, bindsConsole: true)
        do { try SetupMessage.terminal(master.raw).send(channel) } catch {
            throw RuntimeError("send", "the terminal", error)
        }
    }

    // MARK: Waiting

    /// Waits for `start` to connect; its connection is where failures go from here on. A `start` that dies before its
    /// word leaves the container as it was.
    private func awaitStart() throws(RuntimeError) -> Int32 {
        if isUnprivileged { _ = samara_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) }
        while true {
            let connection: Int32
            do { connection = try retrying { samara_accept_unix(listener, Int32(samara_sock_cloexec)) } } catch {
                throw RuntimeError("wait for", "start", error)
            }
            if case .go? = try? SetupMessage.receive(connection) {
                _ = samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
                CLinux.close(listener)
                return connection
            }
            CLinux.close(connection)
        }
    }
}

/// Small steps of a set-up with their sentences.
enum SetupStep {
    static func check(_ operation: String, _ subject: String, _ result: Int32) throws(RuntimeError) {
        if result < 0 { throw RuntimeError(operation, subject, lastErrno()) }
    }

    static func send(_ message: SetupMessage, _ socket: Int32) throws(RuntimeError) {
        do { try message.send(socket) } catch { throw RuntimeError("report to", "the runtime", error) }
    }

    static func receive(_ socket: Int32) throws(RuntimeError) -> SetupMessage {
        do { return try SetupMessage.receive(socket) } catch { throw RuntimeError("hear from", "the container", error) }
    }
}
