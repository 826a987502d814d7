// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// `save`: images of the store into one archive.
package struct ImageSaver: ~Copyable {
    /// The forms of podman-save(1).
    package enum Format: String, CaseIterable {
        /// Uncompressed layers and `manifest.json`, for `docker load`.
        case docker = "docker-archive"
        /// The store's blobs byte for byte, in an OCI image layout.
        case oci = "oci-archive"
        /// The files of one image, named by their digests, beside its manifest: the transport `dir:` of
        /// containers-transports(5), always with a manifest of Docker's schema.
        case dockerDirectory = "docker-dir"
        /// An OCI image layout; the images that it has stay.
        case ociDirectory = "oci-dir"

        package var isDirectory: Bool { self == .dockerDirectory || self == .ociDirectory }
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

    /// Writes the images that `names` mean into an archive. An image given by id is written without a name.
    package func save(
        _ names: [String], format: Format, to fd: borrowing OwnedFD, output: String
    ) throws(LayerArchiveError) {
        let images = try images(names)
        let writer = try ArchiveWriter(to: fd, name: output)
        switch format {
        case .docker: try writeDocker(images, writer)
        case .oci: try writeOCI(images, writer, beside: [])
        case .dockerDirectory, .ociDirectory:
            throw LayerArchiveError("the format \(format.rawValue) is a directory, not an archive")
        }
        try writer.finish()
    }

    /// As above, into a directory.
    ///
    /// - Parameter compresses: layers that are not compressed become gzip.
    package func save(
        _ names: [String], format: Format, directory: String, compresses: Bool = false
    ) throws(LayerArchiveError) {
        let images = try images(names)
        let output: DirectoryOutput
        if format == .ociDirectory {
            output = try DirectoryOutput(directory, mark: "oci-layout")
            try writeOCI(images, output, beside: try Self.index(of: directory))
        } else {
            if images.count > 1 {
                throw LayerArchiveError(
                    "a \(format.rawValue) holds one image, not \(images.count); use oci-dir or an archive")
            }
            output = try DirectoryOutput(directory, mark: DirectoryImage.versionFile)
            for image in images { try writeDirectory(image.record, output, compresses: compresses) }
        }
        try output.finish()
    }

    private func images(_ names: [String]) throws(LayerArchiveError) -> [NamedImage] {
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
        return images
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

    private func document(_ blob: Digest) throws(LayerArchiveError) -> [UInt8] {
        do { return try File.read(store.blobPath(blob)) } catch {
            throw LayerArchiveError("read", store.blobPath(blob), error)
        }
    }

    // MARK: Docker

    private func writeDocker(_ images: [NamedImage], _ writer: any ImageOutput) throws(LayerArchiveError) {
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

    /// - Parameter others: what the layout's index has already.
    private func writeOCI(
        _ images: [NamedImage], _ writer: any ImageOutput, beside others: [Descriptor]
    ) throws(LayerArchiveError) {
        try writer.add("oci-layout", JSON.object(["imageLayoutVersion": "1.0.0"]).serialized())
        // An unprivileged skopeo fails on directories that it must make itself.
        try writer.addDirectory("blobs/")
        try writer.addDirectory("blobs/sha256/")
        var written: Set<Digest> = []
        var manifests: [Descriptor] = []
        for image in images {
            let outgoing = try OutgoingImage(image.record, OutgoingImage.Form(schema: .oci), in: staging)
            for blob in [outgoing.config] + outgoing.layers where written.insert(blob.digest).inserted {
                try add("blobs/sha256/" + blob.digest.hex, blob, writer)
            }
            let digest = try SHA256.digest(outgoing.manifest)
            if written.insert(digest).inserted { try writer.add("blobs/sha256/" + digest.hex, outgoing.manifest) }
            let plain = Descriptor(
                mediaType: outgoing.mediaType, digest: digest, size: Int64(outgoing.manifest.count))
            if image.names.isEmpty { manifests.append(plain) }
            for name in image.names {
                var named = plain
                named.annotations[Self.nameAnnotation] = name
                manifests.append(named)
            }
        }
        // A name means the newest; an image without one is there once.
        let kept = others.filter { other in
            let name = other.annotations[Self.nameAnnotation]
            return !manifests.contains {
                name == nil ? $0.digest == other.digest : $0.annotations[Self.nameAnnotation] == name
            }
        }
        try writer.add("index.json", ImageIndex(manifests: kept + manifests).json.serialized())
    }

    private static let nameAnnotation = "org.opencontainers.image.ref.name"

    private func add(
        _ path: String, _ blob: OutgoingImage.Blob, _ writer: any ImageOutput
    ) throws(LayerArchiveError) {
        let fd: OwnedFD
        do { fd = try File.open(blob.path, O_RDONLY) } catch { throw LayerArchiveError("read", blob.path, error) }
        try writer.add(path, size: blob.size, try DescriptorSource(fd, name: blob.path))
    }

    private static func index(of directory: String) throws(LayerArchiveError) -> [Descriptor] {
        let path = directory + "/index.json"
        if !File.exists(path) { return [] }
        let json: JSON
        do { json = try JSON.parse(try File.read(path, limit: ExtractionLimits().documentBytes)) } catch let error
            as Errno
        {
            throw LayerArchiveError("read", path, error)
        } catch { throw LayerArchiveError("\(path): \(error)") }
        return try parsing(path) { () throws(ImageSpecError) in try ImageIndex(json).manifests }
    }

    // MARK: dir

    private func writeDirectory(
        _ record: ImageRecord, _ output: DirectoryOutput, compresses: Bool
    ) throws(LayerArchiveError) {
        let outgoing = try OutgoingImage(
            record, OutgoingImage.Form(schema: .docker, isGzip: compresses), in: staging)
        try output.add(DirectoryImage.versionFile, Array("Directory Transport Version: 1.1\n".utf8))
        var written: Set<Digest> = []
        for blob in [outgoing.config] + outgoing.layers where written.insert(blob.digest).inserted {
            try add(blob.digest.hex, blob, output)
        }
        try output.add("manifest.json", outgoing.manifest)
        try output.removeOtherBlobs()
    }
}
