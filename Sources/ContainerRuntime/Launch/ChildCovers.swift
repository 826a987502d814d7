// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Hides parts of /proc and /sys and makes others read-only.
///
/// In a proc or sysfs that this launch has made, names are the kernel's: no image and no other process can put a link
/// there. So those are covered by mount(2) from the file system's root, one call each, and made read-only all together.
/// Any other path is looked up inside the container's root first.
enum ChildCovers {
    static func apply(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ trees: ChildRoot.KernelTrees) {
        if plan.pointee.covers.isEmpty { return }
        checkNull(plan)
        if plan.pointee.coversProc { coverTree(plan, .proc, trees.proc) }
        if plan.pointee.coversSys { coverTree(plan, .sys, trees.sys) }
        for step in plan.pointee.covers where step.tree == .none {
            if step.isMask { mask(plan, root, step.path) } else { makeReadOnly(plan, root, step.path) }
        }
    }

    /// The host's null device, never the container's: CVE-2025-31133.
    private static func checkNull(_ plan: UnsafePointer<ChildPlan>) {
        var null = stat()
        if stat("/dev/null", &null) != 0 || null.st_mode & 0o170000 != 0o020000
            || null.st_rdev != samara_makedev(1, 3)
        {
            ChildReport.fail(plan, .maskedPaths, "/dev/null", errno: ENODEV)
        }
    }

    private static func coverTree(_ plan: UnsafePointer<ChildPlan>, _ tree: KernelTree, _ fd: Int32) {
        if fchdir(fd) != 0 { ChildReport.fail(plan, .maskedPaths, "/proc") }
        for step in plan.pointee.covers where step.tree == tree {
            if step.isMask {
                maskHere(plan, step)
            } else if mount(step.path, step.path, nil, UInt(MS_BIND_VALUE | MS_REC_VALUE), nil) != 0,
                samara_errno() != ENOENT
            {
                ChildReport.fail(plan, .readOnlyPaths, step.path)
            }
        }
        // All of them at once, and the file system's root back.
        var attributes = mount_attr()
        attributes.attr_set = UInt64(MOUNT_ATTR_RDONLY)
        setAttributes(plan, fd, &attributes, UInt32(AT_RECURSIVE_VALUE))
        if tree == .proc {
            attributes.attr_set = 0
            attributes.attr_clr = UInt64(MOUNT_ATTR_RDONLY)
            setAttributes(plan, fd, &attributes, 0)
        }
    }

    private static func setAttributes(
        _ plan: UnsafePointer<ChildPlan>, _ fd: Int32, _ attributes: inout mount_attr, _ flags: UInt32
    ) {
        if samara_mount_setattr(fd, "", UInt32(AT_EMPTY_PATH) | flags, &attributes, MemoryLayout<mount_attr>.size) != 0
        {
            ChildReport.fail(plan, .readOnlyPaths, "/proc")
        }
    }

    /// Covers a name of the working directory with the null device, a directory with the empty one: whichever the
    /// kernel takes.
    private static func maskHere(_ plan: UnsafePointer<ChildPlan>, _ step: CoverStep) {
        for attempt in 0..<2 {
            let asDirectory = step.isDirectory == (attempt == 0)
            let source: CText? = asDirectory ? plan.pointee.emptyDirectory : nil
            let result =
                source.map { mount($0, step.path, nil, UInt(MS_BIND_VALUE), nil) }
                ?? mount("/dev/null", step.path, nil, UInt(MS_BIND_VALUE), nil)
            if result == 0 || samara_errno() == ENOENT { return }
            // ENOTDIR: a file and a directory do not cover each other.
            if samara_errno() != ENOTDIR { break }
        }
        ChildReport.fail(plan, .maskedPaths, step.path)
    }

    // MARK: Elsewhere

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
        let source = status.st_mode & 0o170000 == 0o040000 ? plan.pointee.emptyDirectory : nil
        let flags = UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC)
        let tree =
            source.map { samara_open_tree(AT_FDCWD, $0, flags) } ?? samara_open_tree(AT_FDCWD, "/dev/null", flags)
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
}
