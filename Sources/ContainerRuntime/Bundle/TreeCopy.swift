// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Copies a directory tree of an image, whose content is hostile, by descriptors: for `tmpcopyup`.
enum TreeCopy {
    private static let deepest = 64

    /// Copies everything below `source`: directories, files and links with owner and mode. Other kinds of files are an
    /// error, because a tmpfs copy of them would not be the same thing.
    static func copy(from source: borrowing OwnedFD, to target: borrowing OwnedFD, depth: Int = 0) throws(Errno) {
        if depth > deepest { throw .tooManySymbolicLinkLevels }
        for name in try Directory.names(".", at: source.raw) {
            let status = try File.status(name, follow: false, at: source.raw)
            if status.isSymbolicLink {
                try File.symlink(try File.readLink(name, at: source.raw), name, at: target.raw)
            } else if status.isDirectory {
                try Directory.make(name, mode: 0o700, at: target.raw)
                let child = try File.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: source.raw)
                let copied = try File.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target.raw)
                try copy(from: child, to: copied, depth: depth + 1)
                try own(copied, status)
            } else if status.isRegular {
                let child = try File.open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, at: source.raw)
                let copied = try File.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: target.raw)
                while try retrying({ samara_sendfile(copied.raw, child.raw, 1 << 30) }) > 0 {}
                try own(copied, status)
            } else {
                throw .notSupported
            }
        }
    }

    private static func own(_ fd: borrowing OwnedFD, _ status: FileStatus) throws(Errno) {
        _ = try checked(fchown(fd.raw, status.owner, status.group))
        _ = try checked(fchmod(fd.raw, status.permissions))
    }
}
