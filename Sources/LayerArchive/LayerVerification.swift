// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LinuxSystem
import OCISpec
import SystemPackage

/// Whether an unpacked layer still has what its blob has: every name, of the right kind and size.
enum LayerVerification {
    private struct Expected {
        var kind: ArchiveEntry.Kind
        /// Bytes of a regular file.
        var size: Int64
    }

    /// What is missing or different, first; nil when the tree is sound.
    static func problem(
        of root: borrowing OwnedFD, blob path: String, layer: ImageLayer, limits: ExtractionLimits
    ) throws(LayerArchiveError) -> String? {
        var expected: [[UInt8]: Expected] = [:]
        let content: DigestingSource
        do throws(LayerArchiveError) {
            let file: OwnedFD
            do { file = try File.open(path, O_RDONLY | O_NOFOLLOW) } catch { return nil }
            content = try DigestingSource(
                try DecompressedSource(try DescriptorSource(file, name: path), name: path), limit: layer.tarSize,
                excess: "it is larger than its record says")
            let reader = try ArchiveReader(content, .tar, name: path)
            while try reader.next() {
                guard let bytes = reader.entry.path else { continue }
                let entry = try EntryPath(bytes, limits: limits)
                // A whiteout may stand for nothing, or for what this layer has itself.
                if entry.isRoot || entry.name.bytes.starts(with: ".wh.".utf8) { continue }
                expected[entry.bytes] = Expected(kind: reader.entry.kind, size: reader.entry.size)
            }
            try content.drain()
        } catch { return "the layer \(layer.chainID) cannot be read: \(error.description)" }
        if content.digest() != layer.diffID { return "the layer \(layer.chainID) does not unpack to \(layer.diffID)" }
        for (path, entry) in expected {
            if let text = try mismatch(path, entry, root, expected) { return "the layer \(layer.chainID): \(text)" }
        }
        return nil
    }

    private static func mismatch(
        _ path: [UInt8], _ entry: Expected, _ root: borrowing OwnedFD, _ expected: [[UInt8]: Expected]
    ) throws(LayerArchiveError) -> String? {
        let shown = EntryPath.display(path)
        let status: FileStatus
        do {
            let fd = try DirectoryEntry.open(
                PathBytes(path), O_PATH | O_NOFOLLOW, resolve: UInt64(RESOLVE_IN_ROOT), in: root)
            status = try File.status(fd)
        } catch {
            // Devices are left out, and a later entry may have replaced a directory above.
            if entry.kind == .characterDevice || entry.kind == .blockDevice { return nil }
            if isBelowReplaced(path, expected) { return nil }
            return "\(shown) is missing (\(error.text))"
        }
        let fits =
            switch entry.kind {
            case .directory: status.isDirectory
            case .regular: status.isRegular && status.size == entry.size
            case .symbolicLink: status.isSymbolicLink
            case .hardLink: !status.isDirectory
            default: true
            }
        return fits || isBelowReplaced(path, expected) ? nil : "\(shown) is not what it was"
    }

    private static func isBelowReplaced(_ path: [UInt8], _ expected: [[UInt8]: Expected]) -> Bool {
        var rest = path[...]
        while let slash = rest.lastIndex(of: UInt8(ascii: "/")) {
            rest = rest[..<slash]
            if let above = expected[Array(rest)], above.kind != .directory { return true }
        }
        return false
    }
}
