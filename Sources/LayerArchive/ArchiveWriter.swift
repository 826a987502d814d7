// SPDX-License-Identifier: Apache-2.0
import CArchive
import LinuxSystem

/// Writes a tar whose bytes depend only on what is put in: owner 0, time 0. archive_write(3).
final class ArchiveWriter {
    private let archive: OpaquePointer
    private let name: String

    /// Writes to `fd`, which the caller keeps open.
    init(to fd: borrowing OwnedFD, name: String) throws(LayerArchiveError) {
        guard let archive = archive_write_new() else { throw LayerArchiveError("write \(name): out of memory") }
        self.archive = archive
        self.name = name
        // ustar, with extended headers only where it is too small.
        archive_write_set_format_pax_restricted(archive)
        archive_write_set_bytes_per_block(archive, 256 << 10)
        archive_write_set_bytes_in_last_block(archive, 512)
        try check(archive_write_open_fd(archive, fd.raw))
    }

    deinit { archive_write_free(archive) }

    private func check(_ result: Int32) throws(LayerArchiveError) {
        if result == ARCHIVE_OK { return }
        throw LayerArchiveError(
            "write \(name): \(archive_error_string(archive).map { String(cString: $0) } ?? "it failed")")
    }

    /// Adds a file of exactly `size` bytes.
    func add(_ path: String, size: Int64, _ content: any ByteSource) throws(LayerArchiveError) {
        guard let entry = archive_entry_new() else { throw LayerArchiveError("write \(name): out of memory") }
        defer { archive_entry_free(entry) }
        archive_entry_set_pathname(entry, path)
        archive_entry_set_filetype(entry, 0o100000)
        archive_entry_set_perm(entry, 0o644)
        archive_entry_set_size(entry, size)
        archive_entry_set_mtime(entry, 0, 0)
        try check(archive_write_header(archive, entry))
        var written: Int64 = 0
        while true {
            let piece = try content.next()
            if piece.isEmpty { break }
            written += Int64(piece.count)
            // libarchive would drop what exceeds the header's size.
            if written > size { break }
            if archive_write_data(archive, piece.baseAddress, piece.count) != piece.count { try check(ARCHIVE_FATAL) }
        }
        if written != size {
            throw LayerArchiveError(
                "write \(name): \"\(path)\" has \(written) bytes instead of \(size); the image store is damaged")
        }
    }

    /// Adds a directory; some readers cannot make one that is missing.
    func addDirectory(_ path: String) throws(LayerArchiveError) {
        guard let entry = archive_entry_new() else { throw LayerArchiveError("write \(name): out of memory") }
        defer { archive_entry_free(entry) }
        archive_entry_set_pathname(entry, path)
        archive_entry_set_filetype(entry, 0o040000)
        archive_entry_set_perm(entry, 0o755)
        archive_entry_set_mtime(entry, 0, 0)
        try check(archive_write_header(archive, entry))
    }

    /// Adds a document.
    func add(_ path: String, _ bytes: [UInt8]) throws(LayerArchiveError) {
        try add(path, size: Int64(bytes.count), BytesSource(bytes))
    }

    /// Writes the end of the archive.
    func finish() throws(LayerArchiveError) { try check(archive_write_close(archive)) }
}

/// Bytes in memory.
package final class BytesSource: ByteSource {
    private let bytes: UnsafeMutableRawBufferPointer
    private var isSpent = false

    package init(_ content: [UInt8]) {
        bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 1)
        bytes.copyBytes(from: content)
    }

    deinit { bytes.deallocate() }

    package func next() -> UnsafeRawBufferPointer {
        defer { isSpent = true }
        return isSpent ? UnsafeRawBufferPointer(start: nil, count: 0) : UnsafeRawBufferPointer(bytes)
    }
}
