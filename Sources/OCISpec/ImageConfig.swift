// SPDX-License-Identifier: Apache-2.0
import JSON

/// The image's own document: image-spec, config.md. Docker's config has the same fields and a few more.
public struct ImageConfig: Equatable, Sendable {
    public var platform: Platform
    /// RFC 3339, as written by the builder.
    public var created: String?
    public var author: String?
    public var container: ContainerConfig
    /// Digests of the uncompressed layers, lowest first.
    public var diffIDs: [Digest]
    public var history: [HistoryEntry]

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "image config")
        platform = Platform(
            os: try fields.requiredString("os"), architecture: try fields.requiredString("architecture"),
            variant: try fields.string("variant").flatMap { $0.isEmpty ? nil : $0 })
        created = try fields.string("created")
        author = try fields.string("author").flatMap { $0.isEmpty ? nil : $0 }
        if let config = fields.value("config") {
            container = try ContainerConfig(config)
        } else {
            container = ContainerConfig()
        }
        guard let rootfs = fields.value("rootfs") else { throw ImageSpecError("the image config has no \"rootfs\"") }
        let rootfsFields = try ImageFields(rootfs, document: "image config's rootfs")
        if let type = try rootfsFields.string("type"), type != "layers" {
            throw ImageSpecError("the image config's rootfs has the type \"\(type)\"; only \"layers\" exists")
        }
        diffIDs = []
        for text in try rootfsFields.strings("diff_ids") ?? [] { diffIDs.append(try Digest(text)) }
        history = []
        for entry in try fields.array("history") ?? [] { history.append(try HistoryEntry(entry)) }
    }
}

/// How a step of the build changed the image.
public struct HistoryEntry: Equatable, Sendable {
    public var created: String?
    public var createdBy: String?
    public var author: String?
    public var comment: String?
    /// The step added no layer.
    public var isEmptyLayer: Bool

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "image's history")
        created = try fields.string("created")
        createdBy = try fields.string("created_by")
        author = try fields.string("author")
        comment = try fields.string("comment")
        isEmptyLayer = try fields.bool("empty_layer") ?? false
    }

    public var json: JSON {
        var object = JSONObject()
        if let created { object["created"] = .string(created) }
        if let createdBy { object["created_by"] = .string(createdBy) }
        if let author { object["author"] = .string(author) }
        if let comment { object["comment"] = .string(comment) }
        if isEmptyLayer { object["empty_layer"] = true }
        return .object(object)
    }
}

/// What a container of the image gets unless told otherwise: image-spec, config.md, "config".
public struct ContainerConfig: Equatable, Sendable {
    /// `user[:group]`, names or numbers; empty means root.
    public var user = ""
    /// `80/tcp`; without a protocol, tcp.
    public var exposedPorts: [String] = []
    /// `NAME=value`.
    public var env: [String] = []
    public var entrypoint: [String] = []
    public var cmd: [String] = []
    /// Absolute paths.
    public var volumes: [String] = []
    public var workingDir = ""
    public var labels: [String: String] = [:]
    /// `SIGQUIT`, `3`.
    public var stopSignal = ""
    public var healthcheck: Healthcheck?
    public var shell: [String] = []
    public var onBuild: [String] = []

    public init() {}

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "image config's config")
        user = try fields.string("User") ?? ""
        exposedPorts = try fields.keySet("ExposedPorts")
        env = try fields.strings("Env") ?? []
        entrypoint = try fields.strings("Entrypoint") ?? []
        cmd = try fields.strings("Cmd") ?? []
        volumes = try fields.keySet("Volumes")
        workingDir = try fields.string("WorkingDir") ?? ""
        labels = try fields.stringMap("Labels")
        stopSignal = try fields.string("StopSignal") ?? ""
        if let check = fields.value("Healthcheck") { healthcheck = try Healthcheck(check) }
        shell = try fields.strings("Shell") ?? []
        onBuild = try fields.strings("OnBuild") ?? []
    }

    /// The fields that are set, under the specification's keys.
    public var json: JSON {
        var object = JSONObject()
        func set(_ key: String, _ text: String) { if !text.isEmpty { object[key] = .string(text) } }
        func set(_ key: String, _ items: [String]) { if !items.isEmpty { object[key] = .strings(items) } }
        func setKeys(_ key: String, _ items: [String]) {
            if items.isEmpty { return }
            var keys = JSONObject()
            for item in items { keys[item] = .object([:]) }
            object[key] = .object(keys)
        }
        set("User", user)
        setKeys("ExposedPorts", exposedPorts)
        set("Env", env)
        set("Entrypoint", entrypoint)
        set("Cmd", cmd)
        setKeys("Volumes", volumes)
        set("WorkingDir", workingDir)
        if !labels.isEmpty { object["Labels"] = .sortedMap(labels) }
        set("StopSignal", stopSignal)
        if let healthcheck { object["Healthcheck"] = healthcheck.json }
        set("Shell", shell)
        set("OnBuild", onBuild)
        return .object(object)
    }
}

/// Docker's health check: moby's image specification 1.2, "Healthcheck". Times are nanoseconds; 0 means the default.
public struct Healthcheck: Equatable, Sendable {
    /// Empty inherits, `["NONE"]` disables, `["CMD", …]` executes, `["CMD-SHELL", command]` asks the shell.
    public var test: [String]
    public var interval: Int64
    public var timeout: Int64
    public var startPeriod: Int64
    public var startInterval: Int64
    public var retries: Int64

    public init(_ json: JSON) throws(ImageSpecError) {
        let fields = try ImageFields(json, document: "image config's Healthcheck")
        test = try fields.strings("Test") ?? []
        interval = try fields.int("Interval") ?? 0
        timeout = try fields.int("Timeout") ?? 0
        startPeriod = try fields.int("StartPeriod") ?? 0
        startInterval = try fields.int("StartInterval") ?? 0
        retries = try fields.int("Retries") ?? 0
    }

    public var json: JSON {
        var object = JSONObject()
        if !test.isEmpty { object["Test"] = .strings(test) }
        for (key, value) in [
            ("Interval", interval), ("Timeout", timeout), ("StartPeriod", startPeriod),
            ("StartInterval", startInterval), ("Retries", retries),
        ] where value != 0 { object[key] = .int(value) }
        return .object(object)
    }
}
