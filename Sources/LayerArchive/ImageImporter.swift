// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import LinuxSystem
import OCISpec

/// `import`: a root directory's archive as an image of one layer.
package struct ImageImporter {
    private let store: ImageStore
    private let options: LayerOptions

    package init(store: ImageStore, options: LayerOptions) {
        self.store = store
        self.options = options
    }

    /// What the image says about itself.
    package struct Description {
        package var platform: Platform
        /// RFC 3339.
        package var created: String
        package var comment: String
        package var config: ContainerConfig

        package init(platform: Platform, created: String, comment: String, config: ContainerConfig) {
            self.platform = platform
            self.created = created
            self.comment = comment
            self.config = config
        }

        func document(diffID: Digest) -> JSON {
            var object: JSONObject = [
                "created": .string(created), "architecture": .string(platform.architecture), "os": .string(platform.os),
            ]
            if let variant = platform.variant { object["variant"] = .string(variant) }
            object["config"] = config.json
            object["rootfs"] = ["type": "layers", "diff_ids": [.string(diffID.description)]]
            object["history"] = [
                ["created": .string(created), "created_by": "samara import", "comment": .string(comment)]
            ]
            return .object(object)
        }
    }

    /// Reads a tar, plain or compressed by gzip or zstd.
    ///
    /// - Returns: the image's id.
    package func run(
        _ fd: consuming OwnedFD, name: String, _ description: Description, names: [ImageReference]
    ) throws(LayerArchiveError) -> Digest {
        var blobs = StagedBlobs(try newStaging(), limits: options.limits)
        let (blob, size) = try blobs.stage(try DescriptorSource(fd, name: name), name: name)
        let limit = options.limits.uncompressed(size)
        let content = try DigestingSource(
            try DecompressedSource(try DescriptorSource(try blobs.open(blob, name: name), name: name), name: name),
            limit: limit, excess: "\(name) unpacks to more than \(limit) bytes from \(size); it is not imported")
        try content.drain()
        let diffID = content.digest()
        let document = description.document(diffID: diffID)
        let configBytes = document.serialized()
        let id = try blobs.stage(configBytes)
        let type = try mediaType(blob, blobs)
        let manifest = ImageManifest(
            config: Descriptor(mediaType: MediaType.config, digest: id, size: Int64(configBytes.count)),
            layers: [Descriptor(mediaType: type, digest: blob, size: size)]
        ).json.serialized()
        let manifestDigest = try blobs.stage(manifest)
        let layers = try blobs.prepareLayers(
            [LayerSource(blob: blob, size: size, mediaType: type)], diffIDs: [diffID], image: name, options: options)
        let config = try parsing("the config of the new image") { () throws(ImageSpecError) in try ImageConfig(document)
        }
        let record = ImageRecord(
            id: id, manifestDigest: manifestDigest, manifestMediaType: MediaType.manifest, config: config,
            layers: layers, size: layers.reduce(Int64(configBytes.count + manifest.count)) { $0 + $1.tarSize })
        do { try blobs.staging.commit([Staging.NewImage(record: record, names: names)]) } catch {
            throw LayerArchiveError(error)
        }
        return id
    }

    private func newStaging() throws(LayerArchiveError) -> Staging {
        do {
            try store.garbageCollect()
            return try Staging(in: store)
        } catch { throw LayerArchiveError(error) }
    }

    /// By the first bytes: RFC 1952, 2.3.1; RFC 8878, 3.1.1.
    private func mediaType(_ blob: Digest, _ blobs: borrowing StagedBlobs) throws(LayerArchiveError) -> String {
        let head = Array(
            try DescriptorSource(try blobs.open(blob, name: "the layer"), name: "the layer").next().prefix(4))
        if head.starts(with: [0x1f, 0x8b]) { return MediaType.layerGzip }
        return head == [0x28, 0xb5, 0x2f, 0xfd] ? MediaType.layerZstd : MediaType.layer
    }
}
