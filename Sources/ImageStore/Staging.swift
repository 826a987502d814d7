// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// One process's work in progress: `tmp/staging-<random>`, with its flock(2) held from making to removing.
///
///     blobs/<hex>           content on its way into the store
///     layers/<chain id>/    layers on their way into the store: diff/ and layer.json
///     claims/               `layer-<hex>` and `blob-<hex>`: content of the store that this work relies on
///
/// `deinit` removes what is left; after a crash the next command does.
public struct Staging: ~Copyable {
    static let prefix = "staging-"

    public let store: ImageStore
    /// The directory's absolute path.
    public let path: String
    private let directory: OwnedFD

    package init(in store: ImageStore) throws(ImageStoreError) {
        try store.prepare()
        var generator = SystemRandomNumberGenerator()
        while true {
            let path = "\(store.temporaryDirectory)/\(Staging.prefix)\(String(generator.next() as UInt64, radix: 36))"
            do throws(Errno) {
                try Directory.make(path, mode: 0o700)
                // Between making and locking a sweep may take the directory: then the next name is tried.
                guard let directory = try DirectoryEntry.openLockedIfFree(path), File.exists(path) else { continue }
                for name in ["blobs", "layers", "claims"] { try Directory.make(path + "/" + name, mode: 0o700) }
                self.store = store
                self.path = path
                self.directory = directory
                return
            } catch .noSuchFileOrDirectory where File.exists(store.temporaryDirectory) {
                continue
            } catch {
                throw ImageStoreError("make a work directory in", store.temporaryDirectory, error)
            }
        }
    }

    // Whatever stays behind on an error here is swept by the next command that changes the store.
    deinit { try? FileTree.remove(path) }

    package func blobPath(_ digest: Digest) -> String { path + "/blobs/" + digest.hex }
    package func layerDirectory(_ chainID: Digest) -> String { path + "/layers/" + chainID.hex }

    /// True if the store has the layer, which from now on stays until this work ends.
    package func claim(layer chainID: Digest) throws(ImageStoreError) -> Bool {
        try claim("layer-" + chainID.hex, store.layerDirectory(chainID) + "/layer.json")
    }

    /// True if the store has the blob, which from now on stays until this work ends.
    package func claim(blob digest: Digest) throws(ImageStoreError) -> Bool {
        try claim("blob-" + digest.hex, store.blobPath(digest))
    }

    // Under the lock, so that garbage collection either sees the claim or has finished removing.
    private func claim(_ name: String, _ wanted: String) throws(ImageStoreError) -> Bool {
        if !File.exists(wanted) { return false }
        return try store.whileLocked { () throws(ImageStoreError) in
            if !File.exists(wanted) { return false }
            do throws(Errno) { try File.write(path + "/claims/" + name, []) } catch {
                throw ImageStoreError("claim content in", path, error)
            }
            return true
        }
    }

    /// What all work in progress relies on.
    static func claims(in store: ImageStore) throws(ImageStoreError) -> (layers: Set<Digest>, blobs: Set<Digest>) {
        var layers: Set<Digest> = []
        var blobs: Set<Digest> = []
        for name in try store.names(in: store.temporaryDirectory) where name.hasPrefix(prefix) {
            for claim in try store.names(in: "\(store.temporaryDirectory)/\(name)/claims") {
                if claim.hasPrefix("layer-"), let digest = Digest(hex: claim.dropFirst(6)) { layers.insert(digest) }
                if claim.hasPrefix("blob-"), let digest = Digest(hex: claim.dropFirst(5)) { blobs.insert(digest) }
            }
        }
        return (layers, blobs)
    }

    /// Takes over the blobs that killed commands left whole. Their content is the caller's to verify: nobody waited until
    /// they were on the disk.
    package func adoptAbandonedBlobs() throws(ImageStoreError) {
        try store.whileLocked { () throws(ImageStoreError) in
            for name in try store.names(in: store.temporaryDirectory) where name.hasPrefix(Staging.prefix) {
                let abandoned = store.temporaryDirectory + "/" + name
                do throws(Errno) {
                    guard let directory = try DirectoryEntry.openLockedIfFree(abandoned) else { continue }
                    for blob in (try? Directory.names(abandoned + "/blobs")) ?? [] {
                        // What is still on its way has another name.
                        guard let digest = Digest(hex: blob) else { continue }
                        try File.rename(abandoned + "/blobs/" + blob, blobPath(digest))
                    }
                    try directory.close()
                } catch { throw ImageStoreError("take over the work in", abandoned, error) }
            }
        }
    }

    /// An image that is complete once this work's content is in the store.
    package struct NewImage {
        package var record: ImageRecord
        package var names: [ImageReference]

        package init(record: ImageRecord, names: [ImageReference]) {
            self.record = record
            self.names = names
        }
    }

    /// Moves the content that `images` need into the store, then their records, then their names: all or nothing
    /// is visible, also after a power cut. The rest of the staged content is dropped.
    package func commit(_ images: [NewImage]) throws(ImageStoreError) {
        for name in images.flatMap(\.names) { try ImageStore.checkLength(name) }
        // Before the lock: writing back gigabytes must not hold up other commands.
        do { try DirectoryEntry.synchronizeFileSystem(of: directory) } catch {
            throw ImageStoreError("write the image to disk below", path, error)
        }
        try store.whileLocked { () throws(ImageStoreError) in try moveIn(images) }
    }

    private func moveIn(_ images: [NewImage]) throws(ImageStoreError) {
        for image in images {
            for blob in image.record.blobs { try moveIn(blobPath(blob), to: store.blobPath(blob), isDirectory: false) }
            for layer in image.record.layers {
                try moveIn(
                    layerDirectory(layer.chainID), to: store.layerDirectory(layer.chainID), isDirectory: true)
            }
        }
        for image in images {
            let path = store.recordPath(image.record.id)
            do { try File.replace(path, image.record.json.serialized(), durable: true) } catch {
                throw ImageStoreError("write the image record", path, error)
            }
        }
        for image in images {
            for name in image.names { try store.link(name, to: image.record.id) }
        }
    }

    // Present already means the same content: both names are digests.
    private func moveIn(_ from: String, to: String, isDirectory: Bool) throws(ImageStoreError) {
        if File.exists(to) { return }
        do { try File.rename(from, to) } catch .noSuchFileOrDirectory {
            throw ImageStoreError(.damaged, "\"\(to)\" disappeared while the image was being stored; try again")
        } catch {
            throw ImageStoreError("move into the image store", to, error)
        }
    }
}
