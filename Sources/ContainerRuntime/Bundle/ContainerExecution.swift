// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// What `exec` is asked for.
package struct ExecutionRequest {
    package var process: RuntimeProcess
    package var pidFile: String?
    package var consoleSocket: String?
    package var preservedDescriptors = 0
    package var isForeground = false
    package var ignoresPaused = false
    /// A cgroup below the container's own; empty is the container's.
    package var subgroup = ""
    package init(process: RuntimeProcess) { self.process = process }
}

/// A further process that runs in a container.
package struct ExecutedProcess: ~Copyable {
    package let pid: Int32
    package var pidfd: OwnedFD
    package var terminal: OwnedFD?
}

extension BundleContainer {
    /// Runs a further process; returns when its program has been executed.
    package func execute(_ request: ExecutionRequest, root: StateRoot, warn: @escaping (String) -> Void)
        throws(RuntimeError) -> ExecutedProcess
    {
        switch status {
        case .stopped, .creating: throw RuntimeError("cannot exec in a stopped container: container not running")
        case .paused where !request.ignoresPaused:
            throw RuntimeError("cannot exec in a paused container (use --ignore-paused to override)")
        default: break
        }
        let config = try self.config()
        if request.process.hasTerminal, request.consoleSocket == nil, !request.isForeground {
            throw RuntimeError("cannot allocate a terminal: a detached process needs --console-socket")
        }
        if request.consoleSocket != nil, !request.process.hasTerminal {
            throw RuntimeError("--console-socket is given but the process has no terminal")
        }
        let plan = try ProcessPlan(
            request.process, seccomp: config.linux.seccomp, personality: config.linux.personality,
            preservedDescriptors: request.preservedDescriptors, cache: root.path, warn: warn)
        let console: OwnedFD?
        if let path = request.consoleSocket {
            do { console = try UnixSocket.connect(path: path, type: Int32(samara_sock_stream)) } catch {
                throw RuntimeError("--console-socket: connect to", path, error)
            }
        } else {
            console = nil
        }
        var launched = try launch(plan, request.subgroup, config)
        if let console, let master = launched.terminal.take() {
            try describing("send the terminal to", request.consoleSocket ?? "") { () throws(Errno) in
                _ = try UnixSocket.send(console.raw, Array("/dev/ptmx".utf8), descriptors: [master.raw])
            }
        }
        if let pidFile = request.pidFile { try PIDFile.write(launched.pid, pidFile) }
        return launched
    }

    private func launch(_ plan: ProcessPlan, _ subgroup: String, _ config: RuntimeConfig) throws(RuntimeError)
        -> ExecutedProcess
    {
        let hasOwnUser = config.linux.has(.user)
        let target = try record.open()
        let sync: (first: Int32, second: Int32)
        do { sync = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release() } catch {
            throw RuntimeError("create", "the connection to the process", error)
        }
        let parentEnd = OwnedFD(sync.first)
        let namespaces = Int32(truncatingIfNeeded: record.namespaces)
        let (raw, id) = (target.raw, record.id)
        let process = try ContainerProcess.clone(
            join: { () throws(RuntimeError) in
                // All in one call and by pidfd: no path of a recycled pid, no order to get wrong.
                try SetupStep.check("join the namespaces of", id, setns(raw, namespaces))
                close(raw)
            }, oomScore: plan.process.oomScoreAdjustment, flags: 0, channel: (parentEnd.raw, sync.second)
        ) { ContainerExec(plan: plan, channel: sync.second, hasOwnUser: hasOwnUser).run() }
        _ = OwnedFD(sync.second)
        var terminal: OwnedFD?
        do throws(RuntimeError) {
            try group(subgroup).add(process.pid)
            try SetupStep.send(.go, parentEnd.raw)
            waiting: while true {
                switch try SetupStep.receive(parentEnd.raw) {
                case .terminal(let master): terminal = OwnedFD(master)
                case .listener(let fd): try SeccompAgent.hand(OwnedFD(fd), config, record, pid: process.pid)
                case .failure(let sentence): throw RuntimeError(sentence)
                case .endOfFile: break waiting
                case .ready, .go, .pid: throw RuntimeError("the process sent a message out of order")
                }
            }
            return ExecutedProcess(pid: process.pid, pidfd: process.pidfd, terminal: terminal.take())
        } catch {
            _ = CLinux.kill(process.pid, SIGKILL)
            _ = try? Process.wait(pid: process.pid)
            throw error
        }
    }

    private func group(_ subgroup: String) throws(RuntimeError) -> Cgroup {
        if subgroup.isEmpty || subgroup == "/" { return record.cgroup }
        if subgroup.split(separator: "/").contains("..") {
            throw RuntimeError("--cgroup: `\(subgroup)` must not contain `..`")
        }
        let suffix = subgroup.split(separator: "/").map { "/" + $0 }.joined()
        return Cgroup(directories: record.cgroup.directories.map { $0 + suffix })
    }
}

/// The process of an `exec`, born into the container's namespaces.
private struct ContainerExec {
    var plan: ProcessPlan
    var channel: Int32
    var hasOwnUser: Bool

    func run() -> Never {
        do throws(RuntimeError) {
            _ = samara_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0)
            guard case .go = try SetupStep.receive(channel) else { Process.exitNow(1) }
            if hasOwnUser {
                _ = samara_setresgid(0, 0, 0)
                _ = samara_setresuid(0, 0, 0)
            }
            _ = setsid()
            if plan.process.hasTerminal {
                let master = try ContainerTerminal.open(plan.process, bindsConsole: false)
                do { try SetupMessage.terminal(master.raw).send(channel) } catch {
                    throw RuntimeError("send", "the terminal", error)
                }
            }
            let entry = ProcessEntry(plan: plan, channel: channel)
            _ = samara_prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
            try entry.execute()
        } catch {
            _ = try? SetupMessage.failure(error.message).send(channel)
            Process.exitNow(1)
        }
    }
}
