// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// The container's controlling terminal: pty(7), made in the container's own devpts.
enum ChildTerminal {
    static func open(_ plan: UnsafePointer<ChildPlan>) {
        let master = samara_openat(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0)
        if master < 0 { ChildReport.fail(plan, .terminal, "/dev/pts/ptmx") }
        var unlocked: Int32 = 0
        if samara_ioctl_pointer(master, UInt(TIOCSPTLCK_VALUE), &unlocked) != 0 {
            ChildReport.fail(plan, .terminal, "/dev/pts/ptmx")
        }
        // The peer by descriptor, not by the name /dev/pts/N, which an image could have replaced (CVE-2025-52565).
        let slave = samara_ioctl_value(master, UInt(TIOCGPTPEER_VALUE), UInt(O_RDWR | O_NOCTTY | O_CLOEXEC))
        if slave < 0 { ChildReport.fail(plan, .terminal, "/dev/pts") }
        if !ChildReport.sendTerminal(plan, master) { ChildReport.fail(plan, .terminal, "/dev/pts/ptmx") }
        close(master)
        if samara_ioctl_value(slave, UInt(TIOCSCTTY_VALUE), 0) != 0
            || dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0
        {
            ChildReport.fail(plan, .terminal, "/dev/console")
        }
        if plan.pointee.mountPoint != nil { bindConsole(plan, slave) }
        close(slave)
    }

    private static func bindConsole(_ plan: UnsafePointer<ChildPlan>, _ slave: Int32) {
        let fd = samara_openat(
            AT_FDCWD, "/dev/console", O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)
        if fd >= 0 { close(fd) }
        let target = samara_openat(AT_FDCWD, "/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0)
        let tree = samara_open_tree(
            slave, "", UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_EMPTY_PATH))
        if target < 0 || tree < 0
            || samara_move_mount(tree, "", target, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) != 0
        {
            ChildReport.fail(plan, .terminal, "/dev/console")
        }
        close(tree)
        close(target)
    }
}
