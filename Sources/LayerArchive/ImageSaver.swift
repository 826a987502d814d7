// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// `save`: images of the store into one archive.
package struct ImageSaver: ~Copyable {
    /// The forms of podman-save(1) that are one file.
    package enum Format: String, CaseIterable {
        /// Uncompressed layers and `manifest.json`, for `docker load`.
        case docker = "docker-archive"
        /// The store's blobs byte for byte, in an OCI image layout.
        case oci = "oci-archive"
    }

    private struct NamedImage {
        var record: ImageRecord
        var names: [String]
    }

    private let store: ImageStore
    /// Holds claims, so that what is being written is not removed meanwhile.
    private let staging: Staging

    package init(store: ImageStore) throws(LayerArchiveError) {
        self.store = store
        do { staging = try Staging(in: store) } catch { throw LayerArchiveError(error) }
    }

    /// Writes the images that `names` mean. An image given by id is written without a name.
    package func save(
        _ names: [String], format: Format, to fd: borrowing OwnedFD, output: String
    ) throws(LayerArchiveError) {
        var images: [NamedImage] = []
        for name in names {
            let found: FoundImage
            do { found = try store.find(name) } catch { throw LayerArchiveError(error) }
            let full = found.name.map { [$0] } ?? []
            if let known = images.firstIndex(where: { $0.record.id == found.record.id }) {
                images[known].names += full.filter { !images[known].names.contains($0) }
            } else {
                try claim(found.record, name)
                images.append(NamedImage(record: found.record, names: full))
            }
        }
        let writer = try ArchiveWriter(to: fd, name: output)
        switch format {
        case .docker: try writeDocker(images, writer)
        case .oci: try writeOCI(images, writer)
        }
        try writer.finish()
    }

    private func claim(_ record: ImageRecord, _ name: String) throws(LayerArchiveError) {
        for blob in record.blobs {
            let isPresent: Bool
            do { isPresent = try staging.claim(blob: blob) } catch { throw LayerArchiveError(error) }
            if !isPresent {
                throw LayerArchiveError(
                    "the image \(name) lacks its content \(blob) in the store; remove it and load or pull it again")
            }
        }
    }

    private func open(_ blob: Digest) throws(LayerArchiveError) -> OwnedFD {
        do { return try File.open(store.blobPath(blob), O_RDONLY) } catch {
            throw LayerArchiveError("read", store.blobPath(blob), error)
        }
    }

    private func size(_ blob: Digest) throws(LayerArchiveError) -> Int64 {
        do { return try File.status(store.blobPath(blob)).size } catch {
            throw LayerArchiveError("read", store.blobPath(blob), error)
        }
    }

    private func document(_ blob: Digest) throws(LayerArchiveError) -> [UInt8] {
        do { return try File.read(store.blobPath(blob)) } catch {
            throw LayerArchiveError("read", store.blobPath(blob), error)
        }
    }

    // MARK: Docker

    private func writeDocker(_ images: [NamedImage], _ writer: ArchiveWriter) throws(LayerArchiveError) {
        var written: Set<Digest> = []
        var items: [JSON] = []
        for image in images {
            let config = image.record.id.hex + ".json"
            try writer.add(config, try document(image.record.id))
            for layer in image.record.layers where written.insert(layer.diffID).inserted {
                let name = "the layer \(layer.blob)"
                let content = try DigestingSource(
                    try DecompressedSource(try DescriptorSource(try open(layer.blob), name: name), name: name),
                    limit: layer.tarSize, excess: "\(name) is larger than its record says; the image store is damaged")
                try writer.add(layer.diffID.hex + ".tar", size: layer.tarSize, content)
                if content.digest() != layer.diffID {
                    throw LayerArchiveError("\(name) does not unpack to \(layer.diffID); the image store is damaged")
                }
            }
            items.append(
                .object([
                    "Config": .string(config), "RepoTags": .strings(image.names),
                    "Layers": .strings(image.record.layers.map { $0.diffID.hex + ".tar" }),
                ]))
        }
        try writer.add("manifest.json", JSON.array(items).serialized())
    }

    // MARK: OCI

    private func writeOCI(_ images: [NamedImage], _ writer: ArchiveWriter) throws(LayerArchiveError) {
        try writer.add("oci-layout", JSON.object(["imageLayoutVersion": "1.0.0"]).serialized())
        // An unprivileged skopeo fails on directories that it must make itself.
        try writer.addDirectory("blobs/")
        try writer.addDirectory("blobs/sha256/")
        var written: Set<Digest> = []
        var manifests: [Descriptor] = []
        for image in images {
            for blob in [image.record.id] + image.record.layers.map(\.blob) where written.insert(blob).inserted {
                try writer.add(
                    "blobs/sha256/" + blob.hex, size: try size(blob),
                    try DescriptorSource(try open(blob), name: store.blobPath(blob)))
            }
            let bytes = try manifest(of: image.record)
            let digest = try SHA256.digest(bytes)
            if written.insert(digest).inserted { try writer.add("blobs/sha256/" + digest.hex, bytes) }
            let plain = Descriptor(mediaType: MediaType.manifest, digest: digest, size: Int64(bytes.count))
            if image.names.isEmpty { manifests.append(plain) }
            for name in image.names {
                var named = plain
                named.annotations["org.opencontainers.image.ref.name"] = name
                manifests.append(named)
            }
        }
        try writer.add("index.json", ImageIndex(manifests: manifests).json.serialized())
    }

    /// The manifest as it came, or its translation when it is Docker's: readers of layouts expect OCI's.
    private func manifest(of record: ImageRecord) throws(LayerArchiveError) -> [UInt8] {
        let bytes = try document(record.manifestDigest)
        if record.manifestMediaType == MediaType.manifest { return bytes }
        var layers: [Descriptor] = []
        for layer in record.layers {
            layers.append(Descriptor(mediaType: layer.mediaType, digest: layer.blob, size: layer.blobSize))
        }
        let config = Descriptor(mediaType: MediaType.config, digest: record.id, size: try size(record.id))
        return ImageManifest(config: config, layers: layers).json.serialized()
    }
}
