// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

/// What a removal did, in the order in which podman prints it: `Untagged: NAME`, then `Deleted: ID`.
public struct RemovalReport: Equatable, Sendable {
    public var untagged: [String] = []
    /// 64 hexadecimal digits each.
    public var deleted: [String] = []

    public init(untagged: [String] = [], deleted: [String] = []) {
        self.untagged = untagged
        self.deleted = deleted
    }
}

/// Names given and taken, images removed: podman-tag(1), podman-untag(1), podman-rmi(1).
extension ImageStore {
    /// Gives the image `image` one more name. A name that another image has moves to this one.
    public func tag(_ image: String, as name: String) throws(ImageStoreError) {
        let reference: ImageReference
        do { reference = try ImageReference(local: name) } catch {
            throw ImageStoreError(.invalidName, error.description)
        }
        if reference.digest != nil {
            throw ImageStoreError(.invalidName, "an image cannot be named \"\(name)\": a digest cannot be chosen")
        }
        try whileLocked { () throws(ImageStoreError) in try link(reference, to: try resolve(image).id) }
    }

    /// Takes the given names from `image`, or all of them when none is given. The image stays.
    public func untag(_ image: String, _ names: [String] = []) throws(ImageStoreError) {
        try whileLocked { () throws(ImageStoreError) in try untagLocked(image, names) }
    }

    private func untagLocked(_ image: String, _ names: [String]) throws(ImageStoreError) {
        let record = try resolve(image)
        let present = try self.names(of: record.id)
        var doomed = names.isEmpty ? present : []
        for name in names {
            let partial: PartialImageReference
            do { partial = try PartialImageReference(name) } catch {
                throw ImageStoreError(.invalidName, error.description)
            }
            // As typed, a short name may mean the local name or Docker Hub's; the image has at most one of the two here.
            let meant = ["localhost", "docker.io"].map { partial.qualified(domain: $0).description }
            guard let name = meant.first(where: present.contains) else {
                throw ImageStoreError(.notKnown, "\(name): tag not known")
            }
            doomed.append(name)
        }
        for name in doomed { try unlink(name) }
    }

    /// Removes an image, or only one of its names.
    ///
    /// Given a name while the image has others, only that name goes, even when containers use the image. Otherwise
    /// the image goes with all its names: refused while containers use it, and refused for an id with several
    /// names unless `force`. The caller of a forced removal removes the containers first.
    ///
    /// - Parameter usedBy: the ids of the containers that use the image with this id (64 hexadecimal digits).
    public func remove(
        _ image: String, force: Bool = false, usedBy: (String) -> [String]
    ) throws(ImageStoreError) -> RemovalReport {
        try whileLocked { () throws(ImageStoreError) in try removeLocked(image, force: force, usedBy: usedBy) }
    }

    private func removeLocked(
        _ image: String, force: Bool, usedBy: (String) -> [String]
    ) throws(ImageStoreError) -> RemovalReport {
        let found = try find(image)
        let id = found.record.id
        let names = try self.names(of: id)
        var report = RemovalReport()
        if let name = found.name, names.count > 1, !force {
            try unlink(name)
            report.untagged = [name]
            return report
        }
        if let container = usedBy(id.hex).first {
            throw ImageStoreError(
                .inUse,
                "image used by \(container): image is in use by a container: consider listing external containers and force-removing image"
            )
        }
        if found.name == nil, names.count > 1, !force {
            throw ImageStoreError(
                .severalNames,
                "unable to delete image \"\(id.hex)\" by ID with more than one tag ([\(names.joined(separator: " "))]): please force removal"
            )
        }
        // Names before the record: a name without a record would be a dangling promise.
        for name in names { try unlink(name) }
        report.untagged = names
        try deleteRecord(id)
        report.deleted = [id.hex]
        try collectGarbageLocked()
        return report
    }

    /// Removes images that nobody needs: those without a name, with `all` also named ones. Images that `usedBy`
    /// gives containers for stay.
    ///
    /// - Parameter accepts: narrows what is removed further.
    public func prune(
        all: Bool = false, usedBy: (String) -> [String], accepts: (ListedImage) -> Bool = { _ in true }
    ) throws(ImageStoreError) -> RemovalReport {
        try whileLocked { () throws(ImageStoreError) in try pruneLocked(all: all, usedBy: usedBy, accepts: accepts) }
    }

    private func pruneLocked(
        all: Bool, usedBy: (String) -> [String], accepts: (ListedImage) -> Bool
    ) throws(ImageStoreError) -> RemovalReport {
        var report = RemovalReport()
        for image in try list()
        where (all || image.names.isEmpty) && usedBy(image.record.id.hex).isEmpty && accepts(image) {
            for name in image.names { try unlink(name) }
            report.untagged += image.names
            try deleteRecord(image.record.id)
            report.deleted.append(image.record.id.hex)
        }
        try collectGarbageLocked()
        return report
    }

    /// Removes images with all their names whatever uses them, names that lead nowhere, and what nobody needs then.
    package func discard(images ids: [Digest]) throws(ImageStoreError) {
        try whileLocked { () throws(ImageStoreError) in
            for (name, id) in try allNames() where ids.contains(id) || !File.exists(recordPath(id)) { try unlink(name) }
            for id in ids { try deleteRecord(id) }
            try collectGarbageLocked()
        }
    }

    private func deleteRecord(_ id: Digest) throws(ImageStoreError) {
        do { try File.unlink(recordPath(id)) } catch .noSuchFileOrDirectory {} catch {
            throw ImageStoreError("remove the image record", recordPath(id), error)
        }
    }
}
