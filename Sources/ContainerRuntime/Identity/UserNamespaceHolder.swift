// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Why a user namespace could not be made or joined: a whole sentence with the remedy.
public struct IdentityError: Error, Sendable {
    public var message: String
}

/// The per-user process that keeps the user namespace with the subordinate ids alive.
///
/// newuidmap and newgidmap cost 3 to 5 ms together, so they run once per user, not once per container. The holder
/// sleeps; whoever needs the namespace joins it with setns. If it dies, running containers keep the namespace and the
/// next command puts a new holder into it; if none runs, the new holder makes a new one, whose map, and so every file's
/// owner, is the same.
public struct UserNamespaceHolder: Sendable {
    private let identityPath: String
    private let lockPath: String

    /// - Parameter directory: the run directory, on a filesystem that does not outlive a boot.
    public init(directory: String) {
        identityPath = "\(directory)/holder"
        lockPath = "\(directory)/holder.lock"
    }

    /// Makes this process root of the user's namespace. Starts the holder if there is none.
    ///
    /// - Parameter survivors: Processes that may live in the namespace of a holder that was killed; asked only then.
    public func join(survivors: () -> [ProcessIdentity] = { [] }) throws(IdentityError) {
        var attempts = 5
        while true {
            let pidfd = try descriptor(survivors)
            do throws(LaunchError) {
                try Launch.join(pidfd, .user, name: "the user namespace holder")
                return
            } catch {
                // A command that removed the last container may have ended it meanwhile: see `stop`.
                attempts -= 1
                if error.errno != .noSuchProcess || attempts == 0 { throw IdentityError(message: error.message) }
            }
        }
    }

    /// A pidfd of the holder, started if there is none.
    private func descriptor(_ survivors: () -> [ProcessIdentity]) throws(IdentityError) -> OwnedFD {
        if let pidfd = running() { return pidfd }
        let lock: FileLock
        do { lock = try FileLock.acquire(lockPath) } catch {
            throw IdentityError(message: "cannot lock \(lockPath): \(error.text)")
        }
        // Another command may have made it while this one waited.
        if let pidfd = running() { return pidfd }
        return try start(LostNamespace.find(survivors()), holding: lock)
    }

    /// The holder's process, if it runs.
    public var identity: ProcessIdentity? { record.flatMap { $0.process.isAlive ? $0.process : nil } }

    private var record: HolderRecord? {
        (try? File.readRecord(identityPath, limit: 64 << 10)).flatMap { HolderRecord($0) }
    }

    /// The id map of a namespace that is nested in the holder's and has the same ids. After `join`.
    public func nestedMap() throws(Errno) -> IDMap {
        if let map = HolderRecord.joined?.map { return map }
        return try IDMap.identity()
    }

    /// Ends the holder, when nothing needs it. Whoever is in its namespace already stays there.
    public func stop() {
        // Under the lock: the record that is removed must not be a new holder's.
        guard running() != nil, let lock = try? FileLock.acquire(lockPath), let pidfd = running() else { return }
        try? Process.signal(pidfd, SIGKILL)
        _ = Process.waitForEnd(pidfd, milliseconds: 1000)
        try? File.unlink(identityPath)
        extendLifetime(lock)
    }

    private func running() -> OwnedFD? {
        guard let record, let pidfd = try? record.process.open() else { return nil }
        HolderRecord.joined = record
        return pidfd
    }

    // MARK: Starting

    /// - Parameter lost: the namespace to hold again; nil for a new one.
    private func start(
        _ lost: consuming OwnedFD?, holding lock: borrowing FileLock
    ) throws(IdentityError) -> OwnedFD {
        let lost = lost.take()?.release() ?? -1
        defer { if lost >= 0 { close(lost) } }
        let map = lost >= 0 ? nil : try HolderMap.forThisUser()
        var mapFailure: IdentityError?
        do throws(Errno) {
            // The child says that it has unshared, then waits for its map; the parent's death ends the wait.
            let pair = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
            let pid = try Process.fork()
            if pid == 0 { UserNamespaceHolder.runHolder(pair.second, parentEnd: pair.first, lost: lost) }
            let mine = OwnedFD(pair.first)
            _ = OwnedFD(pair.second)
            let pidfd = try Process.openDescriptor(pid)
            let answer = try UnixSocket.receive(mine.raw, limit: 8)
            guard answer.bytes.first == 0 else {
                _ = try? Process.wait(pid: pid)
                throw Errno(rawValue: Int32(answer.bytes.first ?? UInt8(EIO)))
            }
            do throws(IdentityError) { try map?.write(to: pid) } catch {
                mapFailure = error
                try? Process.signal(pidfd, SIGKILL)
                _ = try? Process.wait(pid: pid)
                throw .notPermitted
            }
            guard let identity = ProcessIdentity(pid: pid) else { throw .noSuchProcess }
            let record = HolderRecord(process: identity, map: try IDMap.nested(in: "\(pid)"))
            // In place, under the lock: a temporary file would outlive a kill before its rename. One write of so few bytes
            // shows whole or not at all, and who reads nothing waits for the lock.
            try File.write(identityPath, record.bytes, mode: 0o600)
            HolderRecord.joined = record
            // Only now does it stay: a holder that no file names would never be found again.
            try UnixSocket.send(mine.raw, [1])
            _ = try UnixSocket.receive(mine.raw, limit: 8)
            return pidfd
        } catch {
            throw mapFailure ?? UserNamespaceHolder.explain(error)
        }
    }

    /// The child: a new user namespace, or `lost` if that is not -1, then nothing for ever.
    private static func runHolder(_ socket: Int32, parentEnd: Int32, lost: Int32) -> Never {
        // Its own copy of the parent's end would keep the end of file away that tells of the parent's death.
        _ = OwnedFD(parentEnd)
        if (lost >= 0 ? setns(lost, CLONE_NEWUSER) : unshare(CLONE_NEWUSER)) != 0 {
            var code = UInt8(truncatingIfNeeded: samara_errno())
            _ = send(socket, &code, 1, Int32(MSG_NOSIGNAL))
            Process.exitNow(1)
        }
        var byte: UInt8 = 0
        _ = send(socket, &byte, 1, Int32(MSG_NOSIGNAL))
        guard recv(socket, &byte, 1, 0) == 1 else { Process.exitNow(1) }
        _ = samara_setresgid(0, 0, 0)
        _ = samara_setresuid(0, 0, 0)
        _ = setsid()
        _ = chdir("/")
        Process.setTitle("samara: holder")
        // It stays dumpable: setns by pidfd asks for ptrace access to the process (setns(2), pidfd_open(2)).
        _ = send(socket, &byte, 1, Int32(MSG_NOSIGNAL))
        // The caller's terminal, pipes and lock must not stay open for the life of this process.
        _ = samara_close_range(0, .max, 0)
        Process.ignoreSignals([SIGHUP, SIGINT, SIGQUIT, SIGPIPE])
        while true { pause() }
    }

    private static func explain(_ error: Errno) -> IdentityError {
        switch error {
        case .notPermitted, .permissionDenied:
            IdentityError(
                message:
                    "cannot create a user namespace: \(error.text); allow it with 'sysctl kernel.unprivileged_userns_clone=1' or, on Ubuntu, 'sysctl kernel.apparmor_restrict_unprivileged_userns=0'"
            )
        case .noSpace, Errno(rawValue: EUSERS):
            IdentityError(
                message:
                    "cannot create a user namespace: the limit in /proc/sys/user/max_user_namespaces is reached; raise it with 'sysctl user.max_user_namespaces=15000'"
            )
        case .invalidArgument where Process.threadCount() != 1:
            IdentityError(message: "cannot create a user namespace: this process has more than one thread")
        default:
            IdentityError(message: "cannot create a user namespace: \(error.text)")
        }
    }
}
