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
    /// Unpacks an image's layers, several at once. A layer that the store or this command has unpacked is not unpacked
    /// again, but its blob is checked unless it is the very one that was unpacked.
    ///
    /// - Parameter arrival: blobs that are still on their way; nil when all are at hand.
    package func prepareLayers(
        _ sources: [LayerSource], diffIDs: [Digest], image: String, options: LayerOptions,
        arrival: (any BlobArrival)? = nil
    ) throws(LayerArchiveError) -> [ImageLayer] {
        if sources.count != diffIDs.count {
            throw LayerArchiveError(
                "\(image): its manifest has \(sources.count) layers and its config \(diffIDs.count); the image is damaged"
            )
        }
        var layers: [ImageLayer?] = []
        var tasks: [LayerTask] = []
        /// Where the layers so far are or will be, lowest first.
        var directories: [String] = []
        var chainID: Digest?
        for (index, source) in sources.enumerated() {
            let diffID = diffIDs[index]
            let chain = try LayerChain.id(diffID, above: chainID)
            chainID = chain
            let known = try unpackedLayer(chain)
            layers.append(known)
            let directory = staging.layerDirectory(chain)
            let isStaged = known == nil || File.exists(directory)
            let lower = directories
            directories.append(isStaged ? directory + "/diff" : staging.store.layerPath(chain))
            if known?.blob == source.blob { continue }
            let name = "layer \(index + 1) of \(sources.count) of \(image)"
            tasks.append(
                LayerTask(
                    source, content: try content(of: source, arrival, name), diffID: diffID, chainID: chain, name: name,
                    work: known == nil ? .unpack(directory: directory, lower: lower.reversed()) : .verify,
                    options: options))
        }
        let results = try LayerTasks(tasks, arrival: arrival).run()
        var finished = zip(tasks, results).map { $0.layer($1) }[...]
        return zip(layers, sources).compactMap { known, source in
            guard var layer = known else { return finished.popFirst() }
            if layer.blob == source.blob { return layer }
            // Verified: the same content in another form.
            finished.removeFirst()
            layer.blob = source.blob
            layer.blobSize = source.size
            layer.mediaType = source.mediaType
            return layer
        }
    }

    private func content(
        of source: LayerSource, _ arrival: (any BlobArrival)?, _ name: String
    ) throws(LayerArchiveError) -> any ByteSource {
        if let content = try arrival?.source(of: source) { return content }
        return try DescriptorSource(try open(source.blob, name: name), name: name)
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
}

/// image-spec, config.md, "Layer ChainID".
enum LayerChain {
    static func id(_ diffID: Digest, above below: Digest?) throws(LayerArchiveError) -> Digest {
        guard let below else { return diffID }
        return try SHA256.digest(Array("\(below) \(diffID)".utf8))
    }
}
