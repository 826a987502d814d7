// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// A container's /dev: a new tmpfs filled through its own descriptor. Nobody else can have put a link into it yet, so
/// names below it need no openat2: per device one mknod of an empty file, one clone of the host's node, one move.
enum ChildDevices {
    /// Mounts the tmpfs at `dev` and makes what belongs there; returns the tmpfs's descriptor, which the caller closes.
    static func assemble(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ tree: Int32) {
        // An image whose /dev is a link must not receive the devices elsewhere (CVE-2026-41579).
        let target = ChildPath.target(plan, root, "dev", file: false)
        var status = stat()
        if target < 0 || fstat(target, &status) != 0 || status.st_mode & 0o170000 != 0o040000
            || ChildPath.isLink(root, "dev")
        {
            ChildReport.fail(plan, .deviceNodes, "/dev", errno: samara_errno() != 0 ? samara_errno() : ENOTDIR)
        }
        if samara_move_mount(tree, "", target, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) != 0 {
            ChildReport.fail(plan, .deviceNodes, "/dev")
        }
        close(target)
        for name in plan.pointee.deviceDirectories where mkdirat(tree, name, 0o755) != 0 {
            ChildReport.fail(plan, .deviceNodes, name)
        }
        for name in plan.pointee.deviceNodes { bind(plan, tree, name) }
        // OCI runtime-spec, config-linux.md, "Dev symbolic links".
        link(plan, tree, "/proc/self/fd", "fd")
        link(plan, tree, "/proc/self/fd/0", "stdin")
        link(plan, tree, "/proc/self/fd/1", "stdout")
        link(plan, tree, "/proc/self/fd/2", "stderr")
        link(plan, tree, "pts/ptmx", "ptmx")
        link(plan, tree, "/proc/kcore", "core")
    }

    private static func bind(_ plan: UnsafePointer<ChildPlan>, _ directory: Int32, _ node: DeviceNode) {
        let tree = samara_open_tree(AT_FDCWD, node.source, UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC))
        if tree < 0 { ChildReport.fail(plan, .deviceNodes, node.source) }
        if mknodat(directory, node.name, 0o100644, 0) != 0
            || samara_move_mount(tree, "", directory, node.name, UInt32(MOVE_MOUNT_F_EMPTY_PATH)) != 0
        {
            ChildReport.fail(plan, .deviceNodes, node.source)
        }
        close(tree)
    }

    private static func link(_ plan: UnsafePointer<ChildPlan>, _ directory: Int32, _ target: CText, _ name: CText) {
        if symlinkat(target, directory, name) != 0 { ChildReport.fail(plan, .deviceNodes, name) }
    }
}
