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

    /// A descriptor that shares the lock, for a child process to hold: the lock ends when both are closed.
    public func share() throws(Errno) -> Int32 { try fd.duplicate().release() }
}
