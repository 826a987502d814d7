// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// What a process gives up for good.
public enum Confinement {
    /// No program that it executes gains privileges: PR_SET_NO_NEW_PRIVS.
    public static func forbidNewPrivileges() throws(Errno) {
        _ = try checked(samara_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }

    /// Nobody of the same user may trace it or read its memory, and it leaves no core: PR_SET_DUMPABLE, RLIMIT_CORE.
    public static func forbidInspection() throws(Errno) {
        _ = try checked(samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        _ = try checked(samara_forbid_core_dumps())
    }

    /// Empties every capability set that an unprivileged process can empty: capabilities(7).
    public static func dropCapabilities() throws(Errno) {
        // Ambient first: it is cleared by itself with the inheritable set, but only on kernels that have it.
        _ = try checked(samara_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0))
        var header = __user_cap_header_struct(version: UInt32(_LINUX_CAPABILITY_VERSION_3), pid: 0)
        var none = (__user_cap_data_struct(), __user_cap_data_struct())
        let result = withUnsafeMutablePointer(to: &none) {
            $0.withMemoryRebound(to: __user_cap_data_struct.self, capacity: 2) { samara_capset(&header, $0) }
        }
        _ = try checked(result)
    }

    /// New user, mount, ipc, uts and cgroup namespaces for this process, with every capability in them:
    /// `unshare(2)`. No id is mapped into the user namespace, so nothing in it belongs to anybody. Needs one thread.
    public static func unshareNamespaces() throws(Errno) {
        let cgroup: Int32 = 0x0200_0000  // CLONE_NEWCGROUP
        _ = try checked(samara_unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | cgroup))
    }

    /// Replaces the root directory by an empty one that nobody can write to; the former one is out of reach afterwards.
    /// Needs a mount namespace of this process's own with CAP_SYS_ADMIN.
    public static func emptyRoot() throws(Errno) {
        let context = OwnedFD(try checked(samara_fsopen("tmpfs", UInt32(FSOPEN_CLOEXEC))))
        // Only the root directory fits.
        for (key, value) in [("size", "4096"), ("nr_inodes", "2"), ("mode", "0555")] {
            _ = try checked(samara_fsconfig(context.raw, FSCONFIG_SET_STRING.rawValue, key, value, 0))
        }
        _ = try checked(samara_fsconfig(context.raw, FSCONFIG_CMD_CREATE.rawValue, nil, nil, 0))
        let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        let root = OwnedFD(try checked(samara_fsmount(context.raw, UInt32(FSMOUNT_CLOEXEC), UInt32(attributes))))
        // Any directory serves as the mount point, and "/" is the only one that is sure to exist.
        _ = try checked(samara_move_mount(root.raw, "", AT_FDCWD, "/", UInt32(MOVE_MOUNT_F_EMPTY_PATH)))
        _ = try checked(fchdir(root.raw))
        // The old root ends up on top of the new one and is taken off again: pivot_root(2), NOTES.
        _ = try checked(samara_pivot_root(".", "."))
        _ = try checked(umount2(".", MNT_DETACH))
        _ = try checked(chdir("/"))
    }

    /// No new process and no byte in a file: RLIMIT_NPROC and RLIMIT_FSIZE 0, getrlimit(2).
    public static func forbidGrowth() throws(Errno) {
        var none = rlimit64()
        for resource in [samara_rlimit_processes, samara_rlimit_file_size] {
            _ = try checked(samara_setrlimit(resource, &none))
        }
    }

    /// Closes every descriptor from `first` on: `close_range(2)`.
    public static func closeDescriptors(from first: Int32) throws(Errno) {
        _ = try checked(samara_close_range(UInt32(first), UInt32.max, 0))
    }

    /// Raises the soft RLIMIT_NOFILE to the hard one and returns it.
    public static func raiseDescriptorLimit() -> Int { Int(clamping: samara_raise_descriptor_limit()) }

    /// Writing to a closed connection becomes EPIPE, also where there is no flag for it (`splice(2)`).
    public static func ignoreBrokenPipes() throws(Errno) { _ = try checked(samara_ignore_signal(SIGPIPE)) }
}
