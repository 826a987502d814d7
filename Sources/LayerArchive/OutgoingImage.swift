// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// An image as it leaves the store: as it is there, byte for byte, or with the manifest and the compression that
/// somebody else wants.
package struct OutgoingImage {
    package struct Form {
        package enum Schema: String {
            case oci
            /// Docker's schema 2.
            case docker = "v2s2"
        }

        /// Nil leaves the manifest's.
        package var schema: Schema?
        /// Layers that are not gzip become gzip.
        package var isGzip = false

        package init(schema: Schema? = nil, isGzip: Bool = false) {
            self.schema = schema
            self.isGzip = isGzip
        }
    }

    package struct Blob {
        package var digest: Digest
        /// Bytes.
        package var size: Int64
        /// The file that has the content.
        package var path: String
    }

    package var manifest: [UInt8]
    package var mediaType: String
    package var config: Blob
    /// Lowest first.
    package var layers: [Blob]

    /// - Parameter staging: where layers that must be compressed again are written.
    package init(
        _ record: ImageRecord, _ form: Form, in staging: borrowing Staging
    ) throws(LayerArchiveError) {
        let store = staging.store
        let schema = form.schema ?? (record.manifestMediaType == MediaType.dockerManifest ? .docker : .oci)
        config = try Self.stored(record.id, store)
        layers = []
        var types: [String] = []
        for layer in record.layers {
            // Docker's schema has no type for zstd.
            let isWelcome = layer.mediaType != MediaType.layerZstd || schema == .oci || form.schema == nil
            if layer.mediaType == MediaType.layerGzip || (isWelcome && !form.isGzip) {
                layers.append(try Self.stored(layer.blob, store, size: layer.blobSize))
                types.append(layer.mediaType)
            } else {
                layers.append(try Self.gzipped(layer, in: staging))
                types.append(MediaType.layerGzip)
            }
        }
        mediaType = schema == .docker ? MediaType.dockerManifest : MediaType.manifest
        let path = store.blobPath(record.manifestDigest)
        do { manifest = try File.read(path) } catch { throw LayerArchiveError("read", path, error) }
        if mediaType == record.manifestMediaType, layers.map(\.digest) == record.layers.map(\.blob) { return }
        let json: JSON
        do { json = try JSON.parse(manifest) } catch { throw LayerArchiveError("\(path): \(error)") }
        var new = try parsing(path) { () throws(ImageSpecError) in try ImageManifest(json) }
        new.mediaType = mediaType
        new.config = Descriptor(
            mediaType: schema == .docker ? MediaType.dockerConfig : MediaType.config, digest: config.digest,
            size: config.size)
        new.layers = zip(layers, types).map { blob, type in
            Descriptor(
                mediaType: schema == .docker ? MediaType.docker(layer: type) ?? type : type, digest: blob.digest,
                size: blob.size)
        }
        // Docker's schema has none.
        if schema == .docker { new.annotations = [:] }
        manifest = new.json.serialized()
    }

    /// - Parameter size: what the record says, if it says it.
    private static func stored(
        _ digest: Digest, _ store: ImageStore, size: Int64? = nil
    ) throws(LayerArchiveError) -> Blob {
        let path = store.blobPath(digest)
        let found: Int64
        do { found = try File.status(path).size } catch { throw LayerArchiveError("read", path, error) }
        if let size, size != found {
            throw LayerArchiveError(
                "\"\(path)\" has \(found) bytes instead of \(size): the image store is damaged; remove the image and load or pull it again"
            )
        }
        return Blob(digest: digest, size: found, path: path)
    }

    private static func gzipped(
        _ layer: ImageLayer, in staging: borrowing Staging
    ) throws(LayerArchiveError) -> Blob {
        let from = staging.store.blobPath(layer.blob)
        let name = "the layer \(layer.blob)"
        let incoming = staging.path + "/blobs/incoming-" + layer.blob.hex
        let output = try LayerBlobWriter(incoming)
        let fd: OwnedFD
        do { fd = try File.open(from, O_RDONLY) } catch { throw LayerArchiveError("read", from, error) }
        let content = try DecompressedSource(try DescriptorSource(fd, name: name), name: name)
        while true {
            let piece = try content.next()
            if piece.isEmpty { break }
            try output.write(piece)
        }
        let (digest, diffID) = try output.finish()
        if diffID != layer.diffID {
            throw LayerArchiveError("\(name) does not unpack to \(layer.diffID); the image store is damaged")
        }
        let path = staging.blobPath(digest)
        do { try File.rename(incoming, path) } catch { throw LayerArchiveError("write", path, error) }
        return Blob(digest: digest, size: output.blobSize, path: path)
    }
}
