// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// The directory that a layer is unpacked into, and the way to the parent of each entry.
///
/// Every path is resolved by the kernel inside this directory (openat2(2), RESOLVE_IN_ROOT): an absolute link or
/// ".." in a link leads to a place in the layer, never out of it.
struct LayerTree: ~Copyable {
    /// What a new directory entry replaced.
    enum Replaced {
        case nothing, whiteout, other
    }

    static let opaqueAttribute = PathBytes("user.overlay.opaque")
    private static let resolve = UInt64(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

    let root: OwnedFD
    let rootInode: UInt64
    /// The parent of the current entry; see `enter`.
    private(set) var parent: OwnedFD
    private var parentPath: [UInt8] = []

    private init(root: consuming OwnedFD, inode: UInt64, parent: consuming OwnedFD) {
        rootInode = inode
        self.root = root
        self.parent = parent
    }

    /// Takes the empty directory at `path`.
    static func open(_ path: String) throws(LayerArchiveError) -> LayerTree {
        do {
            let root = try File.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            // What the layer's files inherit must come from the layer, not from the store's place.
            try OpenFile.setMode(root, 0o700)
            try OpenFile.removeExtendedAttribute(root, PathBytes("system.posix_acl_default"))
            let parent = try root.duplicate()
            return LayerTree(root: root, inode: try File.status(parent).inode, parent: parent)
        } catch {
            throw LayerArchiveError("open the layer's directory", path, error)
        }
    }

    /// Makes `parent` the directory that `path` is in, making missing directories on the way.
    ///
    /// - Parameter made: called for each directory that had to be made: its path, its status.
    mutating func enter(
        _ path: EntryPath, made: (PathBytes, borrowing OwnedFD) throws(LayerArchiveError) -> Void
    ) throws(LayerArchiveError) {
        // Entries come directory by directory. Replacing an entry of `parent` cannot change what `parentPath`
        // leads to, except through a link that goes down and up again; then the directory entered before serves.
        if path.parent == parentPath { return }
        let wanted = path.parent
        do {
            parent = try open(wanted)
            parentPath = wanted
            return
        } catch {
            if error != .noSuchFileOrDirectory && error != .notDirectory {
                throw LayerArchiveError("open the directory of the layer's entry", shown: path.shown, error)
            }
        }
        do { parent = try root.duplicate() } catch {
            throw LayerArchiveError("open the directory of the layer's entry", shown: path.shown, error)
        }
        parentPath = []
        for depth in 1..<path.components.count {
            let prefix = EntryPath.join(path.components[..<depth])
            do { parent = try open(prefix) } catch {
                if error != .noSuchFileOrDirectory && error != .notDirectory {
                    throw LayerArchiveError("open the directory of the layer's entry", shown: path.shown, error)
                }
                try makeMissing(path.components[depth - 1], prefix: prefix, for: path)
                let child: OwnedFD
                do throws(Errno) { child = try open(prefix) } catch {
                    throw LayerArchiveError("open the directory of the layer's entry", shown: path.shown, error)
                }
                try made(PathBytes(prefix), child)
                parent = child
            }
        }
        parentPath = wanted
    }

    // `parent` is the directory that `name` belongs in.
    private func makeMissing(
        _ name: ArraySlice<UInt8>, prefix: [UInt8], for path: EntryPath
    ) throws(LayerArchiveError) {
        let name = PathBytes(name)
        do {
            if let existing = try DirectoryEntry.status(name, in: parent) {
                if existing.isSymbolicLink {
                    throw LayerArchiveError(
                        "the layer's entry \(path.shown) goes through the symbolic link \(EntryPath.display(prefix)), whose target is not in this layer"
                    )
                }
                if !existing.isWhiteout {
                    throw LayerArchiveError(
                        "the layer's entry \(path.shown) is below \(EntryPath.display(prefix)), which is not a directory"
                    )
                }
                try DirectoryEntry.unlink(name, in: parent)
                try DirectoryEntry.makeDirectory(name, mode: 0o700, in: parent)
                try markOpaque(name)
            } else {
                try DirectoryEntry.makeDirectory(name, mode: 0o700, in: parent)
            }
        } catch let error as LayerArchiveError {
            throw error
        } catch let error as Errno {
            throw LayerArchiveError("make the directory", shown: EntryPath.display(prefix), error)
        } catch {
            throw LayerArchiveError("make the directory \(EntryPath.display(prefix)): \(error)")
        }
    }

    /// A directory of the layer; the empty path is its root.
    func open(_ path: [UInt8], flags: Int32 = 0) throws(Errno) -> OwnedFD {
        try DirectoryEntry.open(
            path.isEmpty ? PathBytes(".") : PathBytes(path), O_RDONLY | O_DIRECTORY | flags,
            resolve: LayerTree.resolve, in: root)
    }

    /// Frees `name` in `parent` for a new entry: what an earlier entry of the layer put there goes, whole
    /// directories included, as the later entry of an archive wins.
    func clear(_ name: PathBytes) throws(Errno) -> Replaced {
        guard let existing = try DirectoryEntry.status(name, in: parent) else { return .nothing }
        if existing.isDirectory {
            try FileTree.remove(name, in: parent)
        } else {
            try DirectoryEntry.unlink(name, in: parent)
        }
        return existing.isWhiteout ? .whiteout : .other
    }

    /// Hides what lower layers have in the directory `name` of `parent`.
    func markOpaque(_ name: PathBytes) throws(Errno) {
        let directory = try DirectoryEntry.open(
            name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: LayerTree.resolve, in: parent)
        try LayerTree.markOpaque(directory)
    }

    static func markOpaque(_ directory: borrowing OwnedFD) throws(Errno) {
        let value: [UInt8] = [UInt8(ascii: "y")]
        try OpenFile.setExtendedAttribute(directory, opaqueAttribute, value)
    }
}

extension FileStatus {
    /// Overlay's whiteout: a character device 0:0.
    var isWhiteout: Bool { isCharacterDevice && specialDevice == 0 }
}

extension EntryPath {
    /// For messages.
    var shown: String { isRoot ? "\".\"" : EntryPath.display(bytes) }
}
