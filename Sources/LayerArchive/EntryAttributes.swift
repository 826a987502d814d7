// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Whose the files become.
package enum Ownership: Sendable {
    /// As the layer says. Needs a user namespace with the ids mapped.
    case asArchived
    /// Whoever unpacks: the namespace has only one id, because the user has no subordinate ids.
    case unpacking
}

/// What a layer's entry says about itself besides its content.
struct EntryAttributes {
    var user: UInt32
    var group: UInt32
    /// Permission, set-id and sticky bits.
    var permissions: UInt32
    var modified: FileTime
    var extended: [(name: PathBytes, value: [UInt8])]

    init(user: UInt32, group: UInt32, permissions: UInt32, modified: FileTime) {
        self.user = user
        self.group = group
        self.permissions = permissions
        self.modified = modified
        extended = []
    }

    init(_ entry: ArchiveEntry, _ path: EntryPath, _ warnings: WarningLog) throws(LayerArchiveError) {
        // (uid_t)-1 means "leave it" to chown(2), so it is not an owner.
        guard let user = UInt32(exactly: entry.user), let group = UInt32(exactly: entry.group),
            user != .max, group != .max
        else {
            throw LayerArchiveError("the layer's entry \(path.shown) has an owner that is not a user or group id")
        }
        self.user = user
        self.group = group
        permissions = entry.permissions
        modified = FileTime(
            seconds: entry.modifiedSeconds, nanoseconds: min(max(entry.modifiedNanoseconds, 0), 999_999_999))
        extended = []
        for (name, value) in entry.extendedAttributes {
            let text = String(decoding: name, as: UTF8.self)
            // Overlay's own attributes would change how layers are stacked; in an image they are left over from
            // the storage of the machine that built it.
            if text.hasPrefix("user.overlay.") || text.hasPrefix("trusted.overlay.") {
                warnings.warn("the attribute \(text) belongs to overlay, not to an image; it is left out")
                continue
            }
            extended.append((PathBytes(name), value))
        }
        if entry.hasAccessControlList {
            warnings.warn(
                "the layer has POSIX access control lists in the form of star, which images do not use; they are left out"
            )
        }
    }
}

/// Where attributes are written: an open file, or a name that is not opened (links, fifos).
///
/// Order: the owner first, because chown(2) clears the set-id bits and security.capability; the attributes before
/// the mode, because a file that its owner may not write takes none; the times last, because everything else
/// changes them.
struct AttributeWriter {
    let ownership: Ownership
    let warnings: WarningLog
    /// Whose a new file is.
    private let maker = Identity.effective

    init(ownership: Ownership, warnings: WarningLog) {
        self.ownership = ownership
        self.warnings = warnings
    }

    /// - Parameters:
    ///   - hasMode: the file was made with its mode.
    ///   - isNew: the file belongs to this process's user and group: it was just made, in a directory without the
    ///     set-group-ID bit. Most files of images are root's, and so are they.
    func apply(
        _ attributes: EntryAttributes, to fd: borrowing OwnedFD, _ shown: @autoclosure () -> String,
        hasMode: Bool = false, isNew: Bool = false
    ) throws(LayerArchiveError) {
        do throws(Errno) {
            if ownership == .asArchived, !isNew || (attributes.user, attributes.group) != maker {
                try OpenFile.setOwner(fd, user: attributes.user, group: attributes.group)
            }
        } catch { throw ownerError(attributes, shown(), error) }
        for (name, value) in attributes.extended {
            do { try OpenFile.setExtendedAttribute(fd, name, value) } catch { try refused(name, shown(), error) }
        }
        if !hasMode {
            do { try OpenFile.setMode(fd, attributes.permissions) } catch {
                throw LayerArchiveError("set the mode of the layer's entry", shown: shown(), error)
            }
        }
        do { try OpenFile.setTimes(fd, attributes.modified) } catch {
            throw LayerArchiveError("set the times of the layer's entry", shown: shown(), error)
        }
    }

    /// - Parameter isLink: a symbolic link has no mode.
    func apply(
        _ attributes: EntryAttributes, to name: PathBytes, in parent: borrowing OwnedFD, isLink: Bool, _ shown: String
    ) throws(LayerArchiveError) {
        do throws(Errno) {
            if ownership == .asArchived {
                try DirectoryEntry.setOwner(name, user: attributes.user, group: attributes.group, in: parent)
            }
        } catch { throw ownerError(attributes, shown, error) }
        for (attribute, value) in attributes.extended {
            do { try DirectoryEntry.setExtendedAttribute(name, attribute, value, in: parent) } catch {
                try refused(attribute, shown, error)
            }
        }
        if !isLink {
            do { try DirectoryEntry.setMode(name, attributes.permissions, in: parent) } catch {
                throw LayerArchiveError("set the mode of the layer's entry", shown: shown, error)
            }
        }
        do { try DirectoryEntry.setTimes(name, attributes.modified, in: parent) } catch {
            throw LayerArchiveError("set the times of the layer's entry", shown: shown, error)
        }
    }

    private func ownerError(_ attributes: EntryAttributes, _ shown: String, _ error: Errno) -> LayerArchiveError {
        if error == .invalidArgument || error == .notPermitted {
            return LayerArchiveError(
                "the layer's entry \(shown) belongs to \(attributes.user):\(attributes.group), which is not mapped into the user namespace; give the user a larger range in /etc/subuid and /etc/subgid (usermod --add-subuids, --add-subgids)"
            )
        }
        return LayerArchiveError("set the owner of the layer's entry", shown: shown, error)
    }

    // Labels of another machine's security module and attributes that need real root cannot be kept; podman leaves
    // them out as well. A file system without attributes loses them all, which is said.
    private func refused(_ name: PathBytes, _ shown: String, _ error: Errno) throws(LayerArchiveError) {
        if error == .notSupported || error == .notPermitted {
            warnings.warn("the attribute \(name) cannot be set here (\(error.text)); it is left out, first at \(shown)")
            return
        }
        throw LayerArchiveError("set the attribute \(name) of the layer's entry", shown: shown, error)
    }
}
