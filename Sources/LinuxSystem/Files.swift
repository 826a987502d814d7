// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// The current directory as the base of an `*at` call: AT_FDCWD.
public let currentDirectory: Int32 = AT_FDCWD

/// What a path names, from `statx`/`fstatat(2)`.
public struct FileStatus: Sendable {
    public var mode: UInt32
    public var owner: UInt32
    public var group: UInt32
    public var size: Int64
    public var device: UInt64
    public var inode: UInt64
    public var links: UInt64
    public var modifiedSeconds: Int64
    /// 0 to 999,999,999.
    public var modifiedNanoseconds: Int64
    /// The device a character or block special file stands for.
    public var specialDevice: UInt64

    public var isDirectory: Bool { mode & 0o170000 == 0o040000 }
    public var isRegular: Bool { mode & 0o170000 == 0o100000 }
    public var isSymbolicLink: Bool { mode & 0o170000 == 0o120000 }
    public var isCharacterDevice: Bool { mode & 0o170000 == 0o020000 }
    public var isSocket: Bool { mode & 0o170000 == 0o140000 }
    /// The permission, set-id and sticky bits.
    public var permissions: UInt32 { mode & 0o7777 }

    init(_ raw: stat) {
        mode = raw.st_mode
        owner = raw.st_uid
        group = raw.st_gid
        size = Int64(raw.st_size)
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        links = UInt64(raw.st_nlink)
        modifiedSeconds = Int64(raw.st_mtim.tv_sec)
        modifiedNanoseconds = Int64(raw.st_mtim.tv_nsec)
        specialDevice = UInt64(raw.st_rdev)
    }
}

/// Kernel files by path or descriptor: one function per call, always close-on-exec.
public enum File {
    /// `openat(2)`; `flags` are O_* bits, O_CLOEXEC is added.
    public static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0, at directory: Int32 = AT_FDCWD
    ) throws(Errno) -> OwnedFD {
        OwnedFD(try retrying { samara_openat(directory, path, flags | O_CLOEXEC, mode) })
    }

    /// `openat2(2)` with RESOLVE_* bits; fails with EXDEV or ELOOP where resolution would leave what `resolve` allows.
    public static func open2(
        _ path: String, _ flags: Int32, mode: UInt32 = 0, resolve: UInt64, at directory: Int32
    ) throws(Errno) -> OwnedFD {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        how.mode = UInt64(mode)
        how.resolve = resolve
        return OwnedFD(
            try retrying { samara_openat2(directory, path, &how, MemoryLayout<open_how>.size) })
    }

    /// An anonymous file in memory: `memfd_create(2)`.
    public static func memory(_ name: String) throws(Errno) -> OwnedFD {
        OwnedFD(try checked(memfd_create(name, UInt32(MFD_CLOEXEC))))
    }

    /// The whole content, whatever the current offset: `lseek(2)`, then `readAll`.
    public static func readFromStart(_ fd: borrowing OwnedFD) throws(Errno) -> [UInt8] {
        _ = try checked(lseek(fd.raw, 0, SEEK_SET))
        return try readAll(fd)
    }

    /// Reads until the end: `read(2)`. Throws EFBIG beyond `limit` bytes, because every record has a bound.
    public static func readAll(_ fd: borrowing OwnedFD, limit: Int = 64 << 20) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        var status = stat()
        if fstat(fd.raw, &status) == 0, status.st_size > 0, status.st_size <= limit {
            bytes.reserveCapacity(Int(status.st_size))
        }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = try retrying { CLinux.read(fd.raw, &buffer, buffer.count) }
            if count == 0 { return bytes }
            if bytes.count + count > limit { throw .fileTooLarge }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    /// The whole content of a regular file or of a file of procfs that answers one `read(2)` with all it has, as most do:
    /// open, read, close. Longer content than the buffer is read on until the end.
    public static func readRecord(
        _ path: String, limit: Int = 64 << 20, at directory: Int32 = AT_FDCWD
    ) throws(Errno) -> [UInt8] {
        let fd = try open(path, O_RDONLY, at: directory)
        let raw = fd.raw
        let capacity = 8 << 10
        var failure: Errno?
        var isWhole = true
        var bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            do throws(Errno) {
                count = try retrying { CLinux.read(raw, buffer.baseAddress, capacity) }
                isWhole = count < capacity
            } catch { failure = error }
        }
        if let failure { throw failure }
        if !isWhole { bytes += try readAll(fd, limit: limit - bytes.count) }
        if bytes.count > limit { throw .fileTooLarge }
        return bytes
    }

    /// The whole content of the file at `path`.
    public static func read(
        _ path: String, limit: Int = 64 << 20, at directory: Int32 = AT_FDCWD
    ) throws(Errno) -> [UInt8] {
        let fd = try open(path, O_RDONLY, at: directory)
        return try readAll(fd, limit: limit)
    }

    /// Writes every byte: `write(2)`.
    public static func writeAll(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let slice = UnsafeRawBufferPointer(rebasing: rest)
            let count = try retrying { CLinux.write(fd, slice.baseAddress, slice.count) }
            rest = rest.dropFirst(count)
        }
    }

    /// Writes every byte of `bytes`: `write(2)`.
    public static func writeAll(_ fd: Int32, _ bytes: [UInt8]) throws(Errno) {
        var failure: Errno?
        bytes.withUnsafeBytes { buffer in
            do throws(Errno) { try writeAll(fd, buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes or truncates `path` and writes `bytes`. Not atomic; see `replace`.
    public static func write(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644, flags: Int32 = O_CREAT | O_TRUNC,
        at directory: Int32 = AT_FDCWD
    ) throws(Errno) {
        let fd = try open(path, O_WRONLY | flags, mode: mode, at: directory)
        try writeAll(fd.raw, bytes)
        try fd.close()
    }

    /// Replaces `path` so that a reader sees the old or the new content, never a part: a temporary name in the
    /// same directory, then `rename(2)`. `durable` adds `fsync(2)` before the rename.
    public static func replace(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o600, durable: Bool = false
    ) throws(Errno) {
        let temporary = "\(path).\(samara_getpid()).tmp"
        do {
            let fd = try open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
            try writeAll(fd.raw, bytes)
            if durable { try synchronize(fd) }
            try fd.close()
            try rename(temporary, path)
        } catch {
            _ = CLinux.unlink(temporary)
            throw error
        }
    }

    /// `fsync(2)`.
    public static func synchronize(_ fd: borrowing OwnedFD) throws(Errno) {
        let raw = fd.raw
        _ = try retrying { CLinux.fsync(raw) }
    }

    /// `renameat(2)`.
    public static func rename(
        _ from: String, _ to: String, at directory: Int32 = AT_FDCWD
    ) throws(Errno) {
        _ = try checked(CLinux.renameat(directory, from, directory, to))
    }

    /// `unlinkat(2)`; `flags` may be AT_REMOVEDIR.
    public static func unlink(
        _ path: String, flags: Int32 = 0, at directory: Int32 = AT_FDCWD
    ) throws(Errno) {
        _ = try checked(CLinux.unlinkat(directory, path, flags))
    }

    /// `symlinkat(2)`: fails with EEXIST if `path` is taken, which makes it an exclusive create that carries data.
    public static func symlink(
        _ target: String, _ path: String, at directory: Int32 = AT_FDCWD
    ) throws(Errno) {
        _ = try checked(CLinux.symlinkat(target, directory, path))
    }

    /// `readlinkat(2)`.
    public static func readLink(_ path: String, at directory: Int32 = AT_FDCWD) throws(Errno) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try checked(samara_readlinkat(directory, path, &buffer, buffer.count))
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// `fstatat(2)`; does not follow a final symbolic link unless asked.
    public static func status(
        _ path: String, follow: Bool = true, at directory: Int32 = AT_FDCWD
    ) throws(Errno) -> FileStatus {
        var raw = stat()
        _ = try checked(fstatat(directory, path, &raw, follow ? 0 : AT_SYMLINK_NOFOLLOW))
        return FileStatus(raw)
    }

    /// `fstat(2)`.
    public static func status(_ fd: borrowing OwnedFD) throws(Errno) -> FileStatus {
        var raw = stat()
        _ = try checked(fstat(fd.raw, &raw))
        return FileStatus(raw)
    }

    /// Whether `path` names anything; a dangling symbolic link counts.
    public static func exists(_ path: String, at directory: Int32 = AT_FDCWD) -> Bool {
        (try? status(path, follow: false, at: directory)) != nil
    }
}
