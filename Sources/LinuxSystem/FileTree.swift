// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Whole directory trees whose content is not ours: any names, any depth.
public enum FileTree {
    /// A tree deeper than this is cut into pieces while it is removed: each level holds a descriptor.
    private static let deepest = 64

    /// Removes `path` and everything below it; missing is success. Follows no symbolic link.
    ///
    /// Names are taken as bytes, and depth is bounded only by the file system: a directory below the 64th level is
    /// first renamed to the top of the tree.
    public static func remove(_ path: String) throws(Errno) { try remove(PathBytes(path), at: AT_FDCWD) }

    /// As `remove(_:)`, for a name in an open directory.
    public static func remove(_ name: PathBytes, in directory: borrowing OwnedFD) throws(Errno) {
        try remove(name, at: directory.raw)
    }

    private static func remove(_ path: PathBytes, at directory: Int32) throws(Errno) {
        do {
            try unlink(path, 0, at: directory)
            return
        } catch .noSuchFileOrDirectory { return } catch .isDirectory {} catch .notPermitted {}
        // unlink(2) of a directory is EISDIR on Linux, EPERM in POSIX and on some file systems.
        do {
            let top = try openDirectory(path, at: directory)
            var pieces = 0
            repeat {
                pieces = 0
                try removeContents(top, top: top, depth: 0, pieces: &pieces)
            } while pieces > 0
        } catch .noSuchFileOrDirectory { return }
        do { try unlink(path, AT_REMOVEDIR, at: directory) } catch .noSuchFileOrDirectory {}
    }

    /// `rmdir(2)`: fails with ENOTEMPTY or EBUSY when something is there or mounted.
    public static func removeEmptyDirectory(_ path: String) throws(Errno) {
        try unlink(PathBytes(path), AT_REMOVEDIR, at: AT_FDCWD)
    }

    private static func unlink(_ path: PathBytes, _ flags: Int32, at directory: Int32) throws(Errno) {
        _ = try path.call { (text) throws(Errno) -> Int32 in try checked(unlinkat(directory, text, flags)) }
    }

    private static func removeContents(
        _ directory: borrowing OwnedFD, top: borrowing OwnedFD, depth: Int, pieces: inout Int
    ) throws(Errno) {
        for name in try names(directory) {
            do { try DirectoryEntry.unlink(name, in: directory) } catch .noSuchFileOrDirectory {} catch {
                if error != .isDirectory && error != .notPermitted { throw error }
                // Most directories are empty by now: overlay's, and mount points.
                if (try? DirectoryEntry.unlink(name, flags: AT_REMOVEDIR, in: directory)) != nil { continue }
                if depth >= deepest {
                    let child = try openDirectory(name, at: directory.raw)
                    try child.close()
                    try DirectoryEntry.rename(name, in: directory, to: try unusedName(top), in: top)
                    pieces += 1
                    continue
                }
                do {
                    let child = try openDirectory(name, at: directory.raw)
                    try removeContents(child, top: top, depth: depth + 1, pieces: &pieces)
                } catch .noSuchFileOrDirectory { continue }
                try DirectoryEntry.unlink(name, flags: AT_REMOVEDIR, in: directory)
            }
        }
    }

    private static func unusedName(_ top: borrowing OwnedFD) throws(Errno) -> PathBytes {
        var generator = SystemRandomNumberGenerator()
        while true {
            let name = PathBytes("removing-" + String(generator.next() as UInt64, radix: 36))
            if try DirectoryEntry.status(name, in: top) == nil { return name }
        }
    }

    /// Opens a directory, made accessible first: images contain ones that their owner cannot enter.
    private static func openDirectory(_ name: PathBytes, at directory: Int32) throws(Errno) -> OwnedFD {
        OwnedFD(
            try name.call { (text) throws(Errno) -> Int32 in
                var status = stat()
                _ = try checked(fstatat(directory, text, &status, AT_SYMLINK_NOFOLLOW))
                if FileStatus(status).isDirectory, status.st_mode & 0o700 != 0o700 {
                    _ = try checked(fchmodat(directory, text, 0o700, 0))
                }
                return try retrying {
                    samara_openat(directory, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
                }
            })
    }

    /// The names in an open directory, without "." and "..".
    static func names(_ directory: borrowing OwnedFD) throws(Errno) -> [PathBytes] {
        // fdopendir takes the descriptor over, and a duplicate would share the position.
        let fd = try File.open(".", O_RDONLY | O_DIRECTORY, at: directory.raw)
        guard let stream = fdopendir(fd.raw) else { throw lastErrno() }
        _ = fd.release()
        defer { closedir(stream) }
        var names: [PathBytes] = []
        samara_set_errno(0)
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 }.map { $0 } }
            if name != [0x2e], name != [0x2e, 0x2e] { names.append(PathBytes(name)) }
            samara_set_errno(0)
        }
        if samara_errno() != 0 { throw lastErrno() }
        return names
    }
}
