// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Keeps containers from overwriting this program through /proc/PID/exe (CVE-2019-5736).
///
/// A container that executes `/proc/self/exe` (as its program, or as the interpreter of a script) runs this very file,
/// and another of its processes can then reopen it for writing. Permission does not help where the container's root
/// is the file's owner: as root, and where the user installed the program for themselves. So in these two cases the
/// program first executes itself again from a copy of its own mount that is read-only and not attached anywhere: no
/// path leads to it, and every reopening for writing is EROFS.
public enum SelfProtection {
    /// Call before anything else in a process that will start containers. Returns if the running image is safe.
    public static func ensure(_ arguments: [String]) throws(LaunchError) {
        do throws(Errno) {
            // One call decides the usual case: an installed program that belongs to somebody else.
            let status = try File.status("/proc/self/exe")
            if !isWritable(status) { return }
            let own = try File.open("/proc/self/exe", O_PATH)
            if try isProtected(own) { return }
            // The copy's own link says nothing about where its siblings are installed.
            setenv(pathVariable, try File.readLink("/proc/self/exe"), 1)
            let image = try protectedImage(own)
            try execute(image, arguments)
        } catch {
            throw LaunchError(stage: .descriptors, errno: error, subject: "/proc/self/exe")
        }
    }

    /// Where this program is installed, also after it has executed itself from the copy.
    public static var programPath: String {
        let link = (try? File.readLink("/proc/self/exe")) ?? ""
        // The root of a detached mount of one file, or a file in memory.
        guard link == "/" || link.hasPrefix("/memfd:") else { return link }
        return Identity.environment(pathVariable) ?? link
    }

    private static let pathVariable = "SAMARA_PROGRAM"

    private static func isProtected(_ own: borrowing OwnedFD) throws(Errno) -> Bool {
        var filesystem = statfs()
        _ = try checked(fstatfs(own.raw, &filesystem))
        if filesystem.f_flags & stReadOnly != 0 { return true }
        // Of a memfd, seals say it; its link reads "/memfd:samara (deleted)".
        if let link = try? File.readLink("/proc/self/exe"), link.hasPrefix("/memfd:"),
            let readable = try? File.open("/proc/self/exe", O_RDONLY),
            samara_fcntl(readable.raw, F_GET_SEALS_VALUE, 0) & F_SEAL_WRITE_VALUE != 0
        {
            return true
        }
        return false
    }

    /// Whether a process with the ids that a container may have could write to the running image.
    private static func isWritable(_ status: FileStatus) -> Bool {
        let (user, group) = Identity.atStart
        if user == 0 { return true }
        // An owner can always make it writable; others only use the bits that are there.
        return status.owner == user || (status.group == group && status.permissions & 0o020 != 0)
            || status.permissions & 0o002 != 0
    }

    private static func protectedImage(_ own: borrowing OwnedFD) throws(Errno) -> OwnedFD {
        if let image = try? readOnlyMount(own) { return image }
        // Mounting needs privilege in a mount namespace, which a process in a new user namespace has there.
        if let image = try? borrowedMount() { return image }
        return try sealedCopy()
    }

    private static func readOnlyMount(_ own: borrowing OwnedFD) throws(Errno) -> OwnedFD {
        let tree = OwnedFD(
            try checked(
                samara_open_tree(own.raw, "", UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_EMPTY_PATH))))
        var attributes = mount_attr()
        attributes.attr_set = UInt64(MOUNT_ATTR_RDONLY)
        _ = try checked(
            samara_mount_setattr(tree.raw, "", UInt32(AT_EMPTY_PATH), &attributes, MemoryLayout<mount_attr>.size))
        return tree
    }

    /// The read-only mount as a child with a user namespace of its own makes it, passed back as a descriptor.
    private static func borrowedMount() throws(Errno) -> OwnedFD {
        let path = try File.readLink("/proc/self/exe")
        let running = try File.status("/proc/self/exe")
        let pair = try UnixSocket.pair(type: SOCK_SEQPACKET_VALUE).release()
        let pid = try Process.fork()
        if pid == 0 {
            // By its path, because the link leads into the former mount namespace, whose mounts cannot be copied here;
            // and only if that is still the same file.
            if samara_unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, let own = try? File.open(path, O_PATH),
                let opened = try? File.status(own), opened.inode == running.inode, opened.device == running.device,
                let tree = try? readOnlyMount(own)
            {
                _ = try? UnixSocket.send(pair.second, [1], descriptors: [tree.raw])
            }
            Process.exitNow(0)
        }
        let mine = OwnedFD(pair.first)
        _ = OwnedFD(pair.second)
        let message = try UnixSocket.receive(mine.raw, limit: 1, descriptorLimit: 1)
        _ = try Process.wait(pid: pid)
        guard let descriptor = message.descriptors.first else { throw .notPermitted }
        return OwnedFD(descriptor)
    }

    private static func sealedCopy() throws(Errno) -> OwnedFD {
        let source = try File.open("/proc/self/exe", O_RDONLY)
        let copy = OwnedFD(try checked(memfd_create("samara", UInt32(MFD_CLOEXEC | MFD_ALLOW_SEALING))))
        while try retrying({ samara_sendfile(copy.raw, source.raw, 1 << 30) }) > 0 {}
        _ = try checked(samara_fcntl(copy.raw, F_ADD_SEALS_VALUE, Int(F_SEAL_WRITE_VALUE | F_SEAL_ALL_VALUE)))
        return copy
    }

    private static func execute(_ image: borrowing OwnedFD, _ arguments: [String]) throws(Errno) {
        let argv = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        _ = try checked(samara_execveat(image.raw, "", argv, samara_environ(), AT_EMPTY_PATH))
    }

    /// ST_RDONLY: statfs(2).
    private static let stReadOnly = 1
}
