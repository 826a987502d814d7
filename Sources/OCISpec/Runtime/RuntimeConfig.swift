// SPDX-License-Identifier: Apache-2.0
import JSON

/// A bundle's config.json: OCI runtime-spec 1.x, config.md and config-linux.md.
package struct RuntimeConfig: Sendable {
    /// The version of the specification this decoder was written for.
    package static let specificationVersion = "1.2.1"

    package var version: String
    /// Absent is allowed for `create`; `start` needs it.
    package var process: RuntimeProcess?
    /// Relative to the bundle unless absolute.
    package var rootPath: String
    package var isRootReadOnly: Bool
    package var hostname: String?
    package var domainname: String?
    package var mounts: [RuntimeMount]
    package var hooks: RuntimeHooks
    package var annotations: [(name: String, value: String)]
    package var linux: RuntimeLinux

    package init(bytes: [UInt8]) throws(RuntimeSpecError) {
        // What is cut out here was parsed when its filter was compiled; see RuntimeSeccompSection.
        var rest = bytes
        var section: RuntimeSeccompSection?
        if let range = JSON.range(of: ["linux", "seccomp"], in: bytes), bytes[range.lowerBound] == UInt8(ascii: "{") {
            section = RuntimeSeccompSection(source: Array(bytes[range]))
            rest.replaceSubrange(range, with: Array("null".utf8))
        }
        let json: JSON
        do { json = try JSON.parse(rest) } catch {
            throw RuntimeSpecError("config.json: \(error.description)")
        }
        try self.init(json)
        linux.seccomp = linux.seccomp ?? section
    }

    package init(_ json: JSON) throws(RuntimeSpecError) {
        let fields = try RuntimeFields(json, path: "")
        version = try fields.required("ociVersion")
        // Every 1.x, with or without a suffix such as -dev: a minor version only adds.
        guard version.hasPrefix("1."), version.dropFirst(2).first?.isNumber == true else {
            throw fields.failure("ociVersion", "`\(version)` is not supported; it must be 1.x")
        }
        process = try fields.fields("process").map { (fields) throws(RuntimeSpecError) in try RuntimeProcess(fields) }
        guard let root = try fields.fields("root") else { throw fields.failure("root", "is required") }
        rootPath = try root.required("path")
        isRootReadOnly = try root.bool("readonly")
        hostname = try fields.string("hostname")
        domainname = try fields.string("domainname")
        annotations = try fields.stringMap("annotations")
        mounts = []
        for mount in try fields.objects("mounts") { mounts.append(try RuntimeMount(mount)) }
        hooks = try RuntimeHooks(try fields.fields("hooks"))
        linux = try RuntimeLinux(RuntimeFields(fields.value("linux") ?? [:], path: "linux"))
        try validate(fields)
    }

    private func validate(_ fields: RuntimeFields) throws(RuntimeSpecError) {
        func requires(_ type: RuntimeNamespace.Kind, _ field: String) throws(RuntimeSpecError) {
            guard linux.namespaces.contains(where: { $0.kind == type }) else {
                throw RuntimeSpecError("\(field): needs a \(type.rawValue) namespace in linux.namespaces")
            }
        }
        if hostname?.isEmpty == false { try requires(.uts, "hostname") }
        if domainname?.isEmpty == false { try requires(.uts, "domainname") }
        guard linux.namespaces.contains(where: { $0.kind == .mount && $0.path == nil }) else {
            throw RuntimeSpecError("linux.namespaces: a new mount namespace is required")
        }
        if !linux.userMappings.isEmpty || !linux.groupMappings.isEmpty {
            try requires(.user, "linux.uidMappings")
        }
        for sysctl in linux.sysctls { try RuntimeSysctl.check(sysctl.name, linux.namespaces) }
        for mount in mounts { try mount.validate() }
    }
}

/// One hook: config.md, "POSIX-platform Hooks".
package struct RuntimeHook: Sendable, Equatable {
    package var path: String
    /// argv including argv[0]; empty means only the path.
    package var arguments: [String]
    package var environment: [String]
    /// Seconds until it is killed; nil waits for ever.
    package var timeoutSeconds: Int?

    init(_ fields: RuntimeFields) throws(RuntimeSpecError) {
        path = try fields.required("path")
        guard path.hasPrefix("/") else { throw fields.failure("path", "must be an absolute path") }
        arguments = try fields.strings("args")
        environment = try fields.strings("env")
        timeoutSeconds = try fields.integer("timeout", Int.self)
        if let timeoutSeconds, timeoutSeconds <= 0 || timeoutSeconds > 1 << 20 {
            throw fields.failure("timeout", "must be greater than zero")
        }
    }
}

/// The hooks of all six kinds, each in the order they are run.
package struct RuntimeHooks: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case prestart, createRuntime, createContainer, startContainer, poststart, poststop
    }

    private var lists: [Kind: [RuntimeHook]] = [:]

    init(_ fields: RuntimeFields?) throws(RuntimeSpecError) {
        guard let fields else { return }
        for kind in Kind.allCases {
            var hooks: [RuntimeHook] = []
            for hook in try fields.objects(kind.rawValue) { hooks.append(try RuntimeHook(hook)) }
            if !hooks.isEmpty { lists[kind] = hooks }
        }
    }

    package subscript(kind: Kind) -> [RuntimeHook] { lists[kind] ?? [] }
}
