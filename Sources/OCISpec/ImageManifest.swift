// SPDX-License-Identifier: Apache-2.0
import JSON

/// The media types of the image specification and of Docker's second schema, which says the same in other words.
public enum MediaType {
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let config = "application/vnd.oci.image.config.v1+json"
    public static let layer = "application/vnd.oci.image.layer.v1.tar"
    public static let layerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let layerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerConfig = "application/vnd.docker.container.image.v1+json"
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"

    public static func isManifest(_ type: String) -> Bool { type == manifest || type == dockerManifest }
    public static func isIndex(_ type: String) -> Bool { type == index || type == dockerIndex }
    public static func isConfig(_ type: String) -> Bool { type == config || type == dockerConfig }

    /// The OCI type of a layer that can be unpacked; nil for anything else (encrypted layers, other artifacts).
    /// Types of layers that may not be redistributed mean the same content.
    public static func layerType(_ type: String) -> String? {
        switch type {
        case layer, dockerLayer, "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar":
            layer
        case layerGzip, dockerLayerGzip, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
            layerGzip
        case layerZstd, "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.zstd":
            layerZstd
        default: nil
        }
    }

    /// Docker's name for an OCI type of a layer; nil for zstd, for which it has none.
    public static func docker(layer type: String) -> String? {
        switch type {
        case layer: dockerLayer
        case layerGzip: dockerLayerGzip
        default: nil
        }
    }
}

/// What an image runs on: image-spec, image-index.md, "platform". Names are Go's GOOS and GOARCH.
public struct Platform: Hashable, Sendable, CustomStringConvertible {
    public var os: String
    public var architecture: String
    public var variant: String?

    public init(os: String, architecture: String, variant: String? = nil) {
        self.os = os
        self.architecture = architecture
        self.variant = variant
    }

    public var description: String { "\(os)/\(architecture)" + (variant.map { "/" + $0 } ?? "") }

    /// The machine this program was built for.
    public static var host: Platform {
        #if arch(x86_64)
            Platform(os: "linux", architecture: "amd64")
        #elseif arch(arm64)
            Platform(os: "linux", architecture: "arm64", variant: "v8")
        #elseif arch(riscv64)
            Platform(os: "linux", architecture: "riscv64")
        #elseif arch(s390x)
            Platform(os: "linux", architecture: "s390x")
        #elseif arch(powerpc64le)
            Platform(os: "linux", architecture: "ppc64le")
        #elseif arch(arm)
            Platform(os: "linux", architecture: "arm", variant: "v7")
        #else
            Platform(os: "linux", architecture: "386")
        #endif
    }

    /// How well an image for `candidate` runs here: nil not at all, larger is better.
    ///
    /// No variant, or the very same, is best. Of arm's variants a lower one runs on a higher machine; amd64's
    /// variants (v2, v3, …) may need instructions that this machine lacks, so they are the last choice.
    public func fitness(of candidate: Platform) -> Int? {
        guard candidate.os == os, candidate.architecture == architecture else { return nil }
        if candidate.variant == variant { return 100 }
        guard let theirs = candidate.variant else { return 90 }
        guard let level = Int(theirs.dropFirst()) else { return nil }
        if architecture == "arm" {
            let mine = variant.flatMap { Int($0.dropFirst()) } ?? 7
            return level <= mine ? level : nil
        }
        return architecture == "arm64" && level == 8 ? 95 : -level
    }
}

/// A reference to content by digest: image-spec, descriptor.md.
public struct Descriptor: Equatable, Sendable {
    public var mediaType: String
    public var digest: Digest
    /// Bytes.
    public var size: Int64
    public var annotations: [String: String]
    public var platform: Platform?

    public init(
        mediaType: String, digest: Digest, size: Int64, annotations: [String: String] = [:], platform: Platform? = nil
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
        self.platform = platform
    }

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "descriptor")
        mediaType = try fields.string("mediaType") ?? ""
        digest = try fields.digest("digest")
        guard let size = try fields.int("size"), size >= 0 else {
            throw ImageSpecError("the descriptor of \(digest) has no valid \"size\"")
        }
        self.size = size
        annotations = try fields.stringMap("annotations")
        if let platform = fields.value("platform") {
            let fields = try ImageFields(platform, document: "platform")
            self.platform = Platform(
                os: try fields.requiredString("os"), architecture: try fields.requiredString("architecture"),
                variant: try fields.string("variant").flatMap { $0.isEmpty ? nil : $0 })
        }
    }

    public var json: JSON {
        var object: JSONObject = [
            "mediaType": .string(mediaType), "digest": .string(digest.description), "size": .int(size),
        ]
        if !annotations.isEmpty { object["annotations"] = .sortedMap(annotations) }
        if let platform {
            var fields: JSONObject = ["architecture": .string(platform.architecture), "os": .string(platform.os)]
            if let variant = platform.variant { fields["variant"] = .string(variant) }
            object["platform"] = .object(fields)
        }
        return .object(object)
    }
}

/// One image: its config and its layers, lowest first. image-spec, manifest.md; Docker's schema 2 reads alike.
public struct ImageManifest: Equatable, Sendable {
    public var mediaType: String
    public var config: Descriptor
    public var layers: [Descriptor]
    public var annotations: [String: String]

    public init(mediaType: String = MediaType.manifest, config: Descriptor, layers: [Descriptor]) {
        self.mediaType = mediaType
        self.config = config
        self.layers = layers
        annotations = [:]
    }

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "manifest")
        guard try fields.int("schemaVersion") == 2 else {
            throw ImageSpecError("the manifest's schemaVersion is not 2; pull the image again with a newer tool")
        }
        mediaType = try fields.string("mediaType") ?? MediaType.manifest
        guard let config = fields.value("config"), let layers = try fields.array("layers") else {
            throw ImageSpecError("the manifest has no \"config\" or no \"layers\"")
        }
        self.config = try Descriptor(config)
        self.layers = []
        for layer in layers { self.layers.append(try Descriptor(layer)) }
        annotations = try fields.stringMap("annotations")
    }

    public var json: JSON {
        var object: JSONObject = [
            "schemaVersion": 2, "mediaType": .string(mediaType), "config": config.json,
            "layers": .array(layers.map(\.json)),
        ]
        if !annotations.isEmpty { object["annotations"] = .sortedMap(annotations) }
        return .object(object)
    }
}

/// A list of manifests, or of further indexes: image-spec, image-index.md; Docker's manifest list reads alike.
public struct ImageIndex: Equatable, Sendable {
    public var manifests: [Descriptor]

    public init(manifests: [Descriptor]) { self.manifests = manifests }

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "index")
        guard try fields.int("schemaVersion") == 2, let items = try fields.array("manifests") else {
            throw ImageSpecError("the index has no \"manifests\" or its schemaVersion is not 2")
        }
        manifests = []
        for item in items { manifests.append(try Descriptor(item)) }
    }

    public var json: JSON {
        .object(["schemaVersion": 2, "mediaType": .string(MediaType.index), "manifests": .array(manifests.map(\.json))])
    }

    /// The descriptor that runs best on `platform`, the first of equals; nil when none does.
    public func best(for platform: Platform) -> Descriptor? {
        var best: (descriptor: Descriptor, fitness: Int)?
        for descriptor in manifests {
            guard let candidate = descriptor.platform, let fitness = platform.fitness(of: candidate) else { continue }
            if best.map({ fitness > $0.fitness }) ?? true { best = (descriptor, fitness) }
        }
        return best?.descriptor
    }
}
