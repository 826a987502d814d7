// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// A path or file name as the kernel has it: any bytes but NUL, not necessarily UTF-8.
public struct PathBytes: Hashable, Sendable, CustomStringConvertible {
    // Ends with a NUL so that a call needs no copy.
    private var terminated: [UInt8]

    /// `bytes` must not contain NUL.
    public init(_ bytes: some Sequence<UInt8>) {
        terminated = Array(bytes)
        precondition(!terminated.contains(0), "a path has no NUL inside")
        terminated.append(0)
    }

    public init(_ text: String) { self.init(text.utf8) }

    public var bytes: ArraySlice<UInt8> { terminated.dropLast() }
    public var count: Int { terminated.count - 1 }

    /// For people: what is not UTF-8 appears as the replacement character.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// Makes a system call with the name.
    func call<Result>(_ body: (UnsafePointer<CChar>) throws(Errno) -> Result) throws(Errno) -> Result {
        try terminated.withUnsafeBufferPointer { (buffer) throws(Errno) -> Result in
            // An array with a terminator is never empty, so it has an address.
            guard let base = buffer.baseAddress else { throw .invalidArgument }
            return try base.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
                (text) throws(Errno) -> Result in try body(text)
            }
        }
    }
}

/// A time to the nanosecond since the epoch: `timespec(3type)`.
public struct FileTime: Equatable, Sendable {
    public var seconds: Int64
    public var nanoseconds: Int64

    public init(seconds: Int64, nanoseconds: Int64) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Access and modification time alike, as `utimensat(2)` takes them.
    var both: [timespec] {
        let time = timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
        return [time, time]
    }
}

/// Calls on one name in an open directory, for names that are bytes. None follows a symbolic link in its last
/// component, except where stated.
public enum DirectoryEntry {
    /// `openat2(2)` from the directory `root` down, with RESOLVE_* bits.
    public static func open(
        _ path: PathBytes, _ flags: Int32, resolve: UInt64, in root: borrowing OwnedFD
    ) throws(Errno) -> OwnedFD {
        let directory = root.raw
        return OwnedFD(
            try path.call { (text) throws(Errno) -> Int32 in
                var how = open_how()
                how.flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
                how.resolve = resolve
                // Restricted resolution of ".." is EAGAIN when anything was mounted or renamed meanwhile, anywhere
                // on the machine: openat2(2), ERRORS.
                var attempts = 0
                while true {
                    do throws(Errno) {
                        return try retrying { samara_openat2(directory, text, &how, MemoryLayout<open_how>.size) }
                    } catch {
                        attempts += 1
                        if error != .resourceTemporarilyUnavailable || attempts == 1000 { throw error }
                    }
                }
            })
    }

    /// Makes a regular file that did not exist and opens it for writing: `openat(2)` O_EXCL, EEXIST otherwise.
    public static func create(
        _ name: PathBytes, mode: UInt32, in directory: borrowing OwnedFD
    ) throws(Errno) -> OwnedFD {
        let raw = directory.raw
        return OwnedFD(
            try name.call { (text) throws(Errno) -> Int32 in
                try retrying {
                    samara_openat(raw, text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
                }
            })
    }

    /// `mkdirat(2)`.
    public static func makeDirectory(
        _ name: PathBytes, mode: UInt32, in directory: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in try checked(mkdirat(raw, text, mode)) }
    }

    /// `symlinkat(2)`.
    public static func makeSymbolicLink(
        _ name: PathBytes, target: PathBytes, in directory: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in
            try target.call { (target) throws(Errno) -> Int32 in try checked(symlinkat(target, raw, text)) }
        }
    }

    /// `linkat(2)`: a further name for what `from` names.
    public static func makeHardLink(
        _ name: PathBytes, in directory: borrowing OwnedFD, from: PathBytes, in source: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        let sourceRaw = source.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in
            try from.call { (from) throws(Errno) -> Int32 in try checked(linkat(sourceRaw, from, raw, text, 0)) }
        }
    }

    /// `mkfifoat(3)`.
    public static func makeFIFO(
        _ name: PathBytes, mode: UInt32, in directory: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in try checked(mkfifoat(raw, text, mode)) }
    }

    /// Overlay's whiteout, a character device 0:0, which the kernel lets anybody make since 5.8: `mknodat(2)`.
    public static func makeWhiteout(_ name: PathBytes, in directory: borrowing OwnedFD) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in try checked(mknodat(raw, text, mode_t(S_IFCHR), 0)) }
    }

    /// `fstatat(2)` AT_SYMLINK_NOFOLLOW; nil if there is no such name.
    public static func status(
        _ name: PathBytes, in directory: borrowing OwnedFD
    ) throws(Errno) -> FileStatus? {
        let raw = directory.raw
        return try name.call { (text) throws(Errno) -> FileStatus? in
            var status = stat()
            if fstatat(raw, text, &status, AT_SYMLINK_NOFOLLOW) != 0 {
                let error = lastErrno()
                if error == .noSuchFileOrDirectory { return nil }
                throw error
            }
            return FileStatus(status)
        }
    }

    /// `unlinkat(2)`; `flags` may be AT_REMOVEDIR.
    public static func unlink(
        _ name: PathBytes, flags: Int32 = 0, in directory: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in try checked(unlinkat(raw, text, flags)) }
    }

    /// `renameat(2)`.
    public static func rename(
        _ name: PathBytes, in directory: borrowing OwnedFD, to target: PathBytes, in other: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        let otherRaw = other.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in
            try target.call { (target) throws(Errno) -> Int32 in try checked(renameat(raw, text, otherRaw, target)) }
        }
    }

    /// `fchownat(2)`.
    public static func setOwner(
        _ name: PathBytes, user: UInt32, group: UInt32, in directory: borrowing OwnedFD
    ) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in
            try checked(fchownat(raw, text, user, group, AT_SYMLINK_NOFOLLOW))
        }
    }

    /// `fchmodat(2)`; follows a symbolic link, so the name must not be one.
    public static func setMode(_ name: PathBytes, _ mode: UInt32, in directory: borrowing OwnedFD) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in try checked(fchmodat(raw, text, mode, 0)) }
    }

    /// Sets access and modification time: `utimensat(2)`.
    public static func setTimes(_ name: PathBytes, _ time: FileTime, in directory: borrowing OwnedFD) throws(Errno) {
        let raw = directory.raw
        _ = try name.call { (text) throws(Errno) -> Int32 in
            try checked(utimensat(raw, text, time.both, AT_SYMLINK_NOFOLLOW))
        }
    }

    /// `lsetxattr(2)` on a name in an open directory, reached through `/proc/self/fd`.
    public static func setExtendedAttribute(
        _ name: PathBytes, _ attribute: PathBytes, _ value: [UInt8], in directory: borrowing OwnedFD
    ) throws(Errno) {
        let path = PathBytes(Array("/proc/self/fd/\(directory.raw)/".utf8) + name.bytes)
        _ = try path.call { (path) throws(Errno) -> Int32 in
            try attribute.call { (attribute) throws(Errno) -> Int32 in
                try checked(lsetxattr(path, attribute, value, value.count, 0))
            }
        }
    }

    /// Opens the directory at `path` and takes `flock(2)` LOCK_EX on it; nil if another process has that.
    public static func openLockedIfFree(_ path: String) throws(Errno) -> OwnedFD? {
        let fd = try File.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        if flock(fd.raw, LOCK_EX | LOCK_NB) == 0 { return fd }
        let error = lastErrno()
        if error == .wouldBlock { return nil }
        throw error
    }

    /// Writes back everything of the file system that holds `fd`: `syncfs(2)`.
    public static func synchronizeFileSystem(of fd: borrowing OwnedFD) throws(Errno) {
        let raw = fd.raw
        _ = try retrying { syncfs(raw) }
    }
}

/// Attributes of an open file.
public enum OpenFile {
    /// `fchown(2)`.
    public static func setOwner(_ fd: borrowing OwnedFD, user: UInt32, group: UInt32) throws(Errno) {
        _ = try checked(fchown(fd.raw, user, group))
    }

    /// `fchmod(2)`.
    public static func setMode(_ fd: borrowing OwnedFD, _ mode: UInt32) throws(Errno) {
        _ = try checked(fchmod(fd.raw, mode))
    }

    /// Sets access and modification time: `futimens(3)`.
    public static func setTimes(_ fd: borrowing OwnedFD, _ time: FileTime) throws(Errno) {
        _ = try checked(futimens(fd.raw, time.both))
    }

    /// `fsetxattr(2)`.
    public static func setExtendedAttribute(
        _ fd: borrowing OwnedFD, _ attribute: PathBytes, _ value: [UInt8]
    ) throws(Errno) {
        let raw = fd.raw
        _ = try attribute.call { (attribute) throws(Errno) -> Int32 in
            try checked(fsetxattr(raw, attribute, value, value.count, 0))
        }
    }

    /// `fgetxattr(2)`; nil if the file has no such attribute or the file system none at all.
    public static func extendedAttribute(_ fd: borrowing OwnedFD, _ attribute: PathBytes) throws(Errno) -> [UInt8]? {
        let raw = fd.raw
        return try attribute.call { (attribute) throws(Errno) -> [UInt8]? in
            // XATTR_SIZE_MAX
            var value = [UInt8](repeating: 0, count: 65536)
            let count = fgetxattr(raw, attribute, &value, value.count)
            if count < 0 {
                let error = lastErrno()
                if error == .noData || error == .notSupported { return nil }
                throw error
            }
            return Array(value[..<count])
        }
    }

    /// `fremovexattr(2)`; absent is success.
    public static func removeExtendedAttribute(_ fd: borrowing OwnedFD, _ attribute: PathBytes) throws(Errno) {
        let raw = fd.raw
        try attribute.call { (attribute) throws(Errno) in
            if fremovexattr(raw, attribute) == 0 { return }
            let error = lastErrno()
            if error != .noData && error != .notSupported { throw error }
        }
    }

    /// Sets the length, leaving a hole where it grows: `ftruncate(2)`.
    public static func setLength(_ fd: borrowing OwnedFD, _ length: Int64) throws(Errno) {
        let raw = fd.raw
        _ = try retrying { ftruncate(raw, off_t(length)) }
    }

    /// Writes every byte at `offset`: `pwrite(2)`.
    public static func write(
        _ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64
    ) throws(Errno) {
        let raw = fd.raw
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            done += try retrying { pwrite(raw, rest.baseAddress, rest.count, off_t(offset) + off_t(done)) }
        }
    }

    /// Reads up to the buffer's size; 0 at the end: `read(2)`.
    public static func read(_ fd: borrowing OwnedFD, _ buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        let raw = fd.raw
        return try retrying { CLinux.read(raw, buffer.baseAddress, buffer.count) }
    }

    /// Moves the file position forward without reading: `lseek(2)`; ESPIPE for a pipe.
    public static func skip(_ fd: borrowing OwnedFD, _ count: Int64) throws(Errno) {
        _ = try checked(lseek(fd.raw, off_t(count), SEEK_CUR))
    }
}
