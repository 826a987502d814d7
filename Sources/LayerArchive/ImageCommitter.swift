// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// `commit`: what a container changed as one more layer on its image.
package struct ImageCommitter {
    /// What the new image says about itself.
    package struct Description {
        package var platform = Platform.host
        /// RFC 3339.
        package var created: String
        package var createdBy: String
        package var author = ""
        package var comment = ""
        package var config = ContainerConfig()
        /// Docker's media types instead of OCI's.
        package var isDocker = false

        package init(created: String, createdBy: String) {
            self.created = created
            self.createdBy = createdBy
        }

        var step: JSON {
            var object: JSONObject = ["created": .string(created), "created_by": .string(createdBy)]
            if !author.isEmpty { object["author"] = .string(author) }
            if !comment.isEmpty { object["comment"] = .string(comment) }
            return .object(object)
        }

        func document(diffIDs: [Digest], history: [HistoryEntry]) -> JSON {
            var object: JSONObject = ["created": .string(created)]
            if !author.isEmpty { object["author"] = .string(author) }
            object["architecture"] = .string(platform.architecture)
            object["os"] = .string(platform.os)
            if let variant = platform.variant { object["variant"] = .string(variant) }
            object["config"] = config.json
            object["rootfs"] = ["type": "layers", "diff_ids": .strings(diffIDs.map(\.description))]
            object["history"] = .array(history.map(\.json) + [step])
            return .object(object)
        }
    }

    private let store: ImageStore
    private let options: LayerOptions

    package init(store: ImageStore, options: LayerOptions) {
        self.store = store
        self.options = options
    }

    /// - Parameters:
    ///   - tree: the container's changes as overlay's upper directory; without `parent` its whole root.
    ///   - parent: the image below; nil makes an image of one layer.
    /// - Returns: the new image's id.
    package func commit(
        _ tree: borrowing OwnedFD, on parent: ImageRecord?, _ description: Description, names: [ImageReference]
    ) throws(LayerArchiveError) -> Digest {
        var blobs = StagedBlobs(try newStaging(), limits: options.limits)
        let lower = parent?.layers ?? []
        for blob in (parent?.blobs ?? []) {
            if try blobs.claim(blob) == nil {
                throw LayerArchiveError(
                    "the container's image lacks its content \(blob) in the store; pull or load it again")
            }
        }
        let (layer, diffID) = try write(tree, form: parent == nil ? .plain : .layer, into: &blobs)
        let document = description.document(
            diffIDs: lower.map(\.diffID) + [diffID], history: parent?.history ?? [])
        let configBytes = document.serialized()
        let id = try blobs.stage(configBytes)
        let sources = lower.map { LayerSource(blob: $0.blob, size: $0.blobSize, mediaType: $0.mediaType) } + [layer]
        let manifest = manifest(
            Descriptor(mediaType: MediaType.config, digest: id, size: Int64(configBytes.count)), sources,
            isDocker: description.isDocker)
        let manifestBytes = manifest.json.serialized()
        let manifestDigest = try blobs.stage(manifestBytes)
        let layers = try blobs.prepareLayers(
            sources, diffIDs: lower.map(\.diffID) + [diffID], image: names.first?.description ?? "the new image",
            options: options)
        let config = try parsing("the config of the new image") { () throws(ImageSpecError) in try ImageConfig(document)
        }
        let record = ImageRecord(
            id: id, manifestDigest: manifestDigest, manifestMediaType: manifest.mediaType, config: config,
            layers: layers, size: layers.reduce(Int64(configBytes.count + manifestBytes.count)) { $0 + $1.tarSize })
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

    private func write(
        _ tree: borrowing OwnedFD, form: TreeArchiver.Form, into blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> (LayerSource, diffID: Digest) {
        let path = blobs.staging.path + "/blobs/incoming-commit"
        let output = try LayerBlobWriter(path)
        let writer = try ArchiveWriter(to: output, name: "the new layer")
        var archiver = TreeArchiver(writer, form, omitting: form == .layer ? MountPlaces.paths : MountPlaces.files)
        try archiver.archive(tree)
        try writer.finish()
        let (blob, diffID) = try output.finish()
        do { try File.rename(path, blobs.staging.blobPath(blob)) } catch {
            throw LayerArchiveError("write", path, error)
        }
        return (LayerSource(blob: blob, size: output.blobSize, mediaType: MediaType.layerGzip), diffID)
    }

    private func manifest(_ config: Descriptor, _ layers: [LayerSource], isDocker: Bool) -> ImageManifest {
        var config = config
        // Docker has no type for zstd; such a layer keeps OCI's, which Docker reads as well.
        if isDocker { config.mediaType = MediaType.dockerConfig }
        var manifest = ImageManifest(
            config: config,
            layers: layers.map {
                Descriptor(
                    mediaType: isDocker ? MediaType.docker(layer: $0.mediaType) ?? $0.mediaType : $0.mediaType,
                    digest: $0.blob,
                    size: $0.size)
            })
        if isDocker { manifest.mediaType = MediaType.dockerManifest }
        return manifest
    }
}
