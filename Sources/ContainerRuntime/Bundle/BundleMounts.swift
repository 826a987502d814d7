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
    let mapped: MappedMounts

    func performAll() throws(RuntimeError) {
        for (index, mount) in config.mounts.enumerated() {
            do throws(Errno) { try perform(mount, mapped.trees[index]) } catch {
                let source = mount.isBind ? "`\(mount.source)` to " : ""
                throw RuntimeError("mount \(source)", mount.destination, error)
            }
        }
    }

    /// - Parameter source: the id-mapped copy of the mount's source, if it is to have one.
    private func perform(_ mount: RuntimeMount, _ source: Int32?) throws(Errno) {
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
        let tree = if let source { OwnedFD(source) } else { try makeTree(mount) }
        if mount.copiesUp, !mount.isBind { try copyUp(mount, tree) }
        try setAttributes(mount, tree)
        let isFile = mount.isBind ? try !File.status(tree).isDirectory : false
        let target = try target(mount, isFile: isFile, isSpecial: isSpecial)
        try DetachedMount.attach(tree, on: target)
    }

    private func target(_ mount: RuntimeMount, isFile: Bool, isSpecial: Bool) throws(Errno) -> OwnedFD {
        let target = try root.target(mount.destination, isFile: isFile, isSpecial: isSpecial)
        var status = statfs()
        _ = try checked(fstatfs(target.raw, &status))
        // What the config names below /proc was checked with it; a link of the image must not lead there either
        // (CVE-2019-16884). The number is PROC_SUPER_MAGIC.
        if UInt32(truncatingIfNeeded: status.f_type) == 0x9fa0,
            !mount.destination.split(separator: "/").starts(with: ["proc"])
        {
            throw .notPermitted
        }
        return target
    }

    private func makeTree(_ mount: RuntimeMount) throws(Errno) -> OwnedFD {
        if mount.isBind {
            let source = mount.source.hasPrefix("/") ? mount.source : bundle + "/" + mount.source
            return try DetachedMount.copy(source, recursive: mount.isRecursive)
        }
        switch mount.type {
        case "cgroup", "cgroup2": return try cgroupTree(mount)
        case "proc", "sysfs", "mqueue":
            do {
                return try DetachedMount.filesystem(mount.type, options: mount.data, attributes: mount.bornWith)
            } catch .notPermitted {
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
            return try DetachedMount.filesystem(
                mount.type, source: mount.source, options: mount.data, attributes: mount.bornWith)
        }
    }

    /// gid=5 is the tty group only where the user namespace maps it; elsewhere the option is dropped.
    private func pseudoTerminals(_ mount: RuntimeMount) throws(Errno) -> OwnedFD {
        func make(_ options: [(key: String, value: String?)]) throws(Errno) -> OwnedFD {
            try DetachedMount.filesystem("devpts", options: options, attributes: mount.bornWith)
        }
        do { return try make(mount.data) } catch .invalidArgument {
            return try make(mount.data.filter { $0.key != "gid" })
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
        let target = try target(mount, isFile: false, isSpecial: false)
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
        if set & ~mount.bornWith != 0 || clear != 0 {
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
        // A new filesystem is nobody's peer, and neither is a copy in a namespace whose mounts all became private.
        if mount.propagation.isEmpty, mount.isBind || mount.isRemount, !config.linux.hasPrivateMounts {
            try DetachedMount.setAttributes(tree, propagation: UInt64(MS_PRIVATE_VALUE), recursive: true)
        }
        for change in mount.propagation {
            try DetachedMount.setAttributes(tree, propagation: change.flag, recursive: change.isRecursive)
        }
    }
}

extension RuntimeLinux {
    /// Whether every mount of the new namespace is private before the container's are made: no other is asked for.
    fileprivate var hasPrivateMounts: Bool { rootPropagation.map { $0.flag == UInt64(MS_PRIVATE_VALUE) } ?? true }
}

extension RuntimeMount {
    /// The attributes that a new filesystem is mounted with at once: all, unless something is copied into it first.
    fileprivate var bornWith: UInt64 {
        isBind || isRemount || copiesUp || type.hasPrefix("cgroup") ? 0 : attributes.set
    }
}
