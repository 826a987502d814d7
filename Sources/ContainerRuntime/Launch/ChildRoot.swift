// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Assembles the container's root filesystem and makes it the child's own: mounts by descriptor
/// (fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2)), so that no path is resolved twice.
enum ChildRoot {
    static func assemble(_ plan: UnsafePointer<ChildPlan>) {
        let root = mountRoot(plan)
        for step in plan.pointee.mounts { perform(plan, root, step) }
        // Before proc/sys turns read-only.
        for sysctl in plan.pointee.sysctls { set(plan, root, sysctl) }
        for path in plan.pointee.readOnlyPaths { makeReadOnly(plan, root, path) }
        for path in plan.pointee.maskedPaths { mask(plan, root, path) }
        pivot(plan, root)
    }

    // MARK: The root itself

    private static func mountRoot(_ plan: UnsafePointer<ChildPlan>) -> Int32 {
        guard let mountPoint = plan.pointee.mountPoint else {
            ChildReport.fail(plan, .rootFilesystem, nil, errno: EINVAL)
        }
        let tree: Int32
        if let directory = plan.pointee.rootDirectory {
            tree = samara_open_tree(
                AT_FDCWD, directory, UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_RECURSIVE_VALUE))
            if tree < 0 { ChildReport.fail(plan, .rootFilesystem, directory) }
        } else {
            tree = mountOverlay(plan, mountPoint)
        }
        if tree >= 0 {
            if samara_move_mount(tree, "", AT_FDCWD, mountPoint, UInt32(MOVE_MOUNT_F_EMPTY_PATH)) != 0 {
                ChildReport.fail(plan, .rootFilesystem, mountPoint)
            }
            return tree
        }
        let root = samara_openat(AT_FDCWD, mountPoint, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
        if root < 0 { ChildReport.fail(plan, .rootFilesystem, mountPoint) }
        return root
    }

    /// The overlay as a detached mount; -1 when it had to be attached directly (kernels before 6.5).
    private static func mountOverlay(_ plan: UnsafePointer<ChildPlan>, _ mountPoint: CText) -> Int32 {
        if let base = plan.pointee.overlayBase, chdir(base) != 0 { ChildReport.fail(plan, .rootFilesystem, base) }
        let context = samara_fsopen("overlay", UInt32(FSOPEN_CLOEXEC))
        if context < 0 { ChildReport.fail(plan, .rootFilesystem, nil) }
        // trusted.* attributes need CAP_SYS_ADMIN of the initial namespace: overlayfs.rst, "userxattr".
        if samara_fsconfig(context, UInt32(FSCONFIG_SET_FLAG.rawValue), "userxattr", nil, 0) != 0 {
            ChildReport.fail(plan, .rootFilesystem, nil)
        }
        for layer in plan.pointee.overlayLower {
            if samara_fsconfig(context, UInt32(FSCONFIG_SET_STRING.rawValue), "lowerdir+", layer, 0) != 0 {
                if samara_errno() == EINVAL, layer == plan.pointee.overlayLower[0] {
                    close(context)
                    return mountOverlayLegacy(plan, mountPoint)
                }
                ChildReport.fail(plan, .rootFilesystem, layer)
            }
        }
        if samara_fsconfig(context, UInt32(FSCONFIG_SET_STRING.rawValue), "upperdir", plan.pointee.overlayUpper, 0) != 0
            || samara_fsconfig(context, UInt32(FSCONFIG_SET_STRING.rawValue), "workdir", plan.pointee.overlayWork, 0)
                != 0
            || samara_fsconfig(context, UInt32(FSCONFIG_CMD_CREATE.rawValue), nil, nil, 0) != 0
        {
            ChildReport.fail(plan, .rootFilesystem, plan.pointee.overlayUpper)
        }
        let tree = samara_fsmount(context, UInt32(FSMOUNT_CLOEXEC), UInt32(MOUNT_ATTR_NODEV))
        if tree < 0 { ChildReport.fail(plan, .rootFilesystem, nil) }
        close(context)
        return tree
    }

    private static func mountOverlayLegacy(_ plan: UnsafePointer<ChildPlan>, _ mountPoint: CText) -> Int32 {
        if mount("overlay", mountPoint, "overlay", UInt(MS_NODEV_VALUE), plan.pointee.overlayLegacyOptions) != 0 {
            ChildReport.fail(plan, .rootFilesystem, mountPoint)
        }
        return -1
    }

    // MARK: Mounts in order

    private static func perform(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ step: MountStep) {
        let isNew = step.kind == .filesystem || step.kind == .devices
        let tree = isNew ? makeFilesystem(plan, step) : cloneTree(plan, step)
        if step.kind == .devices {
            ChildDevices.assemble(plan, root, tree)
        } else {
            let target = ChildPath.target(plan, root, step.destination, file: step.targetIsFile)
            if target < 0
                || samara_move_mount(
                    tree, "", target, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) != 0
            {
                ChildReport.fail(plan, .mounts, step.destination)
            }
            close(target)
        }
        close(tree)
    }

    private static func makeFilesystem(_ plan: UnsafePointer<ChildPlan>, _ step: MountStep) -> Int32 {
        let context = samara_fsopen(step.source, UInt32(FSOPEN_CLOEXEC))
        if context < 0 { ChildReport.fail(plan, .mounts, step.destination) }
        for option in step.options {
            let command = option.value == nil ? FSCONFIG_SET_FLAG.rawValue : FSCONFIG_SET_STRING.rawValue
            if samara_fsconfig(context, UInt32(command), option.key, option.value, 0) != 0 {
                ChildReport.fail(plan, .mounts, step.destination)
            }
        }
        if samara_fsconfig(context, UInt32(FSCONFIG_CMD_CREATE.rawValue), nil, nil, 0) != 0 {
            ChildReport.fail(plan, .mounts, step.destination)
        }
        let tree = samara_fsmount(context, UInt32(FSMOUNT_CLOEXEC), UInt32(truncatingIfNeeded: step.attributes))
        if tree < 0 { ChildReport.fail(plan, .mounts, step.destination) }
        close(context)
        return tree
    }

    private static func cloneTree(_ plan: UnsafePointer<ChildPlan>, _ step: MountStep) -> Int32 {
        var flags = UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC)
        if step.kind == .recursiveBind { flags |= UInt32(AT_RECURSIVE_VALUE) }
        let tree = samara_open_tree(AT_FDCWD, step.source, flags)
        if tree < 0 { ChildReport.fail(plan, .mounts, step.source) }
        var attributes = mount_attr()
        attributes.attr_set = step.attributes
        attributes.propagation = step.propagation
        let recursive = step.kind == .recursiveBind ? UInt32(AT_RECURSIVE_VALUE) : 0
        if samara_mount_setattr(
            tree, "", UInt32(AT_EMPTY_PATH) | recursive, &attributes, MemoryLayout<mount_attr>.size) != 0
        {
            ChildReport.fail(plan, .mounts, step.source)
        }
        return tree
    }

    // MARK: /proc and /sys

    private static func set(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ sysctl: SysctlStep) {
        let fd = ChildPath.open(root, sysctl.path, O_WRONLY)
        if fd < 0 || write(fd, sysctl.value, sysctl.valueLength) != sysctl.valueLength {
            ChildReport.fail(plan, .sysctl, sysctl.path)
        }
        close(fd)
    }

    private static func makeReadOnly(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ path: CText) {
        let target = ChildPath.open(root, path, O_PATH)
        if target < 0 {
            if samara_errno() == ENOENT { return }
            ChildReport.fail(plan, .readOnlyPaths, path)
        }
        let flags = UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_EMPTY_PATH) | UInt32(AT_RECURSIVE_VALUE)
        let tree = samara_open_tree(target, "", flags)
        cover(plan, .readOnlyPaths, tree, target, path, recursive: true)
    }

    private static func mask(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ path: CText) {
        let target = ChildPath.open(root, path, O_PATH)
        if target < 0 {
            if samara_errno() == ENOENT { return }
            ChildReport.fail(plan, .maskedPaths, path)
        }
        var status = stat()
        if fstat(target, &status) != 0 { ChildReport.fail(plan, .maskedPaths, path) }
        let isDirectory = status.st_mode & 0o170000 == 0o040000
        // The host's null device, never the container's: CVE-2025-31133.
        let source = isDirectory ? plan.pointee.emptyDirectory : nil
        let tree =
            source.map { samara_open_tree(AT_FDCWD, $0, UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC)) }
            ?? samara_open_tree(AT_FDCWD, "/dev/null", UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC))
        if tree >= 0, !isDirectory {
            var null = stat()
            if fstat(tree, &null) != 0 || null.st_mode & 0o170000 != 0o020000 || null.st_rdev != samara_makedev(1, 3) {
                ChildReport.fail(plan, .maskedPaths, path, errno: ENODEV)
            }
        }
        cover(plan, .maskedPaths, tree, target, path, recursive: false)
    }

    /// Puts `tree`, made read-only, over `target`; closes both.
    private static func cover(
        _ plan: UnsafePointer<ChildPlan>, _ stage: LaunchStage, _ tree: Int32, _ target: Int32, _ path: CText,
        recursive: Bool
    ) {
        var attributes = mount_attr()
        attributes.attr_set = UInt64(MOUNT_ATTR_RDONLY)
        let flags = UInt32(AT_EMPTY_PATH) | (recursive ? UInt32(AT_RECURSIVE_VALUE) : 0)
        if tree < 0
            || samara_mount_setattr(tree, "", flags, &attributes, MemoryLayout<mount_attr>.size) != 0
            || samara_move_mount(tree, "", target, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) != 0
        {
            ChildReport.fail(plan, stage, path)
        }
        close(tree)
        close(target)
    }

    // MARK: Entering

    private static func pivot(_ plan: UnsafePointer<ChildPlan>, _ root: Int32) {
        if fchdir(root) != 0
            // The old root ends up on top of the new one and is taken off again: pivot_root(2), NOTES.
            || samara_pivot_root(".", ".") != 0
            || umount2(".", MNT_DETACH) != 0
            || chdir("/") != 0
        {
            ChildReport.fail(plan, .pivotRoot, plan.pointee.mountPoint)
        }
        if plan.pointee.isRootReadOnly {
            var attributes = mount_attr()
            attributes.attr_set = UInt64(MOUNT_ATTR_RDONLY)
            if samara_mount_setattr(AT_FDCWD, "/", 0, &attributes, MemoryLayout<mount_attr>.size) != 0 {
                ChildReport.fail(plan, .rootFilesystem, "/")
            }
        }
        close(root)
    }
}
