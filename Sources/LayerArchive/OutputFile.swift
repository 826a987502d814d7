// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// The file that `save -o` writes: an existing one is replaced only by a whole archive, and what is not a regular
/// file (a pipe, /dev/stdout) is written to directly.
package struct OutputFile: ~Copyable {
    private let path: String
    private let temporary: String?
    private let fd: OwnedFD

    private init(path: String, temporary: String?, fd: consuming OwnedFD) {
        self.path = path
        self.temporary = temporary
        self.fd = fd
    }

    package static func open(_ path: String) throws(LayerArchiveError) -> OutputFile {
        do {
            if let status = try? File.status(path), !status.isRegular {
                return OutputFile(path: path, temporary: nil, fd: try File.open(path, O_WRONLY))
            }
            let temporary = "\(path).\(Process.id).tmp"
            let fd = try File.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o644)
            return OutputFile(path: path, temporary: temporary, fd: fd)
        } catch {
            throw LayerArchiveError("write", path, error)
        }
    }

    /// Runs `body` with the open file, then puts the file in place; on failure nothing is left behind.
    package consuming func write(
        _ body: (borrowing OwnedFD) throws(LayerArchiveError) -> Void
    ) throws(LayerArchiveError) {
        do throws(LayerArchiveError) {
            try body(fd)
            try finish()
        } catch {
            // The first error is the one to report.
            if let temporary { try? File.unlink(temporary) }
            throw error
        }
    }

    private func finish() throws(LayerArchiveError) {
        guard let temporary else { return }
        do {
            // A full disk may show only here: on network file systems, and where blocks are allocated late.
            try File.synchronize(fd)
            try File.rename(temporary, path)
        } catch { throw LayerArchiveError("write", path, error) }
    }
}
