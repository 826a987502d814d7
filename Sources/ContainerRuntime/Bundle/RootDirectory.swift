// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A container's root as a descriptor, and paths below it that no link of an image can lead out of: openat2(2),
/// RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS.
struct RootDirectory: ~Copyable {
    let fd: OwnedFD

    init(_ fd: consuming OwnedFD) { self.fd = fd }

    private static let confined = UInt64(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

    /// Opens what `path` names inside the root. With `noFollow` the last component may not be a link.
    func open(_ path: String, _ flags: Int32 = O_PATH, mode: UInt32 = 0, noFollow: Bool = false) throws(Errno)
        -> OwnedFD
    {
        let relative = RootDirectory.relative(path)
        while true {
            do {
                return try File.open2(
                    relative, noFollow ? flags | O_NOFOLLOW : flags, mode: mode, resolve: RootDirectory.confined,
                    at: fd.raw)
            } catch .resourceTemporarilyUnavailable {
                // A rename raced with the resolution of ".."; the caller of openat2 is expected to repeat.
            }
        }
    }

    /// The mount target `path`, made where it is missing: directories, and a file at the end for `isFile`. With
    /// `isSpecial` it must be a directory itself, not a link to one.
    ///
    /// Each component is made through the descriptor of the one before, never by a path that another container with
    /// the same volume could exchange for a link meanwhile (CVE-2021-30465, CVE-2024-45310).
    func target(_ path: String, isFile: Bool, isSpecial: Bool = false) throws(Errno) -> OwnedFD {
        let flags = isSpecial ? O_PATH | O_DIRECTORY : O_PATH
        do { return try open(path, flags, noFollow: isSpecial) } catch .noSuchFileOrDirectory {}
        let components = path.split(separator: "/").filter { $0 != "." }.map(String.init)
        if components.contains("..") { throw .invalidArgument }
        try make(components[...], isFile: isFile)
        return try open(path, flags, noFollow: isSpecial)
    }

    /// Recursion ends, because the kernel has refused a path of more than PATH_MAX bytes before.
    private func make(_ components: ArraySlice<String>, isFile: Bool) throws(Errno) {
        guard let name = components.last else { return }
        let folder = components.dropLast()
        let parent: OwnedFD
        let path = folder.isEmpty ? "." : folder.joined(separator: "/")
        do { parent = try open(path, O_PATH | O_DIRECTORY) } catch {
            guard error == .noSuchFileOrDirectory else { throw error }
            try make(folder, isFile: false)
            parent = try open(path, O_PATH | O_DIRECTORY)
        }
        do {
            if isFile {
                _ = try File.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644, at: parent.raw)
            } else {
                try Directory.make(name, at: parent.raw)
            }
        } catch .fileExists {}
    }

    static func lastComponent(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }

    /// The directory that holds `path`'s last component (made if missing), which must not be a link itself.
    func parent(of path: String) throws(Errno) -> OwnedFD {
        let components = path.split(separator: "/").map(String.init)
        guard let name = components.last, name != "..", name != "." else { throw .invalidArgument }
        let folder = components.dropLast().joined(separator: "/")
        if folder.isEmpty { return try open(".", O_PATH | O_DIRECTORY) }
        _ = try target(folder, isFile: false)
        return try open(folder, O_PATH | O_DIRECTORY, noFollow: true)
    }

    static func relative(_ path: String) -> String {
        let trimmed = path.drop { $0 == "/" }
        return trimmed.isEmpty ? "." : String(trimmed)
    }
}

/// Detached mounts: fsopen(2), open_tree(2), mount_setattr(2), move_mount(2).
enum DetachedMount {
    static func filesystem(
        _ type: String, source: String = "", options: [(key: String, value: String?)] = [], attributes: UInt64 = 0
    ) throws(Errno) -> OwnedFD {
        let context = OwnedFD(try checked(samara_fsopen(type, UInt32(FSOPEN_CLOEXEC))))
        if !source.isEmpty {
            _ = try checked(samara_fsconfig(context.raw, UInt32(FSCONFIG_SET_STRING.rawValue), "source", source, 0))
        }
        for option in options {
            if let value = option.value {
                _ = try checked(
                    samara_fsconfig(context.raw, UInt32(FSCONFIG_SET_STRING.rawValue), option.key, value, 0))
            } else {
                _ = try checked(samara_fsconfig(context.raw, UInt32(FSCONFIG_SET_FLAG.rawValue), option.key, nil, 0))
            }
        }
        _ = try checked(samara_fsconfig(context.raw, UInt32(FSCONFIG_CMD_CREATE.rawValue), nil, nil, 0))
        return OwnedFD(
            try checked(samara_fsmount(context.raw, UInt32(FSMOUNT_CLOEXEC), UInt32(truncatingIfNeeded: attributes))))
    }

    /// A copy of the mount at `path`; with an empty path of the one that `directory` is.
    static func copy(_ path: String, at directory: Int32 = AT_FDCWD, recursive: Bool) throws(Errno) -> OwnedFD {
        var flags = UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC)
        if path.isEmpty { flags |= UInt32(AT_EMPTY_PATH) }
        if recursive { flags |= UInt32(AT_RECURSIVE_VALUE) }
        return OwnedFD(try checked(samara_open_tree(directory, path, flags)))
    }

    static func setAttributes(
        _ tree: borrowing OwnedFD, set: UInt64 = 0, clear: UInt64 = 0, propagation: UInt64 = 0, recursive: Bool
    ) throws(Errno) {
        var attributes = mount_attr()
        attributes.attr_set = set
        attributes.attr_clr = clear
        attributes.propagation = propagation
        let flags = UInt32(AT_EMPTY_PATH) | (recursive ? UInt32(AT_RECURSIVE_VALUE) : 0)
        _ = try checked(samara_mount_setattr(tree.raw, "", flags, &attributes, MemoryLayout<mount_attr>.size))
    }

    /// Attaches `tree` on the very inode that `target` is, whatever its path has become.
    static func attach(_ tree: borrowing OwnedFD, on target: borrowing OwnedFD) throws(Errno) {
        _ = try checked(
            samara_move_mount(tree.raw, "", target.raw, "", UInt32(MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)))
    }
}
