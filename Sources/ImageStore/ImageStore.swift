// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// An image is a config document, a list of layers and any number of names. The store keeps, under one root:
//
//     blobs/sha256/<hex>       manifests, configs and layer blobs, byte for byte as they came
//     layers/<chain id>/diff   a layer unpacked for overlay; layers/<chain id>/layer.json says what it is
//     images/<image id>.json   one record per image: what `run` needs, parsed once when the image was loaded
//     tags/<name>              a symbolic link per name; its target is the image id
//     locks/images             flock(2): every change of the above is made while holding it
//     tmp/<random>/            work in progress of one process, which holds a flock(2) on the directory
//
// Names exist only as links, so moving a name from one image to another is one rename(2) and no record can
// disagree with it. `run` resolves a name with one readlink and one small file; it takes no lock, because every
// file it reads appears by rename, complete.
//
// Everything is prepared below tmp/ and renamed into place in the order blobs, layers, record, names: what is
// named is complete, after a syncfs(2) also across a power cut. A process that dies leaves files that nothing
// refers to. The next command that changes the store removes them: a tmp/ directory whose flock is free, a layer
// or blob that no record lists.
//
// A pull runs for minutes and must not block others, so it takes the lock only for moments. What it found
// present and means to use, it claims (`Staging.claim`): a file in its tmp/ directory that garbage collection
// honours like a record.
//
// Layers belong to subordinate user ids. Whatever removes them must run inside the user namespace.
import LinuxSystem
import OCISpec
import SystemPackage

/// The images of one user. A value that names directories; making one does no I/O.
public struct ImageStore: Sendable {
    /// The absolute path of the directory that holds everything: `$XDG_DATA_HOME/samara`.
    public let root: String

    public init(root: String) { self.root = root }

    package var blobsDirectory: String { root + "/blobs/sha256" }
    package var layersDirectory: String { root + "/layers" }
    package var imagesDirectory: String { root + "/images" }
    package var tagsDirectory: String { root + "/tags" }
    package var temporaryDirectory: String { root + "/tmp" }

    /// The file with the content that has `digest`.
    public func blobPath(_ digest: Digest) -> String { blobsDirectory + "/" + digest.hex }

    /// The unpacked layer with this chain id.
    public func layerPath(_ chainID: Digest) -> String { layersDirectory + "/" + chainID.hex + "/diff" }

    package func layerDirectory(_ chainID: Digest) -> String { layersDirectory + "/" + chainID.hex }
    package func recordPath(_ id: Digest) -> String { imagesDirectory + "/" + id.hex + ".json" }

    /// The unpacked layers of `image`, highest first: overlay's `lowerdir` order.
    public func layerPaths(of image: ImageRecord) -> [String] {
        let lowest = image.layers.lastIndex(where: \.hidesLower) ?? 0
        return image.layers[lowest...].reversed().map { layerPath($0.chainID) }
    }

    /// Makes the directories. Only the owner may enter: layers contain set-user-ID files.
    package func prepare() throws(ImageStoreError) {
        for directory in [
            blobsDirectory, layersDirectory, imagesDirectory, tagsDirectory, temporaryDirectory, root + "/locks",
        ] {
            do { try Directory.makeAll(directory, mode: 0o700) } catch {
                throw ImageStoreError("make the image store's directory", directory, error)
            }
        }
    }

    /// Runs `body` with the exclusive right to change the store, waiting for it first.
    package func whileLocked<Result>(
        _ body: () throws(ImageStoreError) -> Result
    ) throws(ImageStoreError) -> Result {
        let lock = try acquireLock()
        defer { extendLifetime(lock) }
        return try body()
    }

    private func acquireLock() throws(ImageStoreError) -> FileLock {
        try prepare()
        do { return try FileLock.acquire(root + "/locks/images") } catch {
            throw ImageStoreError("lock the image store", root + "/locks/images", error)
        }
    }

    /// The record of the image with this id; nil if there is none.
    package func record(_ id: Digest) throws(ImageStoreError) -> ImageRecord? {
        let path = recordPath(id)
        let bytes: [UInt8]
        do { bytes = try File.readRecord(path, limit: ImageRecord.largest) } catch .noSuchFileOrDirectory {
            return nil
        } catch {
            throw ImageStoreError("read the image record", path, error)
        }
        return try ImageRecord(bytes: bytes, path: path)
    }

    /// The ids of all images, in no order.
    package func imageIDs() throws(ImageStoreError) -> [Digest] {
        try names(in: imagesDirectory).compactMap { name in
            // A record being replaced has another ending for a moment.
            name.hasSuffix(".json") ? Digest(hex: name.dropLast(5)) : nil
        }
    }

    /// The names in one of the store's directories; none if nothing was ever stored.
    package func names(in directory: String) throws(ImageStoreError) -> [String] {
        do { return try Directory.names(directory) } catch .noSuchFileOrDirectory { return [] } catch {
            throw ImageStoreError("list", directory, error)
        }
    }
}
