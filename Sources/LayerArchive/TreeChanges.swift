// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// What one directory tree has that another has not: podman-diff(1).
package struct TreeChanges {
    /// How the upper tree is read.
    package enum Form {
        /// Overlay's upper directory: what is not in it has not changed.
        case overlay
        /// A whole tree: what is not in it is deleted, and a file that looks the same is the same.
        case whole
    }

    /// Absolute paths, sorted.
    package private(set) var changed: [[UInt8]] = []
    package private(set) var added: [[UInt8]] = []
    package private(set) var deleted: [[UInt8]] = []

    /// Levels; each is two open descriptors.
    private static let deepest = 400

    private let form: Form
    private let omitted: Set<[UInt8]>
    /// For error messages.
    private var place: [UInt8] = []

    /// - Parameters:
    ///   - lower: what was there before, merged.
    ///   - omitted: paths without the first slash that are nobody's change: places for mounts.
    package init(
        _ upper: borrowing OwnedFD, _ form: Form, over lower: borrowing OwnedFD, omitting omitted: Set<[UInt8]> = []
    ) throws(LayerArchiveError) {
        self.form = form
        self.omitted = omitted
        do throws(Errno) { _ = try compare(upper, lower, path: [], depth: 0, hidesLower: form == .whole) } catch {
            throw LayerArchiveError("compare", shown: EntryPath.display(place), error)
        }
        changed.sort { $0.lexicographicallyPrecedes($1) }
        added.sort { $0.lexicographicallyPrecedes($1) }
        deleted.sort { $0.lexicographicallyPrecedes($1) }
    }

    /// Returns whether anything in the directory has changed.
    private mutating func compare(
        _ upper: borrowing OwnedFD, _ lower: borrowing OwnedFD, path: [UInt8], depth: Int, hidesLower: Bool
    ) throws(Errno) -> Bool {
        place = path
        if depth > TreeChanges.deepest { throw .tooManyOpenFiles }
        var found = false
        let names = try DirectoryEntry.names(upper)
        for name in names {
            let whole = path + [UInt8(ascii: "/")] + name.bytes
            if omitted.contains(Array(whole.dropFirst())) { continue }
            guard let status = try DirectoryEntry.status(name, in: upper) else { continue }
            guard let before = try DirectoryEntry.status(name, in: lower) else {
                if form == .overlay, status.isWhiteout { continue }
                added.append(whole)
                if status.isDirectory {
                    try addAll(try TreeChanges.open(name, in: upper), path: whole, depth: depth + 1)
                }
                found = true
                continue
            }
            if form == .overlay, status.isWhiteout {
                deleted.append(whole)
                found = true
                continue
            }
            if try differs(name, status, before, upper, lower, whole, depth) {
                changed.append(whole)
                found = true
            }
        }
        if !hidesLower { return found }
        let present = Set(names)
        for name in try DirectoryEntry.names(lower) where !present.contains(name) {
            deleted.append(path + [UInt8(ascii: "/")] + name.bytes)
            found = true
        }
        return found
    }

    private mutating func differs(
        _ name: PathBytes, _ status: FileStatus, _ before: FileStatus, _ upper: borrowing OwnedFD,
        _ lower: borrowing OwnedFD, _ path: [UInt8], _ depth: Int
    ) throws(Errno) -> Bool {
        let isSame = TreeChanges.looksSame(status, before)
        guard status.isDirectory else { return form == .overlay || !isSame }
        let directory = try TreeChanges.open(name, in: upper)
        if !before.isDirectory {
            try addAll(directory, path: path, depth: depth + 1)
            return true
        }
        let isOpaque = try OpenFile.extendedAttribute(directory, LayerTree.opaqueAttribute) != nil
        let hidesLower = form == .whole || isOpaque
        let inside = try compare(
            directory, try TreeChanges.open(name, in: lower), path: path, depth: depth + 1, hidesLower: hidesLower)
        return inside || !isSame
    }

    private mutating func addAll(_ directory: borrowing OwnedFD, path: [UInt8], depth: Int) throws(Errno) {
        place = path
        if depth > TreeChanges.deepest { throw .tooManyOpenFiles }
        for name in try DirectoryEntry.names(directory) {
            guard let status = try DirectoryEntry.status(name, in: directory) else { continue }
            if form == .overlay, status.isWhiteout { continue }
            let whole = path + [UInt8(ascii: "/")] + name.bytes
            added.append(whole)
            if status.isDirectory {
                try addAll(try TreeChanges.open(name, in: directory), path: whole, depth: depth + 1)
            }
        }
    }

    private static func open(_ name: PathBytes, in parent: borrowing OwnedFD) throws(Errno) -> OwnedFD {
        try DirectoryEntry.open(
            name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: UInt64(RESOLVE_BENEATH), in: parent)
    }

    private static func looksSame(_ one: FileStatus, _ other: FileStatus) -> Bool {
        one.mode == other.mode && one.owner == other.owner && one.group == other.group
            && (one.isDirectory
                || (one.size == other.size && one.specialDevice == other.specialDevice
                    && one.modifiedSeconds == other.modifiedSeconds
                    && one.modifiedNanoseconds == other.modifiedNanoseconds))
    }
}
