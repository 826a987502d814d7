// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A container's process that runs: its program has been executed.
public struct LaunchedProcess: ~Copyable {
    public let pid: Int32
    public let pidfd: OwnedFD
    /// The pty master of a container with a terminal.
    public var terminal: OwnedFD?
    /// The mount namespace of a container with a user namespace of its own; nil where it could not be opened. As long as
    /// this is open, the end of the process does not have to wait until all mounts are gone.
    public var mountNamespace: OwnedFD?

    /// The process's descriptor alone.
    public consuming func descriptor() -> OwnedFD { pidfd }
}

/// The parent's side of a launch.
public enum Launch {
    /// Joins the namespaces of the process behind `pidfd`: setns(2), all in one call.
    ///
    /// A process with a second thread gets EINVAL for the user namespace whatever it does, so that is said first.
    public static func join(_ pidfd: borrowing OwnedFD, _ namespaces: NamespaceSet, name: String) throws(LaunchError) {
        if setns(pidfd.raw, Int32(truncatingIfNeeded: namespaces.rawValue)) != 0 {
            let error = lastErrno()
            if error == .invalidArgument, Process.threadCount() != 1 {
                throw LaunchError(stage: .joinNamespaces, errno: .deadlock, subject: "\(name) (more than one thread)")
            }
            throw LaunchError(stage: .joinNamespaces, errno: error, subject: name)
        }
    }

    /// Clones the child that walks `plan` and returns when its program runs, or throws why it does not.
    ///
    /// The caller is in the namespaces that the container shares; `streams` are 0, 1 and 2 of a container without
    /// terminal and must be numbered 3 or above.
    public static func start(
        _ plan: borrowing LaunchPlan, streams: LaunchPlan.StandardStreams
    ) throws(LaunchError) -> LaunchedProcess {
        let name = plan.name
        func failure(_ stage: LaunchStage) -> LaunchError {
            LaunchError(stage: stage, errno: lastErrno(), subject: name)
        }
        let sync: (first: Int32, second: Int32)
        do { sync = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release() } catch {
            throw LaunchError(stage: .clone, errno: error, subject: name)
        }
        var child = plan.child
        child.syncSocket = sync.second
        child.parentSyncSocket = sync.first
        child.standardInput = streams.input
        child.standardOutput = streams.output
        child.standardError = streams.error
        // A dumpable process's /proc/PID/uid_map can be written by its parent; joining a namespace cleared the flag.
        if plan.idMap != nil { _ = samara_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) }

        var pidfd: Int32 = -1
        let pid = withUnsafeMutablePointer(to: &pidfd) { pointer in
            var arguments = clone_args()
            arguments.flags = plan.cloneFlags | UInt64(CLONE_PIDFD)
            arguments.pidfd = UInt64(UInt(bitPattern: pointer))
            arguments.exit_signal = UInt64(SIGCHLD)
            return samara_clone3(&arguments, MemoryLayout<clone_args>.size)
        }
        if pid == 0 {
            withUnsafePointer(to: child) { ChildSequence.run($0) }
        }
        let cloneFailure = failure(.clone)
        // The child holds the other end; ours must go, or its exec would never show as an end of file.
        let parentEnd = OwnedFD(sync.first)
        _ = OwnedFD(sync.second)
        if pid < 0 { throw cloneFailure }
        var launched = LaunchedProcess(pid: Int32(pid), pidfd: OwnedFD(pidfd), terminal: nil, mountNamespace: nil)
        do throws(LaunchError) {
            try handshake(plan, parentEnd, &launched)
        } catch {
            _ = try? Process.signal(launched.pidfd, SIGKILL)
            _ = try? Process.wait(launched.pidfd)
            throw error
        }
        return launched
    }

    private static func handshake(
        _ plan: borrowing LaunchPlan, _ parentEnd: borrowing OwnedFD, _ launched: inout LaunchedProcess
    ) throws(LaunchError) {
        if let map = plan.idMap {
            do throws(Errno) {
                try map.write(to: launched.pid)
                // Before the child makes itself undumpable, which closes its /proc entry to everybody.
                launched.mountNamespace = try? File.open("/proc/\(launched.pid)/ns/mnt", O_RDONLY)
                try UnixSocket.send(parentEnd.raw, [1])
            } catch {
                throw LaunchError(stage: .idMap, errno: error, subject: plan.name)
            }
        }
        while true {
            let message: UnixSocket.Message
            do {
                message = try UnixSocket.receive(
                    parentEnd.raw, limit: MemoryLayout<LaunchRecord>.size, descriptorLimit: 1)
            } catch {
                throw LaunchError(stage: .clone, errno: error, subject: plan.name)
            }
            if message.bytes.isEmpty { return }
            guard message.bytes.count == MemoryLayout<LaunchRecord>.size else {
                throw LaunchError(stage: .clone, errno: .badMessage, subject: plan.name)
            }
            let record = message.bytes.withUnsafeBytes { $0.loadUnaligned(as: LaunchRecord.self) }
            if record.kind == LaunchRecord.terminal, let descriptor = message.descriptors.first {
                launched.terminal = OwnedFD(descriptor)
                continue
            }
            let length = Int(max(0, min(record.subjectLength, 240)))
            var subject = record.subject
            let text = withUnsafeBytes(of: &subject) { String(decoding: $0[..<length], as: UTF8.self) }
            throw LaunchError(
                stage: LaunchStage(rawValue: record.stage) ?? .clone, errno: Errno(rawValue: record.errno),
                subject: text.isEmpty ? plan.name : text)
        }
    }
}
