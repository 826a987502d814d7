// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// The mounts of a config.json, in its order, inside a root that is not entered yet.
struct BundleMounts: ~Copyable {
    let root: RootDirectory
    let config: RuntimeConfig
    /// What relative bind sources are relative to.
    let bundle: String

    func performAll() throws(RuntimeError) {
        for mount in config.mounts {
            do throws(Errno) { try perform(mount) } catch {
                let source = mount.isBind ? "`\(mount.source)` to " : ""
                throw RuntimeError("mount \(source)", mount.destination, error)
            }
        }
    }

    private func perform(_ mount: RuntimeMount) throws(Errno) {
        if mount.isRemount {
            let target = try root.open(mount.destination)
            return try setAttributes(mount, target)
        }
        if !mount.isBind, mount.data.contains(where: { ($0.value?.utf8.count ?? 0) > 255 }) {
            return try mountLongOptions(mount)
        }
        // Of filesystems that Linux itself shapes, a link of the image at the destination must not move them.
        let isSpecial =
            ["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"].contains(mount.type) && !mount.isBind
        let tree = try makeTree(mount)
        if mount.copiesUp, !mount.isBind { try copyUp(mount, tree) }
        try setAttributes(mount, tree)
        let isFile = mount.isBind ? try !File.status(tree).isDirectory : false
        let target = try root.target(mount.destination, isFile: isFile)
        if isSpecial { _ = try root.open(mount.destination, O_PATH | O_DIRECTORY, noFollow: true) }
        try DetachedMount.attach(tree, on: target)
    }

    private func makeTree(_ mount: RuntimeMount) throws(Errno) -> OwnedFD {
        if mount.isBind {
            let source = mount.source.hasPrefix("/") ? mount.source : bundle + "/" + mount.source
            return try DetachedMount.copy(source, recursive: mount.isRecursive)
        }
        switch mount.type {
        case "cgroup", "cgroup2": return try cgroupTree(mount)
        case "proc", "sysfs", "mqueue":
            do { return try DetachedMount.filesystem(mount.type, options: mount.data) } catch .notPermitted {
                // These show a namespace, and mounting them needs privilege over that namespace; without a namespace
                // of its own the container sees the host's.
                let (namespace, host): (RuntimeNamespace.Kind, String) =
                    switch mount.type {
                    case "proc": (.pid, "/proc")
                    case "sysfs": (.network, "/sys")
                    default: (.ipc, "/dev/mqueue")
                    }
                if config.linux.isNew(namespace), mount.type != "sysfs" { throw .notPermitted }
                return try DetachedMount.copy(host, recursive: true)
            }
        case "devpts": return try pseudoTerminals(mount)
        default:
            return try DetachedMount.filesystem(mount.type, source: mount.source, options: mount.data)
        }
    }

    /// gid=5 is the tty group only where the user namespace maps it; elsewhere the option is dropped.
    private func pseudoTerminals(_ mount: RuntimeMount) throws(Errno) -> OwnedFD {
        do { return try DetachedMount.filesystem("devpts", options: mount.data) } catch .invalidArgument {
            return try DetachedMount.filesystem("devpts", options: mount.data.filter { $0.key != "gid" })
        }
    }

    private func cgroupTree(_ mount: RuntimeMount) throws(Errno) -> OwnedFD {
        if config.linux.isNew(.cgroup), CgroupLayout.current() == .unified {
            do { return try DetachedMount.filesystem("cgroup2") } catch .notPermitted {} catch .resourceBusy {}
        }
        // Without a cgroup namespace the container would see, and as its root could write, groups that are not its own
        // (CVE-2023-25809).
        let tree = try DetachedMount.copy("/sys/fs/cgroup", recursive: true)
        try DetachedMount.setAttributes(tree, set: UInt64(MOUNT_ATTR_RDONLY), recursive: true)
        return tree
    }

    /// By mount(2), still onto the inode that `target` is: values of fsconfig(2) end at 255 bytes, and an overlay's
    /// options may be longer.
    private func mountLongOptions(_ mount: RuntimeMount) throws(Errno) {
        let data = mount.data.map { option in option.value.map { "\(option.key)=\($0)" } ?? option.key }.joined(
            separator: ",")
        let target = try root.target(mount.destination, isFile: false)
        let source = mount.source.isEmpty ? mount.type : mount.source
        _ = try checked(CLinux.mount(source, "/proc/self/fd/\(target.raw)", mount.type, 0, data))
        try setAttributes(mount, try root.open(mount.destination))
    }

    /// What the image has at the destination becomes the content of the new tmpfs.
    private func copyUp(_ mount: RuntimeMount, _ tree: borrowing OwnedFD) throws(Errno) {
        let source: OwnedFD
        do { source = try root.open(mount.destination, O_RDONLY | O_DIRECTORY) } catch .noSuchFileOrDirectory { return }
        let target = try File.open(".", O_RDONLY | O_DIRECTORY, at: tree.raw)
        try TreeCopy.copy(from: source, to: target)
    }

    private func setAttributes(_ mount: RuntimeMount, _ tree: borrowing OwnedFD) throws(Errno) {
        var set = mount.attributes.set
        // Flags that a bind mount inherits from its source may be locked; only words that say so clear any.
        let clear = mount.isRemount ? mount.attributes.clear & ~0x70 : 0
        var accessTimeClear: UInt64 = 0
        if set & 0x70 != 0 { accessTimeClear = 0x70 }
        if mount.type.hasPrefix("cgroup"), !mount.isBind { set |= UInt64(MOUNT_ATTR_NOSUID) }
        if set != 0 || clear != 0 {
            try DetachedMount.setAttributes(tree, set: set, clear: clear | accessTimeClear, recursive: false)
        }
        var deep = mount.recursiveAttributes
        // A read-only /sys means all of it: the host's cgroups are mounted below (CVE-2023-25809).
        if mount.isBind, mount.isRecursive, RootDirectory.relative(mount.destination) == "sys" {
            deep.set |= set & UInt64(MOUNT_ATTR_RDONLY)
        }
        if deep.set != 0 || deep.clear != 0 {
            let times: UInt64 = (deep.set | deep.clear) & 0x70 != 0 ? 0x70 : 0
            try DetachedMount.setAttributes(tree, set: deep.set, clear: deep.clear | times, recursive: true)
        }
        for change in mount.propagation.isEmpty ? [(flag: UInt64(1) << 18, isRecursive: true)] : mount.propagation {
            try DetachedMount.setAttributes(tree, propagation: change.flag, recursive: change.isRecursive)
        }
    }
}
