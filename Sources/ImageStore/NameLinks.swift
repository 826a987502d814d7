// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

/// The links in `tags/`.
///
/// A name's file is the name with "/" written as "+", which no image name contains: one byte for one byte, so that
/// a name of up to 255 bytes fits the longest file name there is.
extension ImageStore {
    static let longestName = 255

    func linkPath(_ name: ImageReference) -> String { tagsDirectory + "/" + ImageStore.linkName(name) }

    static func linkName(_ name: ImageReference) -> String {
        String(decoding: name.description.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: "+") : $0 }, as: UTF8.self)
    }

    static func name(ofLink link: String) -> String {
        String(decoding: link.utf8.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: "/") : $0 }, as: UTF8.self)
    }

    /// The image that has exactly this name.
    func linkedID(_ name: ImageReference) throws(ImageStoreError) -> Digest? { try linkedID(linkPath(name)) }

    private func linkedID(_ path: String) throws(ImageStoreError) -> Digest? {
        let target: String
        do { target = try File.readLink(path) } catch {
            if error == .noSuchFileOrDirectory || error == .fileNameTooLong { return nil }
            throw ImageStoreError("read the image name", path, error)
        }
        guard let id = Digest(hex: target) else {
            throw ImageStoreError(
                .damaged,
                "the image name \"\(path)\" points to \"\(target)\", which is not an image id; remove it and tag the image again"
            )
        }
        return id
    }

    /// Every name with its image id, sorted by name.
    package func allNames() throws(ImageStoreError) -> [(name: String, id: Digest)] {
        var found: [(name: String, id: Digest)] = []
        for link in try names(in: tagsDirectory).sorted() {
            // Gone between the listing and now: removed by another command.
            if let id = try linkedID(tagsDirectory + "/" + link) { found.append((ImageStore.name(ofLink: link), id)) }
        }
        return found
    }

    /// The names of one image, sorted; those of the form `repository@digest` included.
    public func names(of id: Digest) throws(ImageStoreError) -> [String] {
        try allNames().filter { $0.id == id }.map(\.name)
    }

    /// Points `name` at an image, taking it from the image that had it. The lock must be held.
    package func link(_ name: ImageReference, to id: Digest) throws(ImageStoreError) {
        try ImageStore.checkLength(name)
        // One fixed temporary name is enough under the lock; a leftover of a killed process is replaced.
        let temporary = temporaryDirectory + "/name"
        do {
            do { try File.unlink(temporary) } catch .noSuchFileOrDirectory {}
            try File.symlink(id.hex, temporary)
            try File.rename(temporary, linkPath(name))
        } catch {
            throw ImageStoreError("name the image", name.description, error)
        }
    }

    package static func checkLength(_ name: ImageReference) throws(ImageStoreError) {
        if name.description.utf8.count > longestName {
            throw ImageStoreError(.invalidName, "the image name \"\(name)\" is longer than \(longestName) bytes")
        }
    }

    /// Takes the name away from whatever image has it. The lock must be held.
    func unlink(_ name: String) throws(ImageStoreError) {
        let link = String(decoding: name.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: "+") : $0 }, as: UTF8.self)
        do { try File.unlink(tagsDirectory + "/" + link) } catch .noSuchFileOrDirectory {} catch {
            throw ImageStoreError("remove the image name", name, error)
        }
    }
}
