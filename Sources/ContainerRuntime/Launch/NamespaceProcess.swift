// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A copy of this process in new namespaces, which runs on without executing a program.
public enum NamespaceProcess {
    /// Clones into `namespaces`; with `.user` the map is this process's own, extent by extent.
    ///
    /// - Parameter body: what the copy does; it has the memory of this process and all its descriptors.
    /// - Returns: the child's pid and pidfd, once its id map is written.
    public static func start(
        _ namespaces: NamespaceSet, name: String, body: () -> Never
    ) throws(LaunchError) -> (pid: Int32, pidfd: Int32) {
        func failure(_ stage: LaunchStage, _ error: Errno) -> LaunchError {
            LaunchError(stage: stage, errno: error, subject: name)
        }
        let map: IDMap?
        let sync: (first: Int32, second: Int32)
        do throws(Errno) {
            map = namespaces.contains(.user) ? try IDMap.identity() : nil
            sync = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
        } catch {
            throw failure(.clone, error)
        }
        // Joining a namespace cleared the flag, and a process that is not dumpable hides its uid_map.
        if map != nil { _ = samara_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) }
        var pidfd: Int32 = -1
        let pid = withUnsafeMutablePointer(to: &pidfd) { pointer in
            var arguments = clone_args()
            arguments.flags = namespaces.rawValue | UInt64(CLONE_PIDFD)
            arguments.pidfd = UInt64(UInt(bitPattern: pointer))
            arguments.exit_signal = UInt64(SIGCHLD)
            return samara_clone3(&arguments, MemoryLayout<clone_args>.size)
        }
        if pid == 0 {
            Process.forgetIdentity()
            awaitMap(sync.second, sync.first)
            body()
        }
        let cloneError = lastErrno()
        let parentEnd = OwnedFD(sync.first)
        _ = OwnedFD(sync.second)
        if pid < 0 { throw failure(.clone, cloneError) }
        do throws(Errno) {
            if let map { try map.write(to: Int32(pid)) }
            try UnixSocket.send(parentEnd.raw, [1])
        } catch {
            let child = OwnedFD(pidfd)
            try? Process.signal(child, SIGKILL)
            _ = try? Process.wait(child)
            throw failure(.idMap, error)
        }
        return (Int32(pid), pidfd)
    }

    private static func awaitMap(_ socket: Int32, _ parentEnd: Int32) {
        close(parentEnd)
        var byte: UInt8 = 0
        guard recv(socket, &byte, 1, 0) == 1 else { Process.exitNow(1) }
        close(socket)
        _ = samara_setresgid(0, 0, 0)
        _ = samara_setresuid(0, 0, 0)
    }
}
