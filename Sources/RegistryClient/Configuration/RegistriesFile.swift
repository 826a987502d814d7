// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import SystemPackage

/// One registries.conf or drop-in: containers-registries.conf(5), version 2. Unknown keys are errors, because one that
/// is meant to forbid something would otherwise be ignored.
struct RegistriesFile {
    /// A place with the same content.
    struct Mirror: Equatable {
        /// Digest and tag: what may be pulled from it.
        enum Pulls: String { case all, digestOnly = "digest-only", tagOnly = "tag-only" }

        var location: String
        var isInsecure = false
        var pulls = Pulls.all
    }

    /// One [[registry]].
    struct Rule: Equatable {
        /// `host`, `host/path`, or `*.domain`.
        var prefix: String
        /// What replaces the prefix; empty replaces nothing.
        var location = ""
        var isInsecure = false
        var isBlocked = false
        var mirrors: [Mirror] = []
    }

    enum ShortNameMode: String { case enforcing, permissive, disabled }

    /// Nil: not in this file.
    var searchRegistries: [String]?
    var shortNameMode: ShortNameMode?
    var credentialHelpers: [String]?
    var rules: [Rule] = []
    /// Short name to full repository; an empty value removes an alias.
    var aliases: [String: String] = [:]

    /// Nil when there is no such file.
    static func read(_ path: String) throws(RegistryError) -> RegistriesFile? {
        let bytes: [UInt8]
        do { bytes = try File.read(path, limit: 4 << 20) } catch {
            if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
            throw RegistryError("read the registries' configuration", path, error)
        }
        return try RegistriesFile(bytes, path: path)
    }

    init(_ bytes: [UInt8], path: String) throws(RegistryError) {
        let table: JSONObject
        do { table = try TOML.parse(bytes) } catch {
            throw RegistryError(.other, "\"\(path)\", line \(error.line): \(error.reason)")
        }
        for (key, value) in table {
            let fields = ConfigurationFields(path: path, table: key)
            switch key {
            case "unqualified-search-registries": searchRegistries = try fields.strings(key, value)
            case "credential-helpers": credentialHelpers = try fields.strings(key, value)
            case "short-name-mode":
                guard let mode = ShortNameMode(rawValue: try fields.string(key, value)) else {
                    throw RegistryError(
                        .other, "\"\(path)\": short-name-mode must be enforcing, permissive or disabled")
                }
                shortNameMode = mode
            case "additional-layer-store-auth-helper": _ = try fields.string(key, value)
            case "registry":
                for item in value.arrayValue ?? [] { rules.append(try RegistriesFile.rule(item, path)) }
            case "aliases":
                for (name, target) in value.objectValue ?? [:] { aliases[name] = try fields.string(name, target) }
            case "registries":
                throw RegistryError(
                    .other,
                    "\"\(path)\" is in version 1 of the format; write it as version 2 (containers-registries.conf(5))")
            default: throw RegistryError(.other, "\"\(path)\" has the unknown key \"\(key)\"")
            }
        }
    }

    private static func rule(_ json: JSON, _ path: String) throws(RegistryError) -> Rule {
        let fields = ConfigurationFields(path: path, table: "registry")
        var rule = Rule(prefix: "")
        var isByDigestOnly = false
        for (key, value) in json.objectValue ?? [:] {
            switch key {
            case "prefix": rule.prefix = try fields.string(key, value)
            case "location": rule.location = try location(try fields.string(key, value), path)
            case "insecure": rule.isInsecure = try fields.bool(key, value)
            case "blocked": rule.isBlocked = try fields.bool(key, value)
            case "mirror-by-digest-only": isByDigestOnly = try fields.bool(key, value)
            case "mirror":
                for item in value.arrayValue ?? [] { rule.mirrors.append(try mirror(item, path)) }
            default: throw RegistryError(.other, "\"\(path)\": [[registry]] has the unknown key \"\(key)\"")
            }
        }
        if rule.prefix.isEmpty { rule.prefix = rule.location }
        if rule.prefix.isEmpty {
            throw RegistryError(.other, "\"\(path)\": a [[registry]] has neither prefix nor location")
        }
        if rule.prefix.hasPrefix("*."), rule.prefix.contains("/") {
            throw RegistryError(
                .other,
                "\"\(path)\": the prefix \"\(rule.prefix)\" has a wildcard and a path; only *.DOMAIN is possible")
        }
        if isByDigestOnly {
            for index in rule.mirrors.indices { rule.mirrors[index].pulls = .digestOnly }
        }
        return rule
    }

    private static func mirror(_ json: JSON, _ path: String) throws(RegistryError) -> Mirror {
        let fields = ConfigurationFields(path: path, table: "registry.mirror")
        var mirror = Mirror(location: "")
        for (key, value) in json.objectValue ?? [:] {
            switch key {
            case "location": mirror.location = try location(try fields.string(key, value), path)
            case "insecure": mirror.isInsecure = try fields.bool(key, value)
            case "pull-from-mirror":
                guard let pulls = Mirror.Pulls(rawValue: try fields.string(key, value)) else {
                    throw RegistryError(.other, "\"\(path)\": pull-from-mirror must be all, digest-only or tag-only")
                }
                mirror.pulls = pulls
            default: throw RegistryError(.other, "\"\(path)\": [[registry.mirror]] has the unknown key \"\(key)\"")
            }
        }
        if mirror.location.isEmpty { throw RegistryError(.other, "\"\(path)\": a [[registry.mirror]] has no location") }
        return mirror
    }

    private static func location(_ text: String, _ path: String) throws(RegistryError) -> String {
        if text.contains("://") {
            throw RegistryError(
                .other, "\"\(path)\": the location \"\(text)\" must not have a scheme; see \"insecure\"")
        }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }
}

/// Values of a configuration file with errors that name the file and the key.
struct ConfigurationFields {
    let path: String
    let table: String

    func string(_ key: String, _ value: JSON) throws(RegistryError) -> String {
        guard let text = value.stringValue else { throw RegistryError(.other, "\"\(path)\": \(key) must be a string") }
        return text
    }

    func bool(_ key: String, _ value: JSON) throws(RegistryError) -> Bool {
        guard let flag = value.boolValue else {
            throw RegistryError(.other, "\"\(path)\": \(key) must be true or false")
        }
        return flag
    }

    func strings(_ key: String, _ value: JSON) throws(RegistryError) -> [String] {
        guard let items = value.arrayValue else {
            throw RegistryError(.other, "\"\(path)\": \(key) must be an array of strings")
        }
        var texts: [String] = []
        for item in items { texts.append(try string(key, item)) }
        return texts
    }
}
