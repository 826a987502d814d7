// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Wakes up when something in a directory changes: `inotify(7)`.
public final class DirectoryWatch {
    private let fd: OwnedFD

    /// EMFILE and ENOSPC: the user's limits of instances and watches.
    public init() throws(Errno) { fd = OwnedFD(try checked(samara_inotify_init())) }

    /// Watches the files in `directory` for content, creation and renames.
    public func add(_ directory: String) throws(Errno) {
        _ = try checked(
            inotify_add_watch(fd.raw, directory, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM)))
    }

    /// For `PollSet`: readable when something changed.
    public var descriptor: Int32 { fd.raw }

    /// Forgets what has been reported; the caller looks at the files themselves.
    public func clear() {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
            while case .bytes = NonBlockingIO.read(fd.raw, into: buffer) {}
        }
    }
}
