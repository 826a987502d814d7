// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// `export`: a directory tree as a tar without compression.
package enum TreeExport {
    package static func write(
        _ tree: borrowing OwnedFD, to fd: borrowing OwnedFD, name: String
    ) throws(LayerArchiveError) {
        let writer = try ArchiveWriter(to: fd, name: name)
        var archiver = TreeArchiver(writer, .plain)
        try archiver.archive(tree)
        try writer.finish()
    }
}
