// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Assembles the container's root filesystem and makes it the child's own.
///
/// Mounts go onto descriptors (move_mount(2)), or onto names in a directory that this process has just made and works
/// in, so that no path is resolved twice. Descriptors stay open until execve(2) closes all of them at once.
enum ChildRoot {
    /// Roots of the kernel's own file systems, to be covered later; -1 where there is none.
    struct KernelTrees {
        var proc: Int32 = -1
        var sys: Int32 = -1
    }

    static func assemble(_ plan: UnsafePointer<ChildPlan>) {
        let root = mountRoot(plan)
        var trees = KernelTrees()
        for index in 0..<plan.pointee.mounts.count {
            // A container's own mounts are few; a thousand volumes must not need two thousand descriptors.
            perform(plan, root, plan.pointee.mounts[index], &trees, closing: index >= 16)
        }
        if let marker = plan.pointee.markerFile { makeMarker(plan, root, marker) }
        // Before proc/sys turns read-only.
        for sysctl in plan.pointee.sysctls { set(plan, root, sysctl) }
        ChildCovers.apply(plan, root, trees)
        pivot(plan, root)
    }

    // MARK: The root itself

    private static func mountRoot(_ plan: UnsafePointer<ChildPlan>) -> Int32 {
        guard let mountPoint = plan.pointee.mountPoint else {
            ChildReport.fail(plan, .rootFilesystem, nil, errno: EINVAL)
        }
        if let directory = plan.pointee.rootDirectory {
            let tree = samara_open_tree(
                AT_FDCWD, directory, UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_RECURSIVE_VALUE))
            if tree < 0 { ChildReport.fail(plan, .rootFilesystem, directory) }
            return attach(plan, tree, mountPoint)
        }
        // The layers' names are relative to it, and so are short.
        if let base = plan.pointee.overlayBase, chdir(base) != 0 { ChildReport.fail(plan, .rootFilesystem, base) }
        guard let options = plan.pointee.overlayOptions else { return attach(plan, overlayTree(plan), mountPoint) }
        // One call where fsopen(2) and its companions take eight.
        if mount("overlay", mountPoint, "overlay", UInt(MS_NODEV_VALUE), options) != 0 {
            ChildReport.fail(plan, .rootFilesystem, plan.pointee.overlayUpper)
        }
        let root = samara_openat(AT_FDCWD, mountPoint, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
        if root < 0 { ChildReport.fail(plan, .rootFilesystem, mountPoint) }
        return root
    }

    private static func attach(_ plan: UnsafePointer<ChildPlan>, _ tree: Int32, _ mountPoint: CText) -> Int32 {
        if samara_move_mount(tree, "", AT_FDCWD, mountPoint, UInt32(MOVE_MOUNT_F_EMPTY_PATH)) != 0 {
            ChildReport.fail(plan, .rootFilesystem, mountPoint)
        }
        return tree
    }

    /// The overlay as a detached mount, for more layers than mount(2) can be told of.
    private static func overlayTree(_ plan: UnsafePointer<ChildPlan>) -> Int32 {
        let context = samara_fsopen("overlay", UInt32(FSOPEN_CLOEXEC))
        if context < 0 { ChildReport.fail(plan, .rootFilesystem, nil) }
        // trusted.* attributes need CAP_SYS_ADMIN of the initial namespace: overlayfs.rst, "userxattr".
        if samara_fsconfig(context, UInt32(FSCONFIG_SET_FLAG.rawValue), "userxattr", nil, 0) != 0 {
            ChildReport.fail(plan, .rootFilesystem, nil)
        }
        for layer in plan.pointee.overlayLower {
            // "lowerdir+" is new in 6.5; EINVAL before.
            if samara_fsconfig(context, UInt32(FSCONFIG_SET_STRING.rawValue), "lowerdir+", layer, 0) != 0 {
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
        return tree
    }

    // MARK: Mounts in order

    private static func perform(
        _ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ step: MountStep, _ trees: inout KernelTrees, closing: Bool
    ) {
        if step.isInDevices { return ChildDevices.mount(plan, step) }
        let isNew = step.kind == .filesystem || step.kind == .devices
        let tree = isNew ? makeFilesystem(plan, step) : cloneTree(plan, step)
        if step.kind == .devices { return ChildDevices.assemble(plan, root, tree) }
        let target = ChildPath.target(plan, root, step.destination, file: step.targetIsFile)
        if target < 0
            || samara_move_mount(tree, "", target, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)) != 0
        {
            ChildReport.fail(plan, .mounts, step.destination)
        }
        switch step.role {
        case .proc: trees.proc = tree
        case .sys: trees.sys = tree
        case .none:
            if closing {
                close(target)
                close(tree)
            }
        }
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
        return tree
    }

    private static func cloneTree(_ plan: UnsafePointer<ChildPlan>, _ step: MountStep) -> Int32 {
        var flags = UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC)
        if step.kind == .recursiveBind { flags |= UInt32(AT_RECURSIVE_VALUE) }
        let tree = samara_open_tree(AT_FDCWD, step.source, flags)
        if tree < 0 { ChildReport.fail(plan, .mounts, step.source) }
        // Nothing can be mounted below a file, so it has no mounts to receive.
        if step.targetIsFile, step.attributes == 0, step.propagation == UInt64(MS_PRIVATE_VALUE) { return tree }
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

    private static func makeMarker(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ path: CText) {
        if ChildPath.target(plan, root, path, file: true) < 0 { ChildReport.fail(plan, .mounts, path) }
    }

    private static func set(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ sysctl: SysctlStep) {
        let fd = ChildPath.open(root, sysctl.path, O_WRONLY)
        if fd < 0 || write(fd, sysctl.value, sysctl.valueLength) != sysctl.valueLength {
            ChildReport.fail(plan, .sysctl, sysctl.path)
        }
        close(fd)
    }

    // MARK: Entering

    private static func pivot(_ plan: UnsafePointer<ChildPlan>, _ root: Int32) {
        if fchdir(root) != 0
            // The old root ends up on top of the new one and is taken off again: pivot_root(2), NOTES.
            || samara_pivot_root(".", ".") != 0
            || umount2(".", MNT_DETACH) != 0
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
    }
}
