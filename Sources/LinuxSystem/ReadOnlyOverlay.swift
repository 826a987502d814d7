// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Directories stacked read-only by overlayfs: the merged view is the kernel's, not a second implementation of it.
public enum ReadOnlyOverlay {
    /// Makes this process's mounts its own: `unshare(2)` CLONE_NEWNS. Needs one thread and root of the user namespace.
    public static func enterMountNamespace() throws(Errno) {
        _ = try checked(unshare(CLONE_NEWNS))
        // What is mounted below must not appear outside.
        _ = try checked(mount(nil, "/", nil, UInt(MS_REC_VALUE | MS_PRIVATE_VALUE), nil))
    }

    /// Mounts `layers`, topmost first, where nobody sees it and opens its root. Needs `enterMountNamespace`.
    ///
    /// - Parameters:
    ///   - empty: an empty directory: overlayfs wants two layers at least.
    ///   - mountPoint: a directory used for a moment by kernels before 6.5.
    public static func open(_ layers: [String], empty: String, mountPoint: String) throws(Errno) -> OwnedFD {
        let handles = try open(layers + [empty])
        defer { for handle in handles { _ = OwnedFD(handle) } }
        if let tree = try detached(handles) { return try File.open(".", O_RDONLY | O_DIRECTORY, at: tree.raw) }
        try attachByPath(handles, mountPoint)
        let root = try File.open(mountPoint, O_RDONLY | O_DIRECTORY)
        _ = try checked(umount2(mountPoint, MNT_DETACH))
        return root
    }

    /// Mounts `layers`, topmost first, at `path`.
    public static func attach(_ layers: [String], empty: String, at path: String) throws(Errno) {
        let handles = try open(layers + [empty])
        defer { for handle in handles { _ = OwnedFD(handle) } }
        guard let tree = try detached(handles) else { return try attachByPath(handles, path) }
        _ = try checked(samara_move_mount(tree.raw, "", AT_FDCWD, path, UInt32(MOVE_MOUNT_F_EMPTY_PATH)))
    }

    /// Mounts a small tmpfs at `path`, for mount points.
    public static func coverWithMemory(_ path: String) throws(Errno) {
        _ = try checked(mount("tmpfs", path, "tmpfs", UInt(MS_NOSUID), "mode=0700,size=1m"))
    }

    /// `umount2(2)`.
    public static func detach(_ path: String) throws(Errno) { _ = try checked(umount2(path, MNT_DETACH)) }

    // Short names, however long the paths are: a value of fsconfig(2) ends at 255 bytes, mount(2)'s options at 4095.
    private static func open(_ layers: [String]) throws(Errno) -> [Int32] {
        var handles: [Int32] = []
        do throws(Errno) {
            for layer in layers { handles.append(try File.open(layer, O_PATH | O_DIRECTORY).release()) }
        } catch {
            for handle in handles { _ = OwnedFD(handle) }
            throw error
        }
        return handles
    }

    private static func name(_ handle: Int32) -> String { "/proc/self/fd/\(handle)" }

    /// Nil where there is no "lowerdir+": before 6.5.
    private static func detached(_ handles: [Int32]) throws(Errno) -> OwnedFD? {
        let context = OwnedFD(try checked(samara_fsopen("overlay", UInt32(FSOPEN_CLOEXEC))))
        _ = try checked(samara_fsconfig(context.raw, UInt32(FSCONFIG_SET_FLAG.rawValue), "userxattr", nil, 0))
        for handle in handles {
            let code = samara_fsconfig(
                context.raw, UInt32(FSCONFIG_SET_STRING.rawValue), "lowerdir+", name(handle), 0)
            if code == 0 { continue }
            let error = lastErrno()
            if error == .invalidArgument, handle == handles.first { return nil }
            throw error
        }
        _ = try checked(samara_fsconfig(context.raw, UInt32(FSCONFIG_CMD_CREATE.rawValue), nil, nil, 0))
        return OwnedFD(
            try checked(samara_fsmount(context.raw, UInt32(FSMOUNT_CLOEXEC), UInt32(MOUNT_ATTR_RDONLY))))
    }

    private static func attachByPath(_ handles: [Int32], _ path: String) throws(Errno) {
        let layers = handles.map(name).joined(separator: ":")
        _ = try checked(mount("overlay", path, "overlay", UInt(MS_RDONLY), "userxattr,lowerdir=" + layers))
    }
}
