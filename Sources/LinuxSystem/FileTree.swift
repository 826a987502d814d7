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
    public static func remove(_ path: String, at directory: Int32 = AT_FDCWD) throws(Errno) {
        if unlinkat(directory, path, 0) == 0 { return }
        let error = lastErrno()
        if error == .noSuchFileOrDirectory { return }
        // unlink(2) of a directory is EISDIR on Linux, EPERM in POSIX and on some file systems.
        if error != .isDirectory && error != .notPermitted { throw error }
        do {
            let top = try openDirectory(PathBytes(path), at: directory)
            var pieces = 0
            repeat {
                pieces = 0
                try removeContents(top, top: top, depth: 0, pieces: &pieces)
            } while pieces > 0
        } catch .noSuchFileOrDirectory { return }
        if unlinkat(directory, path, AT_REMOVEDIR) != 0 {
            let error = lastErrno()
            if error != .noSuchFileOrDirectory { throw error }
        }
    }

    private static func removeContents(
        _ directory: borrowing OwnedFD, top: borrowing OwnedFD, depth: Int, pieces: inout Int
    ) throws(Errno) {
        for name in try names(directory) {
            do { try DirectoryEntry.unlink(name, in: directory) } catch .noSuchFileOrDirectory {} catch {
                if error != .isDirectory && error != .notPermitted { throw error }
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
        try name.call { (text) throws(Errno) -> OwnedFD in
            let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
            var status = stat()
            _ = try checked(fstatat(directory, text, &status, AT_SYMLINK_NOFOLLOW))
            if status.st_mode & S_IFMT == S_IFDIR, status.st_mode & 0o700 != 0o700 {
                _ = try checked(fchmodat(directory, text, 0o700, 0))
            }
            return OwnedFD(try retrying { samara_openat(directory, text, flags, 0) })
        }
    }

    /// The names in an open directory, without "." and "..".
    private static func names(_ directory: borrowing OwnedFD) throws(Errno) -> [PathBytes] {
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
