// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import OCISpec

/// Reads a directory of the transport `dir:`, containers-transports(5): `manifest.json` as a registry would send it, and
/// files that are named by their digests. What `save --format docker-dir` and `skopeo copy … dir:` write.
struct DirectoryImage {
    static let versionFile = "version"

    let archive: InputArchive
    let platform: Platform
    let limits: ExtractionLimits

    /// The image. The directory does not say what it is called.
    func image(in blobs: inout StagedBlobs) throws(LayerArchiveError) -> ArchivedImage {
        guard let (digest, size) = try archive.file("manifest.json", in: &blobs) else {
            throw LayerArchiveError("the directory has no \"manifest.json\"")
        }
        let document = try blobs.document(digest, name: "manifest.json")
        var type = try parsing("manifest.json") { () throws(ImageSpecError) in
            try ImageFields(document, document: "manifest").string("mediaType")
        }
        // OCI's documents need not say what they are: image-spec, manifest.md and image-index.md.
        if type == nil { type = document["manifests"] == nil ? MediaType.manifest : MediaType.index }
        var descriptor = Descriptor(mediaType: type ?? "", digest: digest, size: size)
        if MediaType.isIndex(descriptor.mediaType) {
            // skopeo copy --all
            let index = try parsing("manifest.json") { () throws(ImageSpecError) in try ImageIndex(document) }
            guard let best = index.best(for: platform) else {
                let all = index.manifests.compactMap { $0.platform?.description }.joined(separator: ", ")
                throw LayerArchiveError("the directory has no image for \(platform); it has \(all)")
            }
            guard let file = try archive.file(best.digest.hex + ".manifest.json", in: &blobs),
                file.digest == best.digest
            else {
                throw LayerArchiveError("the directory lacks the manifest \(best.digest), or has another in its place")
            }
            descriptor = best
        }
        guard MediaType.isManifest(descriptor.mediaType) else {
            throw LayerArchiveError(
                "the directory's manifest.json is \"\(descriptor.mediaType)\", which is not an image")
        }
        return try OCILayout(archive: archive, platform: platform, limits: limits).manifest(descriptor, in: &blobs)
    }
}
