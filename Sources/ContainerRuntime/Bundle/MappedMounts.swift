// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// Id-mapped copies of bind sources: mount_setattr(2), MOUNT_ATTR_IDMAP.
///
/// They are made by the command, before the clone, because the kernel asks for privilege over the source's filesystem,
/// which the container's process gives up when it has a user namespace of its own. It inherits them as descriptors.
struct MappedMounts: Sendable {
    /// Descriptors of detached trees by the mount's index in the config.
    private(set) var trees: [Int: Int32] = [:]

    init(_ config: RuntimeConfig, bundle: String) throws(RuntimeError) {
        for (index, mount) in config.mounts.enumerated() {
            guard let mapping = mount.idMapping else { continue }
            let isOwn = mapping.users.isEmpty
            let users = isOwn ? config.linux.userMappings : mapping.users
            let groups = isOwn ? config.linux.groupMappings : mapping.groups
            guard !users.isEmpty, !groups.isEmpty else {
                throw RuntimeError(
                    "mounts: `\(mount.destination)`: idmap needs uidMappings and gidMappings, of the mount or of linux")
            }
            let source = mount.source.hasPrefix("/") ? mount.source : bundle + "/" + mount.source
            do throws(Errno) {
                let tree = try DetachedMount.copy(source, recursive: mount.isRecursive)
                let namespace = try MappedMounts.namespace(users, groups)
                var attributes = mount_attr()
                attributes.attr_set = UInt64(MOUNT_ATTR_IDMAP)
                attributes.userns_fd = UInt64(namespace.raw)
                let flags = UInt32(AT_EMPTY_PATH) | (mapping.isRecursive ? UInt32(AT_RECURSIVE_VALUE) : 0)
                _ = try checked(
                    samara_mount_setattr(tree.raw, "", flags, &attributes, MemoryLayout<mount_attr>.size))
                trees[index] = tree.release()
            } catch {
                close()
                throw RuntimeError(
                    "id-map `\(source)` for `\(mount.destination)`: \(error.text); it needs root outside of user "
                        + "namespaces and a filesystem that supports it")
            }
        }
    }

    /// In the command, when the container's process has them.
    func close() {
        for tree in trees.values { CLinux.close(tree) }
    }

    /// A user namespace with these maps; it lives as long as its descriptor.
    private static func namespace(_ users: [RuntimeIDMapping], _ groups: [RuntimeIDMapping]) throws(Errno) -> OwnedFD {
        var arguments = clone_args()
        arguments.flags = UInt64(CLONE_NEWUSER)
        arguments.exit_signal = UInt64(SIGCHLD)
        let pid = Int32(try checked(samara_clone3(&arguments, MemoryLayout<clone_args>.size)))
        if pid == 0 {
            _ = samara_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0)
            while true { pause() }
        }
        defer {
            kill(pid, SIGKILL)
            _ = try? Process.wait(pid: pid)
        }
        func extents(_ list: [RuntimeIDMapping]) -> [IDMap.Extent] {
            list.map { IDMap.Extent(inside: $0.containerID, outside: $0.hostID, count: $0.size) }
        }
        try IDMap(users: extents(users), groups: extents(groups)).write(to: pid)
        return try File.open("/proc/\(pid)/ns/user", O_RDONLY)
    }
}
