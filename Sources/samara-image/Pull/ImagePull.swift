// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import LayerArchive
import LinuxSystem
import OCISpec
import RegistryClient

/// One image from a registry into the store: documents, then all missing blobs at once, each layer unpacked while it
/// arrives, then one commit.
struct ImagePull {
    let store: ImageStore
    let options: LayerOptions
    /// What is taken out of an index.
    let platform: Platform
    let progress: Progress

    private static let deepestIndex = 4

    /// The documents of one image, verified.
    private struct Found {
        var manifest: ImageManifest
        var bytes: [UInt8]
        var digest: Digest
        var mediaType: String
    }

    /// - Parameters:
    ///   - name: what the image is called here.
    ///   - local: the image that has the name already; when it is the same, nothing is done. Nil pulls anyway.
    /// - Returns: the image's id.
    func pull(
        _ name: ImageReference, from repository: Repository, local: ImageRecord?
    ) throws(LayerArchiveError) -> Digest {
        let found = try manifest(name, repository)
        if let local, local.manifestDigest == found.digest { return local.id }
        progress.message("Getting image source signatures")
        var blobs = try StagedBlobs(staging(for: found.manifest), limits: options.limits)
        return try receive(name, found, repository, &blobs)
    }

    /// What killed pulls had whole need not be fetched again: it is taken over from their work, or claimed where one that
    /// was killed in its commit had moved it. Then the space of the rest is freed, before anything is fetched.
    private func staging(for manifest: ImageManifest) throws(LayerArchiveError) -> Staging {
        do {
            let staging = try Staging(in: store)
            try staging.adoptAbandonedBlobs()
            for content in [manifest.config] + manifest.layers { _ = try staging.claim(blob: content.digest) }
            try store.garbageCollect()
            return staging
        } catch { throw LayerArchiveError(error) }
    }

    // MARK: Documents

    private func manifest(
        _ name: ImageReference, _ repository: Repository
    ) throws(LayerArchiveError) -> Found {
        var wanted = name.digest
        var reference = name.digest?.description ?? name.tag ?? "latest"
        for depth in 0... {
            let what = depth == 0 ? "the manifest of \(name)" : "the manifest \(reference) of \(name)"
            let document = try registry { () throws(RegistryError) in
                try repository.document(reference, what: what)
            }
            let digest = try SHA256.digest(document.bytes)
            if let wanted, wanted != digest {
                throw LayerArchiveError(
                    "\(what) arrived with the digest \(digest), not \(wanted): the registry serves damaged content")
            }
            let json: JSON
            do { json = try JSON.parse(document.bytes) } catch { throw LayerArchiveError("\(what): \(error)") }
            let type = try mediaType(json, document, what)
            if MediaType.isManifest(type) {
                let manifest: ImageManifest
                do { manifest = try ImageManifest(json) } catch { throw LayerArchiveError("\(what): \(error)") }
                guard MediaType.isConfig(manifest.config.mediaType) else {
                    throw LayerArchiveError(
                        "\(name) is an artifact of the type \"\(manifest.config.mediaType)\", not an image")
                }
                return Found(manifest: manifest, bytes: document.bytes, digest: digest, mediaType: type)
            }
            if depth >= ImagePull.deepestIndex { break }
            let index: ImageIndex
            do { index = try ImageIndex(json) } catch { throw LayerArchiveError("\(what): \(error)") }
            guard let best = index.best(for: platform) ?? ImagePull.unlabelled(index) else {
                let all = index.manifests.compactMap { $0.platform?.description }.joined(separator: ", ")
                throw LayerArchiveError(
                    "\(name) has no image for \(platform); it has \(all.isEmpty ? "none at all" : all); choose one with --platform"
                )
            }
            wanted = best.digest
            reference = best.digest.description
        }
        throw LayerArchiveError("the indexes of \(name) are nested too deep")
    }

    /// An index with one image that says nothing about platforms means that image.
    private static func unlabelled(_ index: ImageIndex) -> Descriptor? {
        index.manifests.count == 1 && index.manifests[0].platform == nil ? index.manifests[0] : nil
    }

    /// What the document is. It may say so itself; then the registry must agree: CVE-2021-41190.
    private func mediaType(
        _ json: JSON, _ document: RemoteDocument, _ what: String
    ) throws(LayerArchiveError) -> String {
        if json["schemaVersion"]?.intValue == 1
            || document.mediaType.hasPrefix("application/vnd.docker.distribution.manifest.v1+")
        {
            throw LayerArchiveError(
                "\(what) is in Docker's schema 1, which is obsolete since 2017 and not supported; push the image again with a current tool"
            )
        }
        let known = MediaType.isManifest(document.mediaType) || MediaType.isIndex(document.mediaType)
        let own = json["mediaType"]?.stringValue
        if known {
            if let own, own != document.mediaType {
                throw LayerArchiveError(
                    "\(what) says that it is \"\(own)\", and the registry \"\(document.mediaType)\"")
            }
            if json["manifests"] != nil, json["layers"] != nil {
                throw LayerArchiveError("\(what) is both an index and a manifest")
            }
            return document.mediaType
        }
        // Static web servers have no type for it.
        if let own, MediaType.isManifest(own) || MediaType.isIndex(own) { return own }
        if own == nil, json["layers"] != nil, json["manifests"] == nil { return MediaType.manifest }
        if own == nil, json["manifests"] != nil, json["layers"] == nil { return MediaType.index }
        throw LayerArchiveError("\(what) is \"\(own ?? document.mediaType)\", which is not an image")
    }

    // MARK: Content

    private func receive(
        _ name: ImageReference, _ found: Found, _ repository: Repository, _ blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> Digest {
        let manifest = found.manifest
        var sources: [LayerSource] = []
        for layer in manifest.layers {
            guard let type = MediaType.layerType(layer.mediaType) else {
                throw LayerArchiveError(
                    "\(name) has a layer of the type \"\(layer.mediaType)\", which cannot be unpacked")
            }
            sources.append(LayerSource(blob: layer.digest, size: layer.size, mediaType: type))
        }
        if manifest.config.size > Int64(options.limits.documentBytes) {
            throw LayerArchiveError("the config of \(name) is larger than \(options.limits.documentBytes) bytes")
        }
        let arrivals = Arrivals(repository, progress)
        // The config first: what follows depends on it.
        if try blobs.claim(manifest.config.digest) == nil { try arrivals.add(manifest.config, "config", blobs) }
        for layer in manifest.layers where !arrivals.has(layer.digest) {
            var isHere = try blobs.claim(layer.digest) != nil
            if !isHere { isHere = try blobs.isAdopted(layer.digest, size: layer.size) }
            if isHere {
                progress.alreadyPresent("blob", layer)
            } else {
                try arrivals.add(layer, "blob", blobs)
            }
        }
        try arrivals.finish(manifest.config.digest)
        let document = try blobs.document(manifest.config.digest, name: "the config of \(name)")
        let config: ImageConfig
        do { config = try ImageConfig(document) } catch { throw LayerArchiveError("the config of \(name): \(error)") }
        if platform.fitness(of: config.platform) == nil {
            options.warnings.warn("\(name) is for \(config.platform), not for \(platform)")
        }
        let layers = try blobs.prepareLayers(
            sources, diffIDs: config.diffIDs, image: name.description, options: options, arrival: arrivals)
        try arrivals.finishAll()
        progress.message("Writing manifest to image destination")
        _ = try blobs.stage(found.bytes)
        let size = layers.reduce(manifest.config.size + Int64(found.bytes.count)) { $0 + $1.tarSize }
        let record = ImageRecord(
            id: manifest.config.digest, manifestDigest: found.digest, manifestMediaType: found.mediaType,
            config: config, layers: layers, size: size)
        // By digest, a tag says nothing: it may have moved.
        let kept =
            name.digest == nil
            ? name : ImageReference(domain: name.domain, path: name.path, tag: nil, digest: name.digest)
        do { try blobs.staging.commit([Staging.NewImage(record: record, names: [kept])]) } catch {
            throw LayerArchiveError(error)
        }
        return record.id
    }

    private func registry<Result>(_ body: () throws(RegistryError) -> Result) throws(LayerArchiveError) -> Result {
        do { return try body() } catch { throw LayerArchiveError(error.description) }
    }
}
