// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// A container's /dev: a new tmpfs, attached at once and then the working directory. Nobody else can have put a link
/// into it yet, so names below it need no careful resolution: per device one mknod of an empty file and one bind mount
/// of the host's node.
enum ChildDevices {
    /// Mounts `tree` at /dev, goes there and makes what belongs there.
    static func assemble(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ tree: Int32) {
        let target = openTarget(plan, root)
        if samara_move_mount(tree, "", target, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) != 0
            || fchdir(tree) != 0
        {
            ChildReport.fail(plan, .deviceNodes, "/dev")
        }
        for name in plan.pointee.deviceDirectories where mkdirat(AT_FDCWD, name, 0o755) != 0 {
            ChildReport.fail(plan, .deviceNodes, name)
        }
        for node in plan.pointee.deviceNodes {
            if mknodat(AT_FDCWD, node.name, 0o100644, 0) != 0
                || CLinux.mount(node.source, node.name, nil, UInt(MS_BIND_VALUE), nil) != 0
            {
                ChildReport.fail(plan, .deviceNodes, node.source)
            }
        }
        // OCI runtime-spec, config-linux.md, "Dev symbolic links".
        link(plan, "/proc/self/fd", "fd")
        link(plan, "/proc/self/fd/0", "stdin")
        link(plan, "/proc/self/fd/1", "stdout")
        link(plan, "/proc/self/fd/2", "stderr")
        link(plan, "pts/ptmx", "ptmx")
        link(plan, "/proc/kcore", "core")
    }

    /// A mount on a name of the new /dev.
    static func mount(_ plan: UnsafePointer<ChildPlan>, _ step: MountStep) {
        if step.kind == .filesystem {
            // The MS_* flags are the MOUNT_ATTR_* ones here: nosuid, nodev, noexec, read-only.
            if CLinux.mount(step.source, step.destination, step.source, UInt(step.attributes), step.data) != 0 {
                ChildReport.fail(plan, .mounts, step.destination)
            }
            return
        }
        var attributes = mount_attr()
        attributes.attr_set = step.attributes
        attributes.propagation = step.propagation
        if CLinux.mount(step.source, step.destination, nil, UInt(MS_BIND_VALUE), nil) != 0
            || samara_mount_setattr(AT_FDCWD, step.destination, 0, &attributes, MemoryLayout<mount_attr>.size) != 0
        {
            ChildReport.fail(plan, .mounts, step.destination)
        }
    }

    /// An image whose /dev is a link must not receive the devices elsewhere: CVE-2026-41579.
    private static func openTarget(_ plan: UnsafePointer<ChildPlan>, _ root: Int32) -> Int32 {
        let flags = O_PATH | O_DIRECTORY | O_NOFOLLOW
        var target = ChildPath.open(root, "dev", flags)
        if target < 0, samara_errno() == ENOENT, mkdirat(root, "dev", 0o755) == 0 {
            target = ChildPath.open(root, "dev", flags)
        }
        if target < 0 { ChildReport.fail(plan, .deviceNodes, "/dev") }
        return target
    }

    private static func link(_ plan: UnsafePointer<ChildPlan>, _ target: CText, _ name: CText) {
        if symlinkat(target, AT_FDCWD, name) != 0 { ChildReport.fail(plan, .deviceNodes, name) }
    }
}
