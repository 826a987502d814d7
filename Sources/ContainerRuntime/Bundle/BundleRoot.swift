// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// Turns a bundle's root directory into the root of this process, in the order that keeps each step's means available.
struct BundleRoot {
    var config: RuntimeConfig
    var bundle: String
    var rootfs: String
    /// false moves the mount to / and changes root instead: for a host whose root is a ramdisk.
    var entersByPivot: Bool
    var mapped: MappedMounts

    /// - Parameter beforePivot: runs when everything is mounted and host paths still work: createContainer hooks.
    func enter(_ beforePivot: () throws(RuntimeError) -> Void) throws(RuntimeError) {
        try setHostPropagation()
        let proc = try ProcHandle()
        // The null device of the host, checked before anything of the image is in reach (CVE-2025-31133).
        let null = try openNull()
        let root = try mountRoot()
        let directory = RootDirectory(try SetupRoot.duplicate(root))
        do {
            // What is made for mounts and devices has the mode that it is made with, whatever the caller's umask; the
            // hooks have the caller's.
            let former = umask(0)
            defer { _ = umask(former) }
            let mounts = BundleMounts(
                root: RootDirectory(try SetupRoot.duplicate(root)), config: config, bundle: bundle, mapped: mapped)
            try mounts.performAll()
            try BundleDevices.make(directory, config)
        }
        try beforePivot()
        for path in config.linux.readOnlyPaths { try makeReadOnly(directory, path) }
        try mask(directory, null)
        try pivot(root)
        try setRootPropagation()
        if config.isRootReadOnly { try makeRootReadOnly() }
        for sysctl in config.linux.sysctls { try proc.setSysctl(sysctl.name, sysctl.value) }
    }

    // MARK: The root itself

    private func setHostPropagation() throws(RuntimeError) {
        let wanted = config.linux.rootPropagation?.flag ?? UInt64(MS_PRIVATE_VALUE)
        if wanted == UInt64(MS_SHARED_VALUE) || wanted == 1 << 17 {
            // Peers of the host stay peers; only the mount below the new root must not pass the root on to the host.
            let point = mountPoint(of: rootfs)
            return try SetupStep.check("make private", point, mount(nil, point, nil, UInt(MS_PRIVATE_VALUE), nil))
        }
        let flag = wanted == UInt64(MS_SLAVE_VALUE) ? MS_SLAVE_VALUE : MS_PRIVATE_VALUE
        try SetupStep.check("change the propagation of", "/", mount(nil, "/", nil, UInt(MS_REC_VALUE | flag), nil))
    }

    /// The mount point that `path` is on, by the mount ids of its parents: statx(2), STATX_MNT_ID.
    private func mountPoint(of path: String) -> String {
        func mountID(_ path: String) -> UInt64? {
            var id: UInt64 = 0
            return samara_mount_id(AT_FDCWD, path, 0, &id) == 0 ? id : nil
        }
        var current = path
        let id = mountID(current)
        while current != "/", let slash = current.lastIndex(of: "/") {
            let parent = slash == current.startIndex ? "/" : String(current[..<slash])
            if mountID(parent) != id { break }
            current = parent
        }
        return current
    }

    private func mountRoot() throws(RuntimeError) -> OwnedFD {
        try describing("mount the root filesystem", rootfs) { () throws(Errno) in
            let tree = try DetachedMount.copy(rootfs, recursive: true)
            guard try File.status(tree).isDirectory else { throw .notDirectory }
            if config.linux.rootPropagation.map({ $0.flag != UInt64(MS_SHARED_VALUE) }) ?? true {
                try DetachedMount.setAttributes(tree, propagation: UInt64(MS_PRIVATE_VALUE), recursive: false)
            }
            let target = try File.open(rootfs, O_PATH | O_DIRECTORY)
            try DetachedMount.attach(tree, on: target)
            return tree
        }
    }

    private func pivot(_ root: borrowing OwnedFD) throws(RuntimeError) {
        try describing("enter the root filesystem", rootfs) { () throws(Errno) in
            _ = try checked(fchdir(root.raw))
            if entersByPivot {
                // The old root ends up on top of the new one and is taken off again: pivot_root(2), NOTES.
                _ = try checked(samara_pivot_root(".", "."))
                // What is unmounted here must not be unmounted on the host as well.
                _ = try checked(mount(nil, ".", nil, UInt(MS_REC_VALUE | MS_SLAVE_VALUE), nil))
                _ = try checked(umount2(".", MNT_DETACH))
            } else {
                _ = try checked(mount(".", "/", nil, UInt(MS_MOVE_VALUE), nil))
                _ = try checked(chroot("."))
            }
            _ = try checked(chdir("/"))
        }
    }

    private func setRootPropagation() throws(RuntimeError) {
        guard let wanted = config.linux.rootPropagation else { return }
        let flags = UInt(wanted.flag) | (wanted.isRecursive ? UInt(MS_REC_VALUE) : 0)
        try SetupStep.check("change the propagation of", "/", mount(nil, "/", nil, flags, nil))
    }

    private func makeRootReadOnly() throws(RuntimeError) {
        try describing("make read-only", "/") { () throws(Errno) in
            var attributes = mount_attr()
            attributes.attr_set = UInt64(MOUNT_ATTR_RDONLY)
            _ = try checked(samara_mount_setattr(AT_FDCWD, "/", 0, &attributes, MemoryLayout<mount_attr>.size))
        }
    }

    // MARK: Paths to hide

    private func makeReadOnly(_ root: borrowing RootDirectory, _ path: String) throws(RuntimeError) {
        try describing("make read-only", path) { () throws(Errno) in
            let target: OwnedFD
            do throws(Errno) { target = try root.open(path) } catch {
                if error == .noSuchFileOrDirectory { return }
                throw error
            }
            let tree = try DetachedMount.copy("", at: target.raw, recursive: true)
            try DetachedMount.setAttributes(tree, set: UInt64(MOUNT_ATTR_RDONLY), recursive: true)
            try DetachedMount.attach(tree, on: target)
        }
    }

    private func openNull() throws(RuntimeError) -> OwnedFD {
        try describing("open", "/dev/null") { () throws(Errno) in
            let null = try File.open("/dev/null", O_PATH | O_NOFOLLOW)
            let status = try File.status(null)
            guard status.isCharacterDevice, status.specialDevice == samara_makedev(1, 3) else {
                throw Errno(rawValue: ENODEV)
            }
            return null
        }
    }

    /// Files are covered by the null device, directories by copies of one empty read-only tmpfs: superblocks are dear.
    private func mask(_ root: borrowing RootDirectory, _ null: borrowing OwnedFD) throws(RuntimeError) {
        var (empty, cover) = (Int32(-1), Int32(-1))
        defer {
            if empty >= 0 { close(empty) }
            if cover >= 0 { close(cover) }
        }
        for path in config.linux.maskedPaths {
            try describing("mask", path) { () throws(Errno) in
                let target: OwnedFD
                do throws(Errno) { target = try root.open(path) } catch {
                    if error == .noSuchFileOrDirectory || error == .notDirectory { return }
                    throw error
                }
                let isDirectory = try File.status(target).isDirectory
                let first = isDirectory ? empty : cover
                if first >= 0 {
                    // A copy has the attributes of what it is copied from.
                    return try DetachedMount.attach(
                        try DetachedMount.copy("", at: first, recursive: false), on: target)
                }
                let tree: OwnedFD
                if isDirectory {
                    tree = try DetachedMount.filesystem(
                        "tmpfs", options: [("size", "4k"), ("mode", "0755"), ("nr_inodes", "2")],
                        attributes: UInt64(MOUNT_ATTR_RDONLY))
                } else {
                    tree = try DetachedMount.copy("", at: null.raw, recursive: false)
                    try DetachedMount.setAttributes(tree, set: UInt64(MOUNT_ATTR_RDONLY), recursive: false)
                }
                try DetachedMount.attach(tree, on: target)
                if isDirectory { empty = tree.release() } else { cover = tree.release() }
            }
        }
    }
}

enum SetupRoot {
    static func duplicate(_ fd: borrowing OwnedFD) throws(RuntimeError) -> OwnedFD {
        do { return try fd.duplicate() } catch { throw RuntimeError("duplicate", "the root's descriptor", error) }
    }
}

/// A procfs that nothing of the container can cover: a detached mount of its own, or the host's before the root is
/// entered. Writes to paths of the container's /proc could be redirected (CVE-2025-52881).
struct ProcHandle: ~Copyable {
    private let directory: OwnedFD

    init() throws(RuntimeError) {
        do throws(Errno) {
            if let own = try? DetachedMount.filesystem("proc") {
                directory = own
                return
            }
            let host = try File.open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW)
            var status = statfs()
            _ = try checked(fstatfs(host.raw, &status))
            // PROC_SUPER_MAGIC
            guard UInt32(truncatingIfNeeded: status.f_type) == 0x9fa0 else { throw Errno(rawValue: ENODEV) }
            directory = host
        } catch {
            throw RuntimeError("open", "/proc", error)
        }
    }

    private static let resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)

    func write(_ path: String, _ text: String) throws(Errno) {
        let file = try File.open2(path, O_WRONLY, resolve: ProcHandle.resolve, at: directory.raw)
        try File.writeAll(file.raw, Array(text.utf8))
    }

    func setSysctl(_ name: String, _ value: String) throws(RuntimeError) {
        try describing("set the sysctl", name) { () throws(Errno) in
            try write("sys/" + RuntimeSysctl.components(name).joined(separator: "/"), value)
        }
    }
}
