// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LinuxSystem
import OCISpec
import SystemPackage

/// What the user gave to `load`: a directory, or an archive whose files have all been staged by digest.
///
/// An archive may come through a pipe and its documents may come last, so nothing is known about a file when it
/// passes by: every one is staged. That is no detour, because the store keeps blobs anyway.
struct InputArchive {
    private enum Member {
        case file(Digest, Int64)
        /// Docker's archives link layers that occur twice.
        case link(String)
    }

    private var members: [String: Member] = [:]
    /// Nil for an archive.
    private var directory: String?
    /// Where in a directory the files are that are named by their digests.
    private var blobFolder = ""

    /// A directory with an OCI image layout, or of the transport `dir:`.
    init(directory: String) {
        self.directory = directory
        blobFolder = directory + (File.exists(directory + "/oci-layout") ? "/blobs/sha256/" : "/")
    }

    var isDirectory: Bool { directory != nil }

    /// Stages every file of an archive.
    init(
        _ source: any ByteSource, name: String, into blobs: inout StagedBlobs, limits: ExtractionLimits
    ) throws(LayerArchiveError) {
        let input = CountedSource(source)
        let reader = try ArchiveReader(input, .compressedTar, name: name)
        let content = EntryContent(reader, input, limits, name: name)
        var entries = 0
        while try reader.next() {
            entries += 1
            // Also those that have one name: each makes this machine write a file.
            if entries > limits.archiveEntries {
                throw LayerArchiveError("\(name) has more than \(limits.archiveEntries) files; it is not loaded")
            }
            let entry = reader.entry
            guard let path = entry.path.map(InputArchive.normalized) else { continue }
            switch entry.kind {
            case .directory: continue
            case .regular:
                members[path] = try InputArchive.stage(content, path, name, into: &blobs)
            case .symbolicLink:
                let target = entry.symbolicLinkTarget ?? []
                guard let resolved = InputArchive.resolve(target, from: path) else {
                    throw LayerArchiveError(
                        "\(name): the link \(EntryPath.display(path.utf8)) leads out of the archive")
                }
                members[path] = .link(resolved)
            case .hardLink:
                members[path] = .link(InputArchive.normalized(entry.hardLinkTarget ?? []))
            default:
                throw LayerArchiveError(
                    "\(name): \(EntryPath.display(path.utf8)) is of a kind that no image archive has")
            }
        }
        // Reads what follows the end of the archive, so that a writer on a pipe is not killed by SIGPIPE.
        try source.drain()
    }

    private static func stage(
        _ content: EntryContent, _ path: String, _ name: String, into blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> Member {
        let expected = path.hasPrefix("blobs/sha256/") ? Digest(hex: path.dropFirst(13)) : nil
        if let expected, let size = try blobs.claim(expected) { return .file(expected, size) }
        let shown = "\(EntryPath.display(path.utf8)) of \(name)"
        let (digest, size) = try blobs.stage(content, name: shown, expected: expected)
        return .file(digest, size)
    }

    /// The file's content; nil if the input has none of this name.
    func file(
        _ path: String, in blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> (digest: Digest, size: Int64)? {
        if let directory {
            let full = directory + "/" + path
            if !File.exists(full) { return nil }
            return try blobs.stage(try InputArchive.source(full), name: full)
        }
        var path = path
        // Longer than any chain of links that a writer makes; a circle ends here.
        for _ in 0..<8 {
            switch members[path] {
            case .file(let digest, let size)?: return (digest, size)
            case .link(let target)?: path = target
            case nil: return nil
            }
        }
        throw LayerArchiveError("the archive's links lead in a circle at \(EntryPath.display(path.utf8))")
    }

    /// Makes sure that content which a document refers to is at hand; `size` is what the document declares.
    func require(
        _ descriptor: Descriptor, name: String, in blobs: inout StagedBlobs
    ) throws(LayerArchiveError) {
        let actual: Int64
        if isDirectory {
            if let size = try blobs.claim(descriptor.digest) {
                actual = size
            } else {
                let path = blobFolder + descriptor.digest.hex
                actual = try blobs.stage(
                    try InputArchive.source(path), name: name, limit: descriptor.size, expected: descriptor.digest
                ).size
            }
        } else {
            actual = try blobs.size(descriptor.digest, name: name)
        }
        if actual != descriptor.size {
            throw LayerArchiveError(
                "\(name) has \(actual) bytes, but its descriptor says \(descriptor.size): the image is damaged")
        }
    }

    private static func source(_ path: String) throws(LayerArchiveError) -> DescriptorSource {
        try DescriptorSource(try opened(path), name: path)
    }

    private static func opened(_ path: String) throws(LayerArchiveError) -> OwnedFD {
        do { return try File.open(path, O_RDONLY) } catch { throw LayerArchiveError("open", path, error) }
    }

    /// Without "./" and doubled slashes. Names are only keys here: no file is made by them.
    private static func normalized(_ bytes: [UInt8]) -> String {
        let dot = UInt8(ascii: ".")
        let parts = bytes.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual([dot]) }
        return String(decoding: Array(parts.joined(separator: [UInt8(ascii: "/")])), as: UTF8.self)
    }

    /// What a link at `path` leads to; nil if that is outside.
    private static func resolve(_ target: [UInt8], from path: String) -> String? {
        if target.first == UInt8(ascii: "/") { return nil }
        var parts = path.split(separator: "/").dropLast().map(String.init)
        for part in normalized(target).split(separator: "/") {
            if part == ".." {
                if parts.popLast() == nil { return nil }
            } else {
                parts.append(String(part))
            }
        }
        return parts.joined(separator: "/")
    }
}

/// The content of the entry that a reader is at, of all entries together no more than the archive may unpack to: an
/// archive is compressed as well as its layers.
private final class EntryContent: ByteSource {
    private let reader: ArchiveReader
    private let input: CountedSource
    private let limits: ExtractionLimits
    private let name: String
    /// Bytes of all entries so far.
    private var total: Int64 = 0

    init(_ reader: ArchiveReader, _ input: CountedSource, _ limits: ExtractionLimits, name: String) {
        self.reader = reader
        self.input = input
        self.limits = limits
        self.name = name
    }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        while let (bytes, _) = try reader.data() {
            if bytes.isEmpty { continue }
            total += Int64(bytes.count)
            if total > limits.uncompressed(input.count) {
                throw LayerArchiveError(
                    "\(name) unpacks to more than \(limits.uncompressed(input.count)) bytes from \(input.count); it is taken for a decompression bomb and not loaded"
                )
            }
            return bytes
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }
}

/// Passes another source through and counts its bytes.
private final class CountedSource: ByteSource {
    private let source: any ByteSource
    private(set) var count: Int64 = 0

    init(_ source: any ByteSource) { self.source = source }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        let piece = try source.next()
        count += Int64(piece.count)
        return piece
    }

    func skip(_ wanted: Int64) -> Int64 {
        let skipped = source.skip(wanted)
        count += skipped
        return skipped
    }
}
