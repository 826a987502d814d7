// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import OCISpec

/// Reads what `docker save` writes: `manifest.json` names a config and layers by their files (moby, image
/// specification 1.2).
///
/// Such an archive has no OCI manifest; one is made, so that the store holds the same kind of image from everywhere.
struct DockerArchive {
    let archive: InputArchive

    /// The images of `manifest.json`.
    func images(in blobs: inout StagedBlobs) throws(LayerArchiveError) -> [ArchivedImage] {
        guard let file = try archive.file("manifest.json", in: &blobs) else {
            throw LayerArchiveError("the Docker archive has no \"manifest.json\"")
        }
        let json = try blobs.document(file.digest, name: "manifest.json")
        guard let items = json.arrayValue, !items.isEmpty else {
            throw LayerArchiveError("the Docker archive's manifest.json is not a list of images")
        }
        var images: [ArchivedImage] = []
        for item in items { images.append(try image(item, in: &blobs)) }
        return images
    }

    private func image(_ item: JSON, in blobs: inout StagedBlobs) throws(LayerArchiveError) -> ArchivedImage {
        let fields = try parsing("manifest.json") { () throws(ImageSpecError) in
            try ImageFields(item, document: "Docker archive's manifest")
        }
        let (configPath, layerPaths, tags) = try parsing("manifest.json") {
            () throws(ImageSpecError) -> (String, [String], [String]) in
            (
                try fields.requiredString("Config"), try fields.strings("Layers") ?? [],
                try fields.strings("RepoTags") ?? []
            )
        }
        guard let configFile = try archive.file(configPath, in: &blobs) else {
            throw LayerArchiveError(
                "the Docker archive's manifest.json refers to \"\(configPath)\", which is not in the archive")
        }
        let document = try blobs.document(configFile.digest, name: "the config \(configPath)")
        let config = try parsing("the config \(configPath)") { () throws(ImageSpecError) in try ImageConfig(document) }
        var layers: [LayerSource] = []
        for path in layerPaths {
            guard let file = try archive.file(path, in: &blobs) else {
                throw LayerArchiveError(
                    "the Docker archive's manifest.json refers to \"\(path)\", which is not in the archive")
            }
            layers.append(
                LayerSource(
                    blob: file.digest, size: file.size, mediaType: try mediaType(file.digest, path, in: blobs)))
        }
        let manifest = ImageManifest(
            config: Descriptor(mediaType: MediaType.config, digest: configFile.digest, size: configFile.size),
            layers: layers.map { Descriptor(mediaType: $0.mediaType, digest: $0.blob, size: $0.size) })
        let bytes = manifest.json.serialized()
        var names: [ImageReference] = []
        for tag in tags {
            names.append(
                try parsing("the Docker archive's manifest.json") { () throws(ImageSpecError) in
                    try ImageReference(normalizing: tag)
                })
        }
        return ArchivedImage(
            id: configFile.digest, config: config, configSize: configFile.size, manifestDigest: try blobs.stage(bytes),
            manifestSize: Int64(bytes.count), manifestMediaType: MediaType.manifest, layers: layers, names: names)
    }

    /// The archive does not say how a layer is compressed; its first bytes do (RFC 1952 §2.3.1, RFC 8878 §3.1.1).
    private func mediaType(
        _ blob: Digest, _ path: String, in blobs: borrowing StagedBlobs
    ) throws(LayerArchiveError) -> String {
        let source = try DescriptorSource(try blobs.open(blob, name: path), name: path)
        let start = try source.next().prefix(4)
        if start.starts(with: [0x1f, 0x8b]) { return MediaType.layerGzip }
        return start.elementsEqual([0x28, 0xb5, 0x2f, 0xfd]) ? MediaType.layerZstd : MediaType.layer
    }
}
