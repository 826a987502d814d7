// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Unpacks one layer's tar into a directory in overlay's form: image-spec, layer.md.
struct LayerUnpacker: ~Copyable {
    private static let whiteoutPrefix = Array(".wh.".utf8)
    private static let opaqueMarker = Array(".wh..wh..opq".utf8)

    private var tree: LayerTree
    private let limits: ExtractionLimits
    private let writer: AttributeWriter
    private let warnings: WarningLog
    /// The unpacked layers below, highest first: where a directory that the archive does not list gets its
    /// attributes from.
    private let lower: [String]
    /// Files get the very mode that they are made with: umask(2) takes nothing from it.
    private let isMaskClear: Bool
    private var entries = 0
    /// Directories get their attributes when everything is in them: later entries would change their times and, by
    /// set-group-ID bits or default access control lists, get attributes that the archive does not give.
    private var directories: [DirectoryAttributes]
    private var directoryIndex: [UInt64: Int]
    /// The layer hides everything below it. Overlay ignores the mark on a layer's root, so the store must know.
    private(set) var hidesLower = false

    private struct DirectoryAttributes {
        var path: [UInt8]
        var inode: UInt64
        /// Nil when the archive has no entry for the directory: as it is below.
        var attributes: EntryAttributes?
    }

    init(
        into tree: consuming LayerTree, lower: [String], ownership: Ownership, limits: ExtractionLimits,
        warnings: WarningLog, isMaskClear: Bool = false
    ) {
        directories = [DirectoryAttributes(path: [], inode: tree.rootInode, attributes: nil)]
        directoryIndex = [tree.rootInode: 0]
        self.tree = tree
        self.lower = lower
        self.limits = limits
        self.warnings = warnings
        self.isMaskClear = isMaskClear
        writer = AttributeWriter(ownership: ownership, warnings: warnings)
    }

    /// Unpacks all entries of `source`, an uncompressed tar, and reads it to its end. `finishDirectories` follows, once
    /// the layers below are complete.
    mutating func unpack(_ source: any ByteSource, name: String) throws(LayerArchiveError) {
        let reader = try ArchiveReader(source, .tar, name: name)
        while try reader.next() {
            entries += 1
            if entries > limits.entries {
                throw LayerArchiveError("\(name) has more than \(limits.entries) entries; it is not loaded")
            }
            try apply(reader)
        }
        // Padding after the archive's end belongs to the diff id.
        try source.drain()
    }

    private mutating func apply(_ reader: ArchiveReader) throws(LayerArchiveError) {
        let entry = reader.entry
        guard let bytes = entry.path else { throw LayerArchiveError("an entry of the layer has no name") }
        let path = try EntryPath(bytes, limits: limits)
        if path.isRoot {
            guard entry.kind == .directory else {
                throw LayerArchiveError("the layer's entry \(path.shown) is its root but not a directory")
            }
            directories[0].attributes = try EntryAttributes(entry, path, warnings)
            return
        }
        if let reserved = path.components.dropLast().first(where: { $0.starts(with: LayerUnpacker.whiteoutPrefix) }) {
            throw LayerArchiveError(
                "the layer's entry \(path.shown) is below \(EntryPath.display(reserved)), a name reserved for whiteouts"
            )
        }
        // A copy, because `made` below may not touch `self` while the tree is being changed.
        var made: [(PathBytes, UInt64)] = []
        try tree.enter(path) { (directory, fd) throws(LayerArchiveError) in
            do throws(Errno) { made.append((directory, try File.status(fd).inode)) } catch {
                throw LayerArchiveError("make the directory", directory.description, error)
            }
        }
        for (directory, inode) in made { rememberImplicit(directory, inode) }
        if path.name.bytes.starts(with: LayerUnpacker.whiteoutPrefix) {
            try applyWhiteout(path)
            return
        }
        switch entry.kind {
        case .regular: try makeFile(reader, path)
        case .directory: try makeDirectory(entry, path)
        case .symbolicLink: try makeSymbolicLink(entry, path)
        case .hardLink: try makeHardLink(entry, path)
        case .fifo:
            try replacing(path) { (tree) throws(Errno) in
                try DirectoryEntry.makeFIFO(path.name, mode: 0o600, in: tree.parent)
            }
            try applyAttributes(entry, path, isLink: false)
        case .characterDevice, .blockDevice: try leaveOutDevice(entry, path)
        case .other: throw LayerArchiveError("the layer's entry \(path.shown) is of a kind that no layer may have")
        }
    }

    // MARK: Entries

    private func makeFile(_ reader: ArchiveReader, _ path: EntryPath) throws(LayerArchiveError) {
        let entry = reader.entry
        let attributes = try EntryAttributes(entry, path, warnings)
        let size = entry.size
        // The file gets its mode as it is made, unless something else must be written before that.
        let isFinal = attributes.extended.isEmpty && attributes.permissions & 0o7000 == 0
        let fd = try create(path, mode: isFinal ? attributes.permissions : 0o600)
        var end: Int64 = 0
        while let (bytes, offset) = try reader.data() {
            do { try OpenFile.write(fd, bytes, at: offset) } catch {
                throw LayerArchiveError("write the layer's entry", shown: path.shown, error)
            }
            end = offset + Int64(bytes.count)
        }
        // A sparse file may end in a hole.
        if end < size {
            do { try OpenFile.setLength(fd, size) } catch {
                throw LayerArchiveError("write the layer's entry", shown: path.shown, error)
            }
        }
        try writer.apply(attributes, to: fd, path.shown, hasMode: isFinal && isMaskClear, isNew: true)
        do { try fd.close() } catch { throw LayerArchiveError("write the layer's entry", shown: path.shown, error) }
    }

    private func create(_ path: EntryPath, mode: UInt32) throws(LayerArchiveError) -> OwnedFD {
        let name = path.name
        do {
            do { return try DirectoryEntry.create(name, mode: mode, in: tree.parent) } catch .fileExists {}
            _ = try tree.clear(name)
            return try DirectoryEntry.create(name, mode: mode, in: tree.parent)
        } catch {
            throw LayerArchiveError("make the layer's entry", shown: path.shown, error)
        }
    }

    /// Makes an entry by `body`, after removing what an earlier entry put there.
    private func replacing(
        _ path: EntryPath, _ body: (borrowing LayerTree) throws(Errno) -> Void
    ) throws(LayerArchiveError) {
        do {
            do { try body(tree) } catch .fileExists {
                _ = try tree.clear(path.name)
                try body(tree)
            }
        } catch {
            throw LayerArchiveError("make the layer's entry", shown: path.shown, error)
        }
    }

    private func applyAttributes(_ entry: ArchiveEntry, _ path: EntryPath, isLink: Bool) throws(LayerArchiveError) {
        try writer.apply(
            try EntryAttributes(entry, path, warnings), to: path.name, in: tree.parent, isLink: isLink, path.shown)
    }

    private mutating func makeDirectory(_ entry: ArchiveEntry, _ path: EntryPath) throws(LayerArchiveError) {
        let attributes = try EntryAttributes(entry, path, warnings)
        do throws(Errno) {
            do { try DirectoryEntry.makeDirectory(path.name, mode: 0o700, in: tree.parent) } catch .fileExists {
                let existing = try DirectoryEntry.status(path.name, in: tree.parent)
                if existing?.isDirectory != true {
                    let replaced = try tree.clear(path.name)
                    try DirectoryEntry.makeDirectory(path.name, mode: 0o700, in: tree.parent)
                    // Without the whiteout the lower directory would shine through.
                    if replaced == .whiteout { try tree.markOpaque(path.name) }
                }
            }
            guard let inode = try DirectoryEntry.status(path.name, in: tree.parent)?.inode else {
                throw .noSuchFileOrDirectory
            }
            remember(path.bytes, inode, attributes)
        } catch {
            throw LayerArchiveError("make the layer's directory", shown: path.shown, error)
        }
    }

    private func makeSymbolicLink(_ entry: ArchiveEntry, _ path: EntryPath) throws(LayerArchiveError) {
        guard let target = entry.symbolicLinkTarget, !target.isEmpty else {
            throw LayerArchiveError("the layer's symbolic link \(path.shown) has no target")
        }
        if target.count > limits.pathBytes {
            throw LayerArchiveError(
                "the layer's symbolic link \(path.shown) has a target of more than \(limits.pathBytes) bytes")
        }
        // The target is only text: the container resolves it in its own root.
        try replacing(path) { (tree) throws(Errno) in
            try DirectoryEntry.makeSymbolicLink(path.name, target: PathBytes(target), in: tree.parent)
        }
        try applyAttributes(entry, path, isLink: true)
    }

    private func makeHardLink(_ entry: ArchiveEntry, _ path: EntryPath) throws(LayerArchiveError) {
        let target = try EntryPath(entry.hardLinkTarget ?? [], limits: limits, isHardLinkTarget: true)
        func refused(_ reason: String) -> LayerArchiveError {
            LayerArchiveError("the layer's hard link \(path.shown) to \(target.shown) \(reason)")
        }
        if target.isRoot { throw refused("would link a directory") }
        do throws(Errno) {
            let source = try tree.open(target.parent)
            guard let existing = try DirectoryEntry.status(target.name, in: source) else {
                throw .noSuchFileOrDirectory
            }
            // Neither may be linked: a directory by the kernel, a whiteout because it is not the image's file.
            if existing.isDirectory || existing.isWhiteout { throw .isDirectory }
            if let old = try DirectoryEntry.status(path.name, in: tree.parent) {
                // Linked already, or linked to itself.
                if old.inode == existing.inode, old.device == existing.device { return }
                _ = try tree.clear(path.name)
            }
            // The owner, mode and content are the target's; the header repeats them.
            try DirectoryEntry.makeHardLink(path.name, in: tree.parent, from: target.name, in: source)
        } catch {
            switch error {
            case .noSuchFileOrDirectory, .notDirectory: throw refused("has no target: a layer must contain both names")
            case .isDirectory: throw refused("would link a directory or a whiteout")
            default: throw refused("cannot be made: \(error.text)")
            }
        }
    }

    /// Podman without root leaves devices out as well. A container gets its own /dev; what is elsewhere (the chroots of
    /// named and postfix have some) is missed by few.
    private func leaveOutDevice(_ entry: ArchiveEntry, _ path: EntryPath) throws(LayerArchiveError) {
        // Overlay's own form of a whiteout would hide lower files without saying so.
        if entry.kind == .characterDevice, entry.device == 0 {
            throw LayerArchiveError(
                "the layer's entry \(path.shown) is the device 0:0, which would hide what lower layers have; the names of whiteouts begin with \".wh.\""
            )
        }
        let isBelowDev = path.components.count > 1 && path.components[0].elementsEqual("dev".utf8)
        warnings.warn(
            isBelowDev
                ? "device nodes below /dev in the image are left out: only real root can make them, and containers get their own /dev"
                : "device nodes elsewhere than in /dev are left out of the image: only real root can make them")
    }

    // MARK: Whiteouts

    /// image-spec, layer.md, "Whiteouts": a whiteout hides what lower layers have, never what this layer has.
    private mutating func applyWhiteout(_ path: EntryPath) throws(LayerArchiveError) {
        do throws(Errno) {
            if path.name.bytes.elementsEqual(LayerUnpacker.opaqueMarker) {
                if path.components.count == 1 { hidesLower = true }
                try LayerTree.markOpaque(tree.parent)
                return
            }
        } catch {
            throw LayerArchiveError("mark the directory as opaque for", shown: path.shown, error)
        }
        let hidden = path.name.bytes.dropFirst(LayerUnpacker.whiteoutPrefix.count)
        let dot = UInt8(ascii: ".")
        if hidden.isEmpty || hidden.elementsEqual([dot]) || hidden.elementsEqual([dot, dot])
            || hidden.starts(with: LayerUnpacker.whiteoutPrefix)
        {
            throw LayerArchiveError("the layer's whiteout \(path.shown) does not name anything that can be hidden")
        }
        let name = PathBytes(hidden)
        do throws(Errno) {
            guard let existing = try DirectoryEntry.status(name, in: tree.parent) else {
                try DirectoryEntry.makeWhiteout(name, in: tree.parent)
                return
            }
            if existing.isDirectory { try tree.markOpaque(name) }
        } catch {
            throw LayerArchiveError("make the whiteout for", shown: path.shown, error)
        }
    }

    // MARK: Directories' attributes

    private mutating func remember(_ path: [UInt8], _ inode: UInt64, _ attributes: EntryAttributes?) {
        let new = DirectoryAttributes(path: path, inode: inode, attributes: attributes)
        if let index = directoryIndex[inode] {
            directories[index] = new
        } else {
            directoryIndex[inode] = directories.count
            directories.append(new)
        }
    }

    private mutating func rememberImplicit(_ path: PathBytes, _ inode: UInt64) {
        remember(Array(path.bytes), inode, nil)
    }

    /// A directory that the archive has no entry for looks as it does below: overlay shows the attributes of the
    /// highest layer, so `tmp/x` alone must not turn /tmp into a directory that only root may write.
    private static func inherited(_ path: PathBytes, from lower: [String]) -> EntryAttributes {
        for layer in lower {
            guard let root = try? File.open(layer, O_PATH | O_DIRECTORY),
                let directory = try? DirectoryEntry.open(
                    path, O_PATH | O_DIRECTORY, resolve: UInt64(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), in: root),
                let status = try? File.status(directory)
            else { continue }
            return EntryAttributes(
                user: status.owner, group: status.group, permissions: status.permissions,
                modified: FileTime(seconds: status.modifiedSeconds, nanoseconds: status.modifiedNanoseconds))
        }
        return EntryAttributes(user: 0, group: 0, permissions: 0o755, modified: FileTime(seconds: 0, nanoseconds: 0))
    }

    // Backwards, so that a directory which its owner may not enter is closed after what is in it.
    func finishDirectories() throws(LayerArchiveError) {
        for directory in directories.reversed() {
            guard let fd = try reopen(directory) else { continue }
            let attributes =
                directory.attributes
                ?? LayerUnpacker.inherited(
                    PathBytes(directory.path.isEmpty ? [UInt8(ascii: ".")] : directory.path), from: lower)
            try writer.apply(attributes, to: fd, EntryPath.display(directory.path))
        }
    }

    /// Nil if a later entry put something else in its place.
    private func reopen(_ directory: DirectoryAttributes) throws(LayerArchiveError) -> OwnedFD? {
        do {
            let fd = try tree.open(directory.path, flags: O_NOFOLLOW)
            if try File.status(fd).inode != directory.inode { return nil }
            return fd
        } catch {
            switch error {
            case .noSuchFileOrDirectory, .notDirectory, .tooManySymbolicLinkLevels: return nil
            default:
                throw LayerArchiveError("open the layer's directory", shown: EntryPath.display(directory.path), error)
            }
        }
    }
}
