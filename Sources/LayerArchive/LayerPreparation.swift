// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// How layers are unpacked in one command.
package struct LayerOptions {
    package var ownership: Ownership
    package var limits: ExtractionLimits
    package var warnings: WarningLog

    package init(ownership: Ownership, limits: ExtractionLimits = ExtractionLimits(), warnings: WarningLog) {
        self.ownership = ownership
        self.limits = limits
        self.warnings = warnings
    }
}

/// One layer of a manifest, its blob at hand.
package struct LayerSource {
    package var blob: Digest
    /// Bytes.
    package var size: Int64
    /// OCI's.
    package var mediaType: String

    package init(blob: Digest, size: Int64, mediaType: String) {
        self.blob = blob
        self.size = size
        self.mediaType = mediaType
    }
}

extension StagedBlobs {
    /// Unpacks an image's layers, lowest first. A layer that the store or this command has unpacked is not
    /// unpacked again, but its blob is checked unless it is the very one that was unpacked.
    ///
    /// - Parameter arriving: the bytes of a blob that is still on its way; nil for one that is at hand.
    package func prepareLayers(
        _ sources: [LayerSource], diffIDs: [Digest], image: String, options: LayerOptions,
        arriving: (LayerSource) throws(LayerArchiveError) -> (any ByteSource)? = { _ in nil }
    ) throws(LayerArchiveError) -> [ImageLayer] {
        if sources.count != diffIDs.count {
            throw LayerArchiveError(
                "\(image): its manifest has \(sources.count) layers and its config \(diffIDs.count); the image is damaged"
            )
        }
        var layers: [ImageLayer] = []
        var chainID: Digest?
        for (index, source) in sources.enumerated() {
            let diffID = diffIDs[index]
            let chain: Digest
            if let below = chainID {
                chain = try SHA256.digest(Array("\(below) \(diffID)".utf8))
            } else {
                chain = diffID
            }
            chainID = chain
            let name = "layer \(index + 1) of \(sources.count) of \(image)"
            if var layer = try unpackedLayer(chain) {
                if layer.blob != source.blob {
                    try verify(
                        source, content: try arriving(source), diffID: diffID, name: name, options: options)
                    layer.blob = source.blob
                    layer.blobSize = source.size
                    layer.mediaType = source.mediaType
                }
                layers.append(layer)
            } else {
                layers.append(
                    try unpack(
                        source, content: try arriving(source), diffID: diffID, chainID: chain, above: layers,
                        name: name, options: options))
            }
        }
        return layers
    }

    private func unpackedLayer(_ chainID: Digest) throws(LayerArchiveError) -> ImageLayer? {
        var path = staging.layerDirectory(chainID) + "/layer.json"
        if !File.exists(path) {
            do { if try !staging.claim(layer: chainID) { return nil } } catch { throw LayerArchiveError(error) }
            path = staging.store.layerDirectory(chainID) + "/layer.json"
        }
        let bytes: [UInt8]
        do { bytes = try File.read(path) } catch { throw LayerArchiveError("read", path, error) }
        do { return try ImageLayer(try JSON.parse(bytes)) } catch {
            throw LayerArchiveError(
                "\"\(path)\" is damaged: \(error); remove the images that use the layer and load them again")
        }
    }

    private func unpack(
        _ source: LayerSource, content: (any ByteSource)?, diffID: Digest, chainID: Digest,
        above lower: [ImageLayer], name: String, options: LayerOptions
    ) throws(LayerArchiveError) -> ImageLayer {
        let directory = staging.layerDirectory(chainID)
        do {
            try Directory.make(directory, mode: 0o700)
            try Directory.make(directory + "/diff", mode: 0o700)
        } catch {
            throw LayerArchiveError("make the layer's directory", directory, error)
        }
        var unpacker = LayerUnpacker(
            into: try LayerTree.open(directory + "/diff"), lower: lower.reversed().map { path(of: $0.chainID) },
            ownership: options.ownership, limits: options.limits, warnings: options.warnings)
        let content = try uncompressed(source, content: content, name: name, options: options)
        try unpacker.unpack(content, name: name)
        try check(content, diffID, name)
        let layer = ImageLayer(
            chainID: chainID, diffID: diffID, blob: source.blob, mediaType: source.mediaType, blobSize: source.size,
            tarSize: content.count, hidesLower: unpacker.hidesLower)
        // Last: a layer with this file is complete.
        do { try File.write(directory + "/layer.json", layer.json.serialized(), mode: 0o600) } catch {
            throw LayerArchiveError("write", directory + "/layer.json", error)
        }
        return layer
    }

    private func path(of chainID: Digest) -> String {
        let staged = staging.layerDirectory(chainID) + "/diff"
        return File.exists(staged) ? staged : staging.store.layerPath(chainID)
    }

    private func verify(
        _ source: LayerSource, content: (any ByteSource)?, diffID: Digest, name: String, options: LayerOptions
    ) throws(LayerArchiveError) {
        let content = try uncompressed(source, content: content, name: name, options: options)
        try content.drain()
        try check(content, diffID, name)
    }

    private func uncompressed(
        _ source: LayerSource, content: (any ByteSource)?, name: String, options: LayerOptions
    ) throws(LayerArchiveError) -> DigestingSource {
        let blob: any ByteSource
        if let content {
            blob = content
        } else {
            blob = try DescriptorSource(try open(source.blob, name: name), name: name)
        }
        let limit = options.limits.uncompressed(source.size)
        return try DigestingSource(
            try DecompressedSource(blob, name: name), limit: limit,
            excess:
                "\(name) unpacks to more than \(limit) bytes from \(source.size); it is taken for a decompression bomb and not loaded"
        )
    }

    private func check(_ content: DigestingSource, _ diffID: Digest, _ name: String) throws(LayerArchiveError) {
        let digest = content.digest()
        if digest != diffID {
            throw LayerArchiveError(
                "\(name) unpacks to \(digest), but its config says \(diffID): the image is damaged; get it again")
        }
    }
}
