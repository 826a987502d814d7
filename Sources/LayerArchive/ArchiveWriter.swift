// SPDX-License-Identifier: Apache-2.0
import CArchive
import LinuxSystem

/// Writes a tar whose bytes depend only on what is put in: archive_write(3).
final class ArchiveWriter: ImageOutput {
    private let archive: OpaquePointer
    let name: String
    /// Where the bytes go; nil when libarchive writes to a descriptor itself.
    private let output: (any ByteSink)?
    /// What the output threw inside a callback; libarchive only knows that it failed.
    private var failure: LayerArchiveError?

    /// Writes to `fd`, which the caller keeps open.
    init(to fd: borrowing OwnedFD, name: String) throws(LayerArchiveError) {
        guard let archive = archive_write_new() else { throw LayerArchiveError("write \(name): out of memory") }
        self.archive = archive
        self.name = name
        output = nil
        configure()
        try check(archive_write_open_fd(archive, fd.raw))
    }

    /// Writes to `output`.
    init(to output: any ByteSink, name: String) throws(LayerArchiveError) {
        guard let archive = archive_write_new() else { throw LayerArchiveError("write \(name): out of memory") }
        self.archive = archive
        self.name = name
        self.output = output
        configure()
        let context = Unmanaged.passUnretained(self).toOpaque()
        try check(
            archive_write_open2(
                archive, context, nil,
                { _, context, bytes, count in
                    // SAFETY: libarchive calls back only within calls that this object makes, so it is alive.
                    guard let context else { return -1 }
                    return Unmanaged<ArchiveWriter>.fromOpaque(context).takeUnretainedValue()
                        .put(UnsafeRawBufferPointer(start: bytes, count: count))
                }, nil, nil))
    }

    private func configure() {
        // ustar, with extended headers only where it is too small; attributes once, in the form that images use.
        archive_write_set_format_pax_restricted(archive)
        archive_write_set_format_option(archive, "pax", "xattrheader", "SCHILY")
        archive_write_set_bytes_per_block(archive, 256 << 10)
        archive_write_set_bytes_in_last_block(archive, 512)
    }

    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        do throws(LayerArchiveError) { try output?.write(bytes) } catch {
            failure = error
            return -1
        }
        return bytes.count
    }

    deinit { archive_write_free(archive) }

    private func check(_ result: Int32) throws(LayerArchiveError) {
        if let failure { throw failure }
        if result == ARCHIVE_OK { return }
        // libarchive wants names in the locale's character set, and writes bytes that are not in it as they are.
        if result == ARCHIVE_WARN { return }
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
        try addContent(path, size: size, content)
    }

    private func addContent(
        _ path: String, size: Int64, _ content: any ByteSource
    ) throws(LayerArchiveError) {
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

    /// What a file of a tree is: the header of its entry.
    struct Header {
        var path: [UInt8]
        var status: FileStatus
        /// Extended attributes.
        var attributes: [(name: [UInt8], value: [UInt8])] = []
        var symbolicLinkTarget: [UInt8]?
        var hardLinkTarget: [UInt8]?

        /// An empty regular file of root's: a whiteout.
        static func marker(_ path: [UInt8], like status: FileStatus) -> Header {
            var header = Header(path: path, status: status)
            header.status.mode = 0o100000
            header.status.size = 0
            (header.status.owner, header.status.group) = (0, 0)
            return header
        }
    }

    /// Adds a file of a tree; of a regular one without `hardLinkTarget`, exactly `status.size` bytes of `content`.
    func add(_ header: Header, _ content: (any ByteSource)? = nil) throws(LayerArchiveError) {
        guard let entry = archive_entry_new() else { throw LayerArchiveError("write \(name): out of memory") }
        defer { archive_entry_free(entry) }
        let status = header.status
        header.path.withCString { archive_entry_set_pathname(entry, $0) }
        archive_entry_set_mode(entry, status.mode)
        archive_entry_set_uid(entry, Int64(status.owner))
        archive_entry_set_gid(entry, Int64(status.group))
        archive_entry_set_mtime(entry, Int(status.modifiedSeconds), Int(status.modifiedNanoseconds))
        archive_entry_set_size(entry, 0)
        if let target = header.symbolicLinkTarget { target.withCString { archive_entry_set_symlink(entry, $0) } }
        if let target = header.hardLinkTarget {
            target.withCString { archive_entry_set_hardlink(entry, $0) }
        } else if status.isRegular {
            archive_entry_set_size(entry, status.size)
        } else if status.isCharacterDevice || status.mode & 0o170000 == 0o060000 {
            archive_entry_set_rdev(entry, UInt(status.specialDevice))
        }
        for (name, value) in header.attributes {
            name.withCString { archive_entry_xattr_add_entry(entry, $0, value, value.count) }
        }
        try check(archive_write_header(archive, entry))
        if let content, header.hardLinkTarget == nil, status.isRegular {
            try addContent(EntryPath.display(header.path), size: status.size, content)
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

/// Where a stream of bytes goes. A class, because libarchive's callbacks hold it by address.
protocol ByteSink: AnyObject {
    func write(_ bytes: UnsafeRawBufferPointer) throws(LayerArchiveError)
}

extension [UInt8] {
    /// The bytes with a NUL at their end.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        (self + [0]).withUnsafeBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                guard let base = text.baseAddress else {
                    preconditionFailure("an array with a terminator is not empty")
                }
                return body(base)
            }
        }
    }
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
