// SPDX-License-Identifier: Apache-2.0
import CArchive

/// libarchive's reader over a `ByteSource`: archive_read(3).
final class ArchiveReader {
    enum Content {
        /// A layer: tar, no compression.
        case tar
        /// A layer's blob that is not gzip: one stream, decompressed when it is zstd.
        case compressedStream
        /// An image archive: tar, compressed by anything that people compress archives with.
        case compressedTar
    }

    private let archive: OpaquePointer
    private let source: any ByteSource
    /// What error messages call the archive.
    private let name: String
    /// What the source threw inside a callback; libarchive only knows that it failed.
    private var failure: LayerArchiveError?
    private(set) var entry = ArchiveEntry(pointer: nil)

    init(_ source: any ByteSource, _ content: Content, name: String) throws(LayerArchiveError) {
        guard let archive = archive_read_new() else { throw LayerArchiveError("read \(name): out of memory") }
        self.archive = archive
        self.source = source
        self.name = name
        // A result of ARCHIVE_WARN means that an external program would be used; it is found when it is needed.
        switch content {
        case .tar:
            archive_read_support_format_tar(archive)
            archive_read_support_format_empty(archive)
        case .compressedStream:
            archive_read_support_filter_zstd(archive)
            archive_read_support_format_raw(archive)
            archive_read_support_format_empty(archive)
        case .compressedTar:
            archive_read_support_filter_gzip(archive)
            archive_read_support_filter_zstd(archive)
            archive_read_support_filter_xz(archive)
            archive_read_support_filter_bzip2(archive)
            archive_read_support_format_tar(archive)
        }
        let context = Unmanaged.passUnretained(self).toOpaque()
        let result = archive_read_open2(
            archive, context, nil,
            { _, context, piece in ArchiveReader.from(context)?.read(into: piece) ?? -1 },
            { _, context, count in ArchiveReader.from(context)?.source.skip(count) ?? 0 },
            nil)
        try check(result)
    }

    deinit { archive_read_free(archive) }

    // SAFETY: libarchive calls back only within calls that this object makes, so it is alive.
    private static func from(_ context: UnsafeMutableRawPointer?) -> ArchiveReader? {
        context.map { Unmanaged<ArchiveReader>.fromOpaque($0).takeUnretainedValue() }
    }

    private func read(into piece: UnsafeMutablePointer<UnsafeRawPointer?>?) -> Int {
        do throws(LayerArchiveError) {
            let bytes = try source.next()
            piece?.pointee = bytes.baseAddress
            return bytes.count
        } catch {
            failure = error
            return -1
        }
    }

    private var errorText: String {
        archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
    }

    private func check(_ result: Int32) throws(LayerArchiveError) {
        if let failure { throw failure }
        if result == ARCHIVE_OK { return }
        if result == ARCHIVE_WARN {
            // libarchive wants names in the locale's character set. Where it cannot convert one it hands over the
            // bytes as they are, which is what is wanted here. Any other warning means something was left out.
            if errorText.contains("can't be converted") { return }
        }
        throw LayerArchiveError("read \(name): \(errorText)")
    }

    /// Moves to the next entry; false at the end.
    func next() throws(LayerArchiveError) -> Bool {
        var pointer: OpaquePointer?
        let result = archive_read_next_header(archive, &pointer)
        if result == ARCHIVE_EOF, failure == nil { return false }
        try check(result)
        entry = ArchiveEntry(pointer: pointer)
        return true
    }

    /// The next piece of the entry's content with its offset in the file, valid until the next call; nil at the
    /// end. Holes of a sparse file are left out.
    func data() throws(LayerArchiveError) -> (bytes: UnsafeRawBufferPointer, offset: Int64)? {
        var base: UnsafeRawPointer?
        var count = 0
        var offset: Int64 = 0
        let result = archive_read_data_block(archive, &base, &count, &offset)
        if result == ARCHIVE_EOF, failure == nil { return nil }
        try check(result)
        return (UnsafeRawBufferPointer(start: base, count: count), offset)
    }
}

/// The header of the entry that an `ArchiveReader` is at: archive_entry(3). Valid until the reader moves on.
struct ArchiveEntry {
    enum Kind: Equatable {
        case regular, directory, symbolicLink, hardLink, fifo
        case characterDevice, blockDevice
        case other
    }

    let pointer: OpaquePointer?

    private func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8]? {
        text.map { text in
            text.withMemoryRebound(to: UInt8.self, capacity: 1) { base in
                Array(UnsafeBufferPointer(start: base, count: ArchiveEntry.length(base)))
            }
        }
    }

    private static func length(_ base: UnsafePointer<UInt8>) -> Int {
        var count = 0
        while base[count] != 0 { count += 1 }
        return count
    }

    /// As in the archive; nil if it has none.
    var path: [UInt8]? { bytes(archive_entry_pathname(pointer)) }
    var hardLinkTarget: [UInt8]? { bytes(archive_entry_hardlink(pointer)) }
    var symbolicLinkTarget: [UInt8]? { bytes(archive_entry_symlink(pointer)) }

    var kind: Kind {
        if archive_entry_hardlink(pointer) != nil { return .hardLink }
        // AE_IFMT and its values are casts in C, which Swift does not import.
        switch archive_entry_filetype(pointer) & 0o170000 {
        case 0o100000: return .regular
        case 0o040000: return .directory
        case 0o120000: return .symbolicLink
        case 0o010000: return .fifo
        case 0o020000: return .characterDevice
        case 0o060000: return .blockDevice
        default: return .other
        }
    }

    /// Permission, set-id and sticky bits.
    var permissions: UInt32 { archive_entry_mode(pointer) & 0o7777 }
    var user: Int64 { archive_entry_uid(pointer) }
    var group: Int64 { archive_entry_gid(pointer) }
    /// Bytes; of a sparse file with its holes. 0 if the header has none.
    var size: Int64 { archive_entry_size(pointer) }
    /// A device's number: makedev(3).
    var device: UInt { UInt(archive_entry_rdev(pointer)) }
    var modifiedSeconds: Int64 { Int64(archive_entry_mtime(pointer)) }
    var modifiedNanoseconds: Int64 { Int64(archive_entry_mtime_nsec(pointer)) }

    /// Access control lists in star's form; libarchive keeps them apart from the extended attributes.
    var hasAccessControlList: Bool {
        // The three base entries are the permission bits and not counted.
        archive_entry_acl_count(pointer, 0x3f00) > 0
    }

    var extendedAttributes: [(name: [UInt8], value: [UInt8])] {
        var found: [(name: [UInt8], value: [UInt8])] = []
        _ = archive_entry_xattr_reset(pointer)
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var count = 0
        while archive_entry_xattr_next(pointer, &name, &value, &count) == ARCHIVE_OK {
            guard let name = bytes(name) else { continue }
            found.append((name, Array(UnsafeRawBufferPointer(start: value, count: count))))
        }
        return found
    }
}

/// A blob's content: decompressed when it is gzip or zstd, otherwise as it is.
final class DecompressedSource: ByteSource {
    private enum Stream {
        case gzip(GunzippedSource)
        /// zstd, or not compressed.
        case other(ArchiveReader)
        case end
    }

    private let source: PeekedSource
    private let name: String
    /// Nil before the first bytes are known.
    private var stream: Stream?

    init(_ source: any ByteSource, name: String) throws(LayerArchiveError) {
        self.source = PeekedSource(source)
        self.name = name
    }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        let current: Stream
        if let stream { current = stream } else { current = try begin() }
        switch current {
        case .gzip(let content): return try content.next()
        case .other(let reader):
            while let (bytes, _) = try reader.data() {
                if !bytes.isEmpty { return bytes }
            }
            stream = .end
        case .end: break
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func begin() throws(LayerArchiveError) -> Stream {
        let new: Stream
        // RFC 1952, 2.3.1
        if try source.start().starts(with: [0x1f, 0x8b]) {
            new = .gzip(try GunzippedSource(source, name: name))
        } else {
            let reader = try ArchiveReader(source, .compressedStream, name: name)
            new = try reader.next() ? .other(reader) : .end
        }
        stream = new
        return new
    }
}

/// A source whose first bytes can be looked at.
private final class PeekedSource: ByteSource {
    private let source: any ByteSource
    private var first = UnsafeRawBufferPointer(start: nil, count: 0)
    private var joined: [UInt8] = []
    private var held: BytesSource?

    init(_ source: any ByteSource) { self.source = source }

    /// At least two bytes, unless the source has less in all.
    func start() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        first = try source.next()
        if first.isEmpty || first.count >= 2 { return first }
        joined = Array(first) + Array(try source.next())
        let bytes = BytesSource(joined)
        held = bytes
        first = bytes.next()
        return first
    }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        if first.isEmpty { return try source.next() }
        defer { first = UnsafeRawBufferPointer(start: nil, count: 0) }
        return first
    }
}
