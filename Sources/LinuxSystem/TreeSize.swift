// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

extension FileTree {
    /// Bytes of the regular files below a directory, each file once however many links it has: `nftw(3)`'s work with
    /// descriptors. What disappears meanwhile does not count, nor does what may not be entered.
    public static func size(_ path: String) throws(Errno) -> Int64 {
        var counted: Set<FileIdentity> = []
        return try size(try File.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), &counted)
    }

    private struct FileIdentity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private static func size(_ directory: borrowing OwnedFD, _ counted: inout Set<FileIdentity>) throws(Errno) -> Int64
    {
        var total: Int64 = 0
        for name in try names(directory) {
            guard let status = try? DirectoryEntry.status(name, in: directory) else { continue }
            if status.isRegular {
                if status.links > 1, !counted.insert(FileIdentity(device: status.device, inode: status.inode)).inserted
                {
                    continue
                }
                total += status.size
            } else if status.isDirectory {
                guard
                    let child = try? DirectoryEntry.open(
                        name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: 0, in: directory)
                else {
                    continue
                }
                total += try size(child, &counted)
            }
        }
        return total
    }
}
