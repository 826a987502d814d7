// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// `system check`: compares what the store's records and names promise with what is there.
///
/// What nobody refers to (remains of killed commands) is no damage: the next command that changes the store removes it.
package struct StoreCheck {
    package struct Problem: Equatable {
        /// The image that cannot be relied on; nil for a name without an image.
        package var image: Digest?
        /// A sentence.
        package var text: String
    }

    private let store: ImageStore
    private let isQuick: Bool
    private let limits: ExtractionLimits
    private var problems: [Problem] = []
    /// Content that several images share is read once; the text says what is wrong with it.
    private var checkedBlobs: [Digest: String?] = [:]
    private var badBlobs: Set<Digest> = []
    private var checkedLayers: [Digest: String?] = [:]

    /// - Parameter isQuick: without reading the blobs and the layers' trees.
    package init(_ store: ImageStore, isQuick: Bool, limits: ExtractionLimits = ExtractionLimits()) {
        self.store = store
        self.isQuick = isQuick
        self.limits = limits
    }

    /// All problems, by image. Takes no lock: images that are removed meanwhile are left out.
    package mutating func run() throws(LayerArchiveError) -> [Problem] {
        for id in try storing({ () throws(ImageStoreError) in try store.imageIDs() }) { try check(id) }
        for (name, id) in try storing({ () throws(ImageStoreError) in try store.allNames() })
        where !File.exists(store.recordPath(id)) {
            problems.append(Problem(image: nil, text: "the name \(name) leads to the image \(id), which is not there"))
        }
        return problems.filter { problem in problem.image.map { File.exists(store.recordPath($0)) } ?? true }
    }

    private mutating func check(_ id: Digest) throws(LayerArchiveError) {
        let record: ImageRecord
        do {
            guard let found = try store.record(id) else { return }
            record = found
        } catch {
            problems.append(Problem(image: id, text: error.description))
            return
        }
        func report(_ text: String) { problems.append(Problem(image: id, text: "image \(id.hex.prefix(12)): \(text)")) }
        if record.id != id { report("its record is about \(record.id)") }
        for blob in record.blobs {
            let size = record.layers.first { $0.blob == blob }?.blobSize
            if let text = try blobProblem(blob, size: size) { report(text) }
        }
        var below: Digest?
        for layer in record.layers {
            if layer.chainID != (try LayerChain.id(layer.diffID, above: below)) {
                report("the layer \(layer.chainID) is not on the layers below")
            }
            below = layer.chainID
            if let text = try layerProblem(layer) { report(text) }
        }
    }

    // MARK: Blobs

    private mutating func blobProblem(_ blob: Digest, size: Int64?) throws(LayerArchiveError) -> String? {
        if let known = checkedBlobs[blob] { return known }
        let found = try readBlob(blob, size: size)
        if found != nil { badBlobs.insert(blob) }
        checkedBlobs[blob] = .some(found)
        return found
    }

    private func readBlob(_ blob: Digest, size: Int64?) throws(LayerArchiveError) -> String? {
        let path = store.blobPath(blob)
        let fd: OwnedFD
        do { fd = try File.open(path, O_RDONLY | O_NOFOLLOW) } catch {
            return "the content \(blob) cannot be read: \(error.text)"
        }
        let actual = (try? File.status(fd).size) ?? -1
        if let size, actual != size { return "the content \(blob) has \(actual) bytes instead of \(size)" }
        if isQuick { return nil }
        let content = try DigestingSource(try DescriptorSource(fd, name: path), limit: .max, excess: "")
        try content.drain()
        let digest = content.digest()
        return digest == blob ? nil : "the content \(blob) is damaged: its digest is \(digest)"
    }

    // MARK: Layers

    private mutating func layerProblem(_ layer: ImageLayer) throws(LayerArchiveError) -> String? {
        if let known = checkedLayers[layer.chainID] { return known }
        let found = try readLayer(layer)
        checkedLayers[layer.chainID] = .some(found)
        return found
    }

    private func readLayer(_ layer: ImageLayer) throws(LayerArchiveError) -> String? {
        let directory = store.layerDirectory(layer.chainID)
        do {
            let known = try ImageLayer(try JSON.parse(try File.read(directory + "/layer.json")))
            if known.diffID != layer.diffID || known.chainID != layer.chainID {
                return "the unpacked layer \(layer.chainID) is another one's"
            }
        } catch { return "the unpacked layer \(layer.chainID) has no good layer.json: \(error)" }
        let root: OwnedFD
        do { root = try File.open(directory + "/diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW) } catch {
            return "the unpacked layer \(layer.chainID) cannot be opened: \(error.text)"
        }
        // A damaged blob says nothing about the tree.
        if isQuick || badBlobs.contains(layer.blob) { return nil }
        return try LayerVerification.problem(
            of: root, blob: store.blobPath(layer.blob), layer: layer, limits: limits)
    }

    /// Removes damaged images with their names, and names that lead nowhere, then what nobody needs.
    ///
    /// - Parameter used: images that stay, because containers use them.
    /// - Returns: the ids of the images that are gone.
    package static func repair(
        _ problems: [Problem], in store: ImageStore, keeping used: Set<Digest>
    ) throws(LayerArchiveError) -> [Digest] {
        var removed: [Digest] = []
        for problem in problems {
            guard let id = problem.image, !used.contains(id), !removed.contains(id) else { continue }
            removed.append(id)
        }
        try storing { () throws(ImageStoreError) in try store.discard(images: removed) }
        return removed
    }
}
