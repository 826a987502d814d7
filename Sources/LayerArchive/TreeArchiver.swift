// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Writes a directory tree as a tar: `export`, and the layer of `commit`.
///
/// Everything is opened relative to its directory's descriptor and never through a link: the tree may belong to a
/// container that runs and changes it meanwhile.
struct TreeArchiver: ~Copyable {
    enum Form {
        /// Names and content as they are.
        case plain
        /// Overlay's upper directory as an image's layer: image-spec, layer.md, "Whiteouts".
        case layer
    }

    /// Directories above a file. Each is an open descriptor meanwhile.
    private static let deepest = 500

    private let writer: ArchiveWriter
    private let form: Form
    /// Whole paths that are left out.
    private let omitted: Set<[UInt8]>
    /// The first name of each file that has several, by inode; an overlay is one device.
    private var linked: [UInt64: [UInt8]] = [:]

    init(_ writer: ArchiveWriter, _ form: Form, omitting omitted: Set<[UInt8]> = []) {
        self.writer = writer
        self.form = form
        self.omitted = omitted
    }

    /// Writes everything in the directory `root`, not itself. The caller finishes the archive.
    mutating func archive(_ root: borrowing OwnedFD) throws(LayerArchiveError) {
        try contents(of: root, path: [], depth: 0)
    }

    private mutating func contents(
        of directory: borrowing OwnedFD, path: [UInt8], depth: Int
    ) throws(LayerArchiveError) {
        let shown = EntryPath.display(path.isEmpty ? [UInt8(ascii: "/")] : path)
        if depth > TreeArchiver.deepest {
            throw LayerArchiveError(
                "\(shown) is more than \(TreeArchiver.deepest) directories deep; it is not archived")
        }
        let names: [PathBytes]
        do { names = try DirectoryEntry.names(directory) } catch {
            throw LayerArchiveError("list", shown: shown, error)
        }
        for name in names {
            let whole = path.isEmpty ? Array(name.bytes) : path + [UInt8(ascii: "/")] + name.bytes
            if omitted.contains(whole) { continue }
            let outcome: Result<Void, LayerArchiveError>
            do throws(Errno) {
                guard let status = try DirectoryEntry.status(name, in: directory) else { continue }
                outcome = try add(name, in: directory, status, path: whole, depth: depth)
            } catch {
                // A file that is gone again was not there.
                if error == .noSuchFileOrDirectory { continue }
                throw LayerArchiveError("archive", shown: EntryPath.display(whole), error)
            }
            try outcome.get()
        }
    }

    /// The kernel's errors are thrown, the archive's are the result: a file that disappears is not a failed archive.
    private mutating func add(
        _ name: PathBytes, in parent: borrowing OwnedFD, _ status: FileStatus, path: [UInt8], depth: Int
    ) throws(Errno) -> Result<Void, LayerArchiveError> {
        var header = ArchiveWriter.Header(path: path, status: status)
        if status.isDirectory {
            let fd = try DirectoryEntry.open(
                name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: UInt64(RESOLVE_BENEATH | RESOLVE_NO_XDEV),
                in: parent)
            header.attributes = try attributes(name, in: parent)
            let isMarked = try OpenFile.extendedAttribute(fd, LayerTree.opaqueAttribute) != nil
            let isOpaque = form == .layer && isMarked
            do throws(LayerArchiveError) {
                header.path.append(UInt8(ascii: "/"))
                try writer.add(header)
                if isOpaque { try writer.add(.marker(path + Array("/.wh..wh..opq".utf8), like: status)) }
                try contents(of: fd, path: path, depth: depth + 1)
            } catch { return .failure(error) }
            return .success(())
        }
        if form == .layer, status.isCharacterDevice, status.specialDevice == 0 { return whiteout(name, path, status) }
        if status.isSocket { return .success(()) }
        header.attributes = try attributes(name, in: parent)
        if status.isSymbolicLink { header.symbolicLinkTarget = try DirectoryEntry.readLink(name, in: parent) }
        if status.links > 1 {
            header.hardLinkTarget = linked[status.inode]
            if header.hardLinkTarget == nil { linked[status.inode] = path }
        }
        var content: (any ByteSource)?
        if status.isRegular, header.hardLinkTarget == nil {
            // Without O_NONBLOCK a FIFO that took the name's place would block for ever.
            let fd = try DirectoryEntry.open(
                name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, resolve: UInt64(RESOLVE_BENEATH | RESOLVE_NO_XDEV), in: parent
            )
            header.status = try File.status(fd)
            guard header.status.isRegular else { return .success(()) }
            do throws(LayerArchiveError) {
                let shown = EntryPath.display(path)
                content = ExactSource(try DescriptorSource(fd, name: shown), size: header.status.size)
            } catch { return .failure(error) }
        }
        do throws(LayerArchiveError) { try writer.add(header, content) } catch { return .failure(error) }
        return .success(())
    }

    private func whiteout(
        _ name: PathBytes, _ path: [UInt8], _ status: FileStatus
    ) -> Result<Void, LayerArchiveError> {
        let marker = path.dropLast(name.count) + Array(".wh.".utf8) + name.bytes
        do throws(LayerArchiveError) { try writer.add(.marker(Array(marker), like: status)) } catch {
            return .failure(error)
        }
        return .success(())
    }

    /// Without overlay's own, which mean nothing to others.
    private func attributes(
        _ name: PathBytes, in parent: borrowing OwnedFD
    ) throws(Errno) -> [(name: [UInt8], value: [UInt8])] {
        try DirectoryEntry.extendedAttributes(name, in: parent).filter { attribute in
            !attribute.name.starts(with: "user.overlay.".utf8) && !attribute.name.starts(with: "trusted.".utf8)
                && !attribute.name.elementsEqual("security.selinux".utf8)
        }
    }
}

/// Exactly `size` bytes: a file that grows meanwhile is cut, one that shrinks is filled up with zeros, as tar(1) does.
private final class ExactSource: ByteSource {
    private let source: any ByteSource
    private var rest: Int64
    private var filler: BytesSource?

    init(_ source: any ByteSource, size: Int64) {
        self.source = source
        rest = size
    }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        if rest == 0 { return UnsafeRawBufferPointer(start: nil, count: 0) }
        var piece = try source.next()
        if piece.isEmpty {
            let zeros = BytesSource([UInt8](repeating: 0, count: Int(min(rest, 65536))))
            filler = zeros
            piece = zeros.next()
        }
        if Int64(piece.count) > rest { piece = UnsafeRawBufferPointer(rebasing: piece[..<Int(rest)]) }
        rest -= Int64(piece.count)
        return piece
    }
}
