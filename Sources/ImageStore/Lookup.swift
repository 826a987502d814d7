// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec

/// An image together with the name that led to it.
public struct FoundImage: Equatable, Sendable {
    public var record: ImageRecord
    /// The full name, `docker.io/library/nginx:latest`; nil when an id or a digest was given.
    public var name: String?
}

/// An image with all its names, for `images`.
public struct ListedImage: Equatable, Sendable {
    public var record: ImageRecord
    /// Sorted; empty for a dangling image.
    public var names: [String]
}

extension ImageStore {
    /// The image that `text` means on this machine; see `find`.
    public func resolve(_ text: String) throws(ImageStoreError) -> ImageRecord { try find(text).record }

    /// The image that `text` means on this machine.
    ///
    /// Tried in this order, so that a common name costs one readlink(2) and one read: a whole id with or without
    /// `sha256:`; `name@digest`; the exact name, where a short name means `localhost/` first and Docker Hub's name
    /// second; a short name as the end of one local name (`nginx` for `quay.io/foo/nginx:latest`); the beginning
    /// of one image id.
    public func find(_ text: String) throws(ImageStoreError) -> FoundImage {
        let hex = text.utf8.starts(with: "sha256:".utf8) ? text.dropFirst(7) : text[...]
        if let id = Digest(hex: hex) {
            if let record = try record(id) { return FoundImage(record: record) }
            if let image = try imageIDs(where: { $0.manifestDigest == id }).first { return FoundImage(record: image) }
            throw notKnown(text)
        }
        if hex.utf8.count != text.utf8.count {
            if let record = try prefixed(hex, text) { return FoundImage(record: record) }
            throw notKnown(text)
        }
        let partial: PartialImageReference
        do { partial = try PartialImageReference(text) } catch {
            throw ImageStoreError(.invalidName, error.description)
        }
        let candidates = (partial.domain == nil ? ["localhost", "docker.io"] : [""]).map {
            partial.qualified(domain: $0)
        }
        for candidate in candidates {
            if let found = try exact(candidate) { return found }
        }
        if partial.domain == nil {
            if let found = try suffixed(partial, text) { return found }
            if let record = try prefixed(text[...], text) { return FoundImage(record: record) }
        }
        throw notKnown(text)
    }

    /// All images, newest first; of equal age in the order of their ids.
    public func list() throws(ImageStoreError) -> [ListedImage] {
        var names: [Digest: [String]] = [:]
        for (name, id) in try allNames() { names[id, default: []].append(name) }
        var images: [ListedImage] = []
        for id in try imageIDs() {
            // Gone between the listing and now: removed by another command.
            guard let record = try record(id) else { continue }
            images.append(ListedImage(record: record, names: names[id] ?? []))
        }
        // RFC 3339 in UTC, as every builder writes it, sorts as text.
        return images.sorted {
            ($0.record.created ?? "", $1.record.id.hex) > ($1.record.created ?? "", $0.record.id.hex)
        }
    }

    private func notKnown(_ text: String) -> ImageStoreError { ImageStoreError(.notKnown, "\(text): image not known") }

    private func exact(_ name: ImageReference) throws(ImageStoreError) -> FoundImage? {
        if let digest = name.digest { return try byDigest(name, digest) }
        guard let id = try linkedID(name), let record = try record(id) else { return nil }
        return FoundImage(record: record, name: name.description)
    }

    // A tag beside a digest says nothing more: the digest decides.
    private func byDigest(_ name: ImageReference, _ digest: Digest) throws(ImageStoreError) -> FoundImage? {
        let untagged = ImageReference(domain: name.domain, path: name.path, tag: nil, digest: digest)
        if let id = try linkedID(untagged), let record = try record(id) {
            return FoundImage(record: record, name: untagged.description)
        }
        let repository = name.repository + ":"
        for (linked, id) in try allNames() where linked.hasPrefix(repository) {
            if let record = try record(id), record.manifestDigest == digest {
                return FoundImage(record: record, name: linked)
            }
        }
        return nil
    }

    // `nginx` fits `quay.io/foo/nginx:latest`: whole path components only.
    private func suffixed(_ partial: PartialImageReference, _ text: String) throws(ImageStoreError) -> FoundImage? {
        if partial.digest != nil { return nil }
        let ending = "/" + partial.path + ":" + (partial.tag ?? "latest")
        let fitting = try allNames().filter { $0.name.hasSuffix(ending) }
        guard let first = fitting.first else { return nil }
        if fitting.contains(where: { $0.id != first.id }) {
            let names = fitting.map(\.name).joined(separator: ", ")
            throw ImageStoreError(
                .ambiguous, "the short name \"\(text)\" fits several images (\(names)); use the full name")
        }
        guard let record = try record(first.id) else { return nil }
        return FoundImage(record: record, name: first.name)
    }

    private func prefixed(_ prefix: Substring, _ text: String) throws(ImageStoreError) -> ImageRecord? {
        guard !prefix.isEmpty, prefix.utf8.count < 64,
            prefix.utf8.allSatisfy({ Digest(hex: String(repeating: Character(UnicodeScalar($0)), count: 64)) != nil })
        else { return nil }
        let fitting = try imageIDs().filter { $0.hex.hasPrefix(prefix) }
        guard let first = fitting.first else { return nil }
        if fitting.count > 1 {
            throw ImageStoreError(.ambiguous, "the image id \"\(text)\" fits \(fitting.count) images; type more of it")
        }
        return try record(first)
    }

    private func imageIDs(
        where predicate: (ImageRecord) -> Bool
    ) throws(ImageStoreError) -> [ImageRecord] {
        var found: [ImageRecord] = []
        for id in try imageIDs() {
            if let record = try record(id), predicate(record) { found.append(record) }
        }
        return found
    }
}
