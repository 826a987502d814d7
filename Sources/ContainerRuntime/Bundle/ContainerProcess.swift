// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// The namespaces of a config that exist already, in the order in which they can be joined.
struct NamespacePaths {
    var entries: [(kind: RuntimeNamespace.Kind, path: String)]

    /// The user namespace first, because it gives the privilege for what belongs to it.
    init(_ namespaces: [RuntimeNamespace]) {
        let paths = namespaces.compactMap { namespace in namespace.path.map { (kind: namespace.kind, path: $0) } }
        entries = paths.filter { $0.kind == .user } + paths.filter { $0.kind != .user }
    }

    /// Joins all of them: setns(2).
    func join() throws(RuntimeError) {
        var opened: [Int32] = []
        for entry in entries {
            let fd: OwnedFD
            do { fd = try File.open(entry.path, O_RDONLY) } catch {
                throw RuntimeError("open the \(entry.kind.rawValue) namespace", entry.path, error)
            }
            // NS_GET_NSTYPE: ioctl_ns(2).
            let type = samara_ioctl_value(fd.raw, 0xb703, 0)
            guard type >= 0, UInt64(UInt32(bitPattern: type)) == entry.kind.flag else {
                throw RuntimeError("linux.namespaces: `\(entry.path)` is not a \(entry.kind.rawValue) namespace")
            }
            opened.append(fd.release())
        }
        for (index, entry) in entries.enumerated() {
            try SetupStep.check(
                "join the \(entry.kind.rawValue) namespace", entry.path,
                setns(opened[index], Int32(truncatingIfNeeded: entry.kind.flag)))
            close(opened[index])
        }
    }
}

/// The processes of containers as children of this command.
enum ContainerProcess {
    struct Child: ~Copyable {
        let pid: Int32
        let pidfd: OwnedFD
    }

    /// Clones `body` into new namespaces after joining existing ones.
    ///
    /// Joining happens in an intermediate process, whose child becomes this command's by CLONE_PARENT: the command stays
    /// where it is, for its hooks and files, and a pid namespace can only be entered by being born into it.
    ///
    /// - Parameter oomScore: set before anything is joined; where nothing is, `body` sets it.
    static func clone(
        _ joined: NamespacePaths, oomScore: Int?, flags: UInt64, channel: (parent: Int32, child: Int32),
        body: () -> Never
    ) throws(RuntimeError) -> Child {
        try clone(
            join: joined.entries.isEmpty ? nil : { () throws(RuntimeError) in try joined.join() }, oomScore: oomScore,
            flags: flags, channel: channel, body: body)
    }

    static func clone(
        join: (() throws(RuntimeError) -> Void)?, oomScore: Int?, flags: UInt64,
        channel: (parent: Int32, child: Int32), body: () -> Never
    ) throws(RuntimeError) -> Child {
        guard let join else {
            let pid = cloneOnce(flags, body, closing: channel.parent)
            if pid < 0 { throw cloneFailure() }
            return try describing("open", "the container's process") { () throws(Errno) in
                Child(pid: pid, pidfd: try Process.openDescriptor(pid))
            }
        }
        let intermediate: Int32
        do { intermediate = try Process.fork() } catch { throw RuntimeError("fork", "the runtime", error) }
        if intermediate == 0 {
            close(channel.parent)
            do throws(RuntimeError) {
                try ProcessEntry.setOOMScore(oomScore)
                // Nobody inside may look into this process (CVE-2016-9962).
                if flags & UInt64(CLONE_NEWUSER) == 0 { _ = samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) }
                try join()
                let pid = cloneOnce(flags | UInt64(CLONE_PARENT), body, closing: -1)
                if pid < 0 { throw cloneFailure() }
                try SetupStep.send(.pid(pid), channel.child)
            } catch {
                _ = try? SetupMessage.failure(error.message).send(channel.child)
            }
            Process.exitNow(0)
        }
        let message = try SetupStep.receive(channel.parent)
        _ = try? Process.wait(pid: intermediate)
        switch message {
        case .pid(let pid):
            return try describing("open", "the container's process") { () throws(Errno) in
                Child(pid: pid, pidfd: try Process.openDescriptor(pid))
            }
        case .failure(let sentence): throw RuntimeError(sentence)
        default: throw RuntimeError("the runtime's intermediate process ended unexpectedly")
        }
    }

    private static func cloneOnce(_ flags: UInt64, _ body: () -> Never, closing: Int32) -> Int32 {
        var arguments = clone_args()
        arguments.flags = flags
        // clone3(2): with CLONE_PARENT the signal is that of the new parent's own birth and must be 0 here.
        arguments.exit_signal = flags & UInt64(CLONE_PARENT) != 0 ? 0 : UInt64(SIGCHLD)
        let pid = samara_clone3(&arguments, MemoryLayout<clone_args>.size)
        if pid == 0 {
            if closing >= 0 { close(closing) }
            body()
        }
        return Int32(pid)
    }

    private static func cloneFailure() -> RuntimeError {
        let error = lastErrno()
        switch error {
        case .notPermitted:
            return RuntimeError("create the namespaces: \(error.text); are user namespaces allowed for this user?")
        case .noSpace:
            return RuntimeError("create the namespaces: the limit of namespaces in /proc/sys/user is reached")
        default: return RuntimeError("create the namespaces: \(error.text)")
        }
    }
}
