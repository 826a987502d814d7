// SPDX-License-Identifier: Apache-2.0
import JSON
import OCISpec

/// What the store knows about one image; `images/<id>.json`. Everything `run` needs is in it, so that starting a
/// container reads neither manifest nor config.
public struct ImageRecord: Equatable, Sendable {
    /// The version of the file's form; a reader refuses a newer one.
    static let schemaVersion: Int64 = 1
    /// No record is larger, bytes.
    static let largest = 8 << 20

    /// The config's digest, which is the image id.
    public var id: Digest
    public var manifestDigest: Digest
    /// OCI's or Docker's; see `MediaType`.
    public var manifestMediaType: String
    public var platform: Platform
    /// RFC 3339, as written by the builder.
    public var created: String?
    public var author: String?
    /// Bytes: the uncompressed layers, the manifest and the config.
    public var size: Int64
    /// Lowest first.
    public var layers: [ImageLayer]
    public var config: ContainerConfig
    public var history: [HistoryEntry]

    public init(
        id: Digest, manifestDigest: Digest, manifestMediaType: String, config: ImageConfig, layers: [ImageLayer],
        size: Int64
    ) {
        self.id = id
        self.manifestDigest = manifestDigest
        self.manifestMediaType = manifestMediaType
        platform = config.platform
        created = config.created
        author = config.author
        self.size = size
        self.layers = layers
        self.config = config.container
        history = config.history
    }

    /// The content the image consists of.
    public var blobs: [Digest] { [id, manifestDigest] + layers.map(\.blob) }

    init(bytes: [UInt8], path: String) throws(ImageStoreError) {
        do {
            self = try ImageRecord(try JSON.parse(bytes))
        } catch {
            throw ImageStoreError(
                .damaged, "the image record \"\(path)\" is damaged: \(error); remove the file and load the image again")
        }
    }

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "image record")
        guard try fields.int("schemaVersion") == ImageRecord.schemaVersion else {
            throw ImageSpecError("its schemaVersion is not \(ImageRecord.schemaVersion)")
        }
        id = try fields.digest("id")
        manifestDigest = try fields.digest("manifestDigest")
        manifestMediaType = try fields.requiredString("manifestMediaType")
        platform = Platform(
            os: try fields.requiredString("os"), architecture: try fields.requiredString("architecture"),
            variant: try fields.string("variant"))
        created = try fields.string("created")
        author = try fields.string("author")
        size = try fields.int("size") ?? 0
        layers = []
        for layer in try fields.array("layers") ?? [] { layers.append(try ImageLayer(layer)) }
        config = try ContainerConfig(fields.value("config") ?? .object([:]))
        history = []
        for entry in try fields.array("history") ?? [] { history.append(try HistoryEntry(entry)) }
    }

    public var json: JSON {
        var object: JSONObject = [
            "schemaVersion": .int(ImageRecord.schemaVersion), "id": .string(id.description),
            "manifestDigest": .string(manifestDigest.description), "manifestMediaType": .string(manifestMediaType),
            "os": .string(platform.os), "architecture": .string(platform.architecture),
        ]
        if let variant = platform.variant { object["variant"] = .string(variant) }
        if let created { object["created"] = .string(created) }
        if let author { object["author"] = .string(author) }
        object["size"] = .int(size)
        object["layers"] = .array(layers.map(\.json))
        object["config"] = config.json
        object["history"] = .array(history.map(\.json))
        return .object(object)
    }
}

/// One layer of an image: `layer.json` beside the unpacked layer, and an element of the image's record.
public struct ImageLayer: Equatable, Sendable {
    /// image-spec, config.md, "Layer ChainID": names the layer together with all below it.
    public var chainID: Digest
    /// Digest of the uncompressed tar.
    public var diffID: Digest
    /// Digest of the blob as it came.
    public var blob: Digest
    /// OCI's type of the blob: `MediaType.layer`, `.layerGzip` or `.layerZstd`.
    public var mediaType: String
    /// Bytes of the blob.
    public var blobSize: Int64
    /// Bytes of the uncompressed tar.
    public var tarSize: Int64
    /// The layer's root is opaque: nothing below it is seen. Overlay has no mark for that on a layer's root.
    public var hidesLower: Bool

    public init(
        chainID: Digest, diffID: Digest, blob: Digest, mediaType: String, blobSize: Int64, tarSize: Int64,
        hidesLower: Bool = false
    ) {
        self.hidesLower = hidesLower
        self.chainID = chainID
        self.diffID = diffID
        self.blob = blob
        self.mediaType = mediaType
        self.blobSize = blobSize
        self.tarSize = tarSize
    }

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "layer record")
        chainID = try fields.digest("chainID")
        diffID = try fields.digest("diffID")
        blob = try fields.digest("blob")
        mediaType = try fields.requiredString("mediaType")
        guard let blobSize = try fields.int("blobSize"), let tarSize = try fields.int("tarSize") else {
            throw ImageSpecError("the layer record of \(chainID) has no sizes")
        }
        self.blobSize = blobSize
        self.tarSize = tarSize
        hidesLower = try fields.bool("hidesLower") ?? false
    }

    public var json: JSON {
        var object: JSONObject = [
            "chainID": .string(chainID.description), "diffID": .string(diffID.description),
            "blob": .string(blob.description), "mediaType": .string(mediaType), "blobSize": .int(blobSize),
            "tarSize": .int(tarSize),
        ]
        if hidesLower { object["hidesLower"] = true }
        return .object(object)
    }
}
