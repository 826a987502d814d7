// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// A container's mount namespace as the mark of its processes, where a pid namespace is shared and no cgroup can be
/// used (a rootless user on a host without delegation).
enum MountNamespace {
    /// The inode of the namespace of `pid`; nil if the process is gone.
    static func of(_ pid: Int32) -> UInt64? { (try? File.status("/proc/\(pid)/ns/mnt"))?.inode }

    /// Kills every process in the namespace with this inode. Repeats while it finds some, because a process may fork
    /// between being listed and being killed; the caller is root of a user namespace that owns them.
    static func killMembers(_ inode: UInt64) {
        for _ in 0..<100 {
            var found = false
            for name in (try? Directory.names("/proc")) ?? [] {
                guard let pid = Int32(name), pid > 1, of(pid) == inode, let pidfd = try? Process.openDescriptor(pid),
                    // Still the same process after the open.
                    of(pid) == inode
                else { continue }
                found = true
                try? Process.signal(pidfd, SIGKILL)
            }
            if !found { return }
            Process.sleep(milliseconds: 1)
        }
    }
}
