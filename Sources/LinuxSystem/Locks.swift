// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// An exclusive `flock(2)` on a file, released when the value ends or the process dies.
///
/// A child made by clone shares the lock until it closes the descriptor or executes a program.
public struct FileLock: ~Copyable {
    private let fd: OwnedFD

    private init(holding fd: consuming OwnedFD) { self.fd = fd }

    /// Waits for the lock. The file is made if missing. Its holder may remove it: whoever waited meanwhile has locked a
    /// file without a name and starts again, so that there are never two holders.
    public static func acquire(_ path: String) throws(Errno) -> FileLock {
        while true {
            let fd = try File.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            let raw = fd.raw
            _ = try retrying { flock(raw, LOCK_EX) }
            if isNamed(fd, path) { return FileLock(holding: fd) }
        }
    }

    /// Waits for the lock of the directory at `path`; nil if there is none. Whoever waited while it was renamed or
    /// removed has locked what nobody finds, and gets nil.
    public static func acquire(directory path: String) throws(Errno) -> FileLock? {
        let fd: OwnedFD
        do throws(Errno) { fd = try File.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw error
        }
        let raw = fd.raw
        _ = try retrying { flock(raw, LOCK_EX) }
        return isNamed(fd, path) ? FileLock(holding: fd) : nil
    }

    /// Waits for the lock of the file at `path`, which exists and stays.
    public static func take(file path: String) throws(Errno) -> FileLock {
        let fd = try File.open(path, O_RDWR | O_NOFOLLOW)
        let raw = fd.raw
        _ = try retrying { flock(raw, LOCK_EX) }
        return FileLock(holding: fd)
    }

    /// What the locked file contains.
    public func content(limit: Int) throws(Errno) -> [UInt8] { try File.readAll(fd, limit: limit) }

    /// Writes `bytes` at the end of the locked file, which `offset` is.
    public func append(_ bytes: [UInt8], at offset: Int) throws(Errno) {
        var failure: Errno?
        bytes.withUnsafeBytes { buffer in
            do throws(Errno) { try OpenFile.write(fd, buffer, at: Int64(offset)) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes `bytes` the content of the locked file, in place.
    public func replace(with bytes: [UInt8]) throws(Errno) {
        try append(bytes, at: 0)
        try OpenFile.setLength(fd, Int64(bytes.count))
    }

    /// The lock of a directory that nobody else knows yet.
    public static func take(_ directory: consuming OwnedFD) throws(Errno) -> FileLock {
        let raw = directory.raw
        _ = try retrying { flock(raw, LOCK_EX | LOCK_NB) }
        return FileLock(holding: directory)
    }

    private static func isNamed(_ fd: borrowing OwnedFD, _ path: String) -> Bool {
        guard let held = try? File.status(fd), let named = try? File.status(path, follow: false) else { return false }
        return held.inode == named.inode && held.device == named.device
    }

    /// Takes the lock only if nobody holds it; nil otherwise.
    public static func acquireIfFree(_ path: String) throws(Errno) -> FileLock? {
        let fd = try File.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        if flock(fd.raw, LOCK_EX | LOCK_NB) != 0 {
            let error = lastErrno()
            if error == .wouldBlock { return nil }
            throw error
        }
        if !isNamed(fd, path) { return nil }
        return FileLock(holding: fd)
    }

    /// Gives up ownership of the descriptor that holds the lock. A child made by fork has it too: the lock ends when both
    /// have closed it.
    public consuming func release() -> Int32 { fd.release() }
}
