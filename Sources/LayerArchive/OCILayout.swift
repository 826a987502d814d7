// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import OCISpec

/// An image found in an archive, its documents parsed and its content at hand.
struct ArchivedImage {
    var id: Digest
    var config: ImageConfig
    var configSize: Int64
    var manifestDigest: Digest
    var manifestSize: Int64
    var manifestMediaType: String
    var layers: [LayerSource]
    var names: [ImageReference]
}

/// Reads an OCI image layout: image-spec, image-layout.md.
struct OCILayout {
    /// The deepest index within an index.
    private static let deepestIndex = 4

    let archive: InputArchive
    let platform: Platform
    let limits: ExtractionLimits

    /// The images for this platform. Those without a platform in the index are taken as they are.
    func images(in blobs: inout StagedBlobs) throws(LayerArchiveError) -> [ArchivedImage] {
        guard let layout = try archive.file("oci-layout", in: &blobs),
            let file = try archive.file("index.json", in: &blobs)
        else { throw LayerArchiveError("the OCI archive has no \"oci-layout\" or no \"index.json\"") }
        let document = try blobs.document(layout.digest, name: "oci-layout")
        let version = try parsing("oci-layout") { () throws(ImageSpecError) in
            try ImageFields(document, document: "OCI layout").requiredString("imageLayoutVersion")
        }
        if version != "1.0.0" {
            throw LayerArchiveError("the OCI archive has the layout version \"\(version)\"; only 1.0.0 is known")
        }
        let json = try blobs.document(file.digest, name: "index.json")
        let index = try parsing("index.json") { () throws(ImageSpecError) in try ImageIndex(json) }
        var images: [ArchivedImage] = []
        var others: [String] = []
        for descriptor in index.manifests {
            if let candidate = descriptor.platform, platform.fitness(of: candidate) == nil {
                others.append(candidate.description)
                continue
            }
            let names = try OCILayout.names(descriptor)
            if var image = try image(descriptor, depth: 0, &others, in: &blobs) {
                image.names = names
                if let known = images.firstIndex(where: { $0.manifestDigest == image.manifestDigest }) {
                    images[known].names += names
                } else {
                    images.append(image)
                }
            }
        }
        if images.isEmpty {
            let found = others.isEmpty ? "it has none at all" : "it has \(others.joined(separator: ", "))"
            throw LayerArchiveError("the archive has no image for \(platform); \(found)")
        }
        return images
    }

    private func image(
        _ descriptor: Descriptor, depth: Int, _ others: inout [String], in blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> ArchivedImage? {
        let name = "the manifest \(descriptor.digest)"
        if MediaType.isManifest(descriptor.mediaType) {
            try archive.require(descriptor, name: name, in: &blobs)
            return try manifest(descriptor, in: &blobs)
        }
        guard MediaType.isIndex(descriptor.mediaType) else {
            throw LayerArchiveError(
                "\(descriptor.digest) in the archive's index is \"\(descriptor.mediaType)\", which is not an image")
        }
        if depth >= OCILayout.deepestIndex { throw LayerArchiveError("the archive's indexes are nested too deep") }
        try archive.require(descriptor, name: "the index \(descriptor.digest)", in: &blobs)
        let json = try blobs.document(descriptor.digest, name: "the index \(descriptor.digest)")
        let index = try parsing("the index \(descriptor.digest)") { () throws(ImageSpecError) in try ImageIndex(json) }
        if let best = index.best(for: platform) { return try image(best, depth: depth + 1, &others, in: &blobs) }
        others += index.manifests.compactMap { $0.platform?.description }
        return nil
    }

    /// The image of a manifest that is at hand.
    func manifest(
        _ descriptor: Descriptor, in blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> ArchivedImage {
        let name = "the manifest \(descriptor.digest)"
        let json = try blobs.document(descriptor.digest, name: name)
        let manifest = try parsing(name) { () throws(ImageSpecError) in try ImageManifest(json) }
        if manifest.mediaType != descriptor.mediaType {
            // CVE-2021-41190: one document read as two things.
            throw LayerArchiveError(
                "\(name) says that it is \"\(manifest.mediaType)\", its descriptor \"\(descriptor.mediaType)\"")
        }
        guard MediaType.isConfig(manifest.config.mediaType) else {
            throw LayerArchiveError("\(name) is an artifact of the type \"\(manifest.config.mediaType)\", not an image")
        }
        try archive.require(manifest.config, name: "the config of \(name)", in: &blobs)
        let document = try blobs.document(manifest.config.digest, name: "the config of \(name)")
        let config = try parsing("the config of \(name)") { () throws(ImageSpecError) in try ImageConfig(document) }
        var layers: [LayerSource] = []
        for layer in manifest.layers {
            guard let type = MediaType.layerType(layer.mediaType) else {
                throw LayerArchiveError(
                    "\(name) has a layer of the type \"\(layer.mediaType)\", which cannot be unpacked")
            }
            try archive.require(layer, name: "the layer \(layer.digest)", in: &blobs)
            layers.append(LayerSource(blob: layer.digest, size: layer.size, mediaType: type))
        }
        return ArchivedImage(
            id: manifest.config.digest, config: config, configSize: manifest.config.size,
            manifestDigest: descriptor.digest, manifestSize: descriptor.size, manifestMediaType: descriptor.mediaType,
            layers: layers, names: [])
    }

    /// containerd writes the whole name into an annotation of its own and only the tag into the specification's;
    /// others write a whole name there.
    private static func names(_ descriptor: Descriptor) throws(LayerArchiveError) -> [ImageReference] {
        guard
            let text = descriptor.annotations["io.containerd.image.name"]
                ?? descriptor.annotations["org.opencontainers.image.ref.name"], !text.isEmpty
        else { return [] }
        return [try parsing("the archive's index") { () throws(ImageSpecError) in try ImageReference(local: text) }]
    }
}
