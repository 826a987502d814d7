// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

/// Where an image is really pulled from.
package struct PullSource: Equatable {
    /// The registry that is asked: host with port.
    package var host: String
    /// The repository there.
    package var path: String
    package var isInsecure: Bool
    /// Not the place that the name says.
    package var isMirror: Bool
}

/// What names mean on this machine: containers-registries.conf(5).
package struct RegistriesConfiguration {
    private var searchRegistries: [String]?
    private var shortNameMode = RegistriesFile.ShortNameMode.permissive
    private var rules: [RegistriesFile.Rule] = []
    private var aliases: [String: String] = [:]

    package init() {}

    /// Reads the user's file or, without one, the system's, then the drop-ins of both.
    package static func load(
        environment: (String) -> String? = { Identity.environment($0) }, system: String = "/etc/containers"
    ) throws(RegistryError) -> RegistriesConfiguration {
        var configuration = RegistriesConfiguration()
        let home = environment("HOME") ?? ""
        let user =
            (environment("XDG_CONFIG_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? home + "/.config")
            + "/containers"
        if let chosen = environment("CONTAINERS_REGISTRIES_CONF"), !chosen.isEmpty {
            guard let file = try RegistriesFile.read(chosen) else {
                throw RegistryError(.other, "CONTAINERS_REGISTRIES_CONF names \"\(chosen)\", which does not exist")
            }
            configuration.merge(file)
        } else if let file = try RegistriesFile.read(user + "/registries.conf") {
            configuration.merge(file)
        } else if let file = try RegistriesFile.read(system + "/registries.conf") {
            configuration.merge(file)
        }
        for directory in [system + "/registries.conf.d", user + "/registries.conf.d"] {
            let names: [String]
            do { names = try Directory.names(directory) } catch {
                if error == .noSuchFileOrDirectory || error == .notDirectory { continue }
                throw RegistryError("list the registries' configuration", directory, error)
            }
            for name in names.sorted() where name.hasSuffix(".conf") {
                if let file = try RegistriesFile.read(directory + "/" + name) { configuration.merge(file) }
            }
        }
        return configuration
    }

    /// A later file wins: whole lists, and rules of the same prefix.
    mutating func merge(_ file: RegistriesFile) {
        if let registries = file.searchRegistries { searchRegistries = registries }
        if let mode = file.shortNameMode { shortNameMode = mode }
        for rule in file.rules {
            rules.removeAll { $0.prefix == rule.prefix }
            rules.append(rule)
        }
        for (name, target) in file.aliases { aliases[name] = target.isEmpty ? nil : target }
    }

    // MARK: Names

    /// The full names that `text` may mean, in the order in which they are tried.
    package func candidates(_ text: String) throws(RegistryError) -> [ImageReference] {
        let partial: PartialImageReference
        do { partial = try PartialImageReference(text) } catch { throw RegistryError(.other, error.description) }
        if partial.domain != nil { return [partial.qualified(domain: "")] }
        if let target = aliases[partial.path] {
            let full: PartialImageReference
            do { full = try PartialImageReference(target) } catch {
                throw RegistryError(.other, "the short-name alias \"\(partial.path)\" is wrong: \(error.description)")
            }
            guard let domain = full.domain else {
                throw RegistryError(
                    .other, "the short-name alias \"\(partial.path)\" leads to \"\(target)\", which names no registry")
            }
            return [
                ImageReference(
                    domain: domain, path: full.path, tag: partial.tag ?? (partial.digest == nil ? "latest" : nil),
                    digest: partial.digest)
            ]
        }
        let registries = searchRegistries ?? []
        // Docker Hub's short names are what tutorials type; without a configured list they mean what they mean there.
        if registries.isEmpty { return [partial.qualified(domain: "docker.io")] }
        if registries.count > 1, shortNameMode == .enforcing {
            let names = registries.map { partial.qualified(domain: $0).description }.joined(separator: ", ")
            throw RegistryError(
                .other,
                "the short name \"\(text)\" may mean \(names), and short-name-mode is enforcing; use a full name")
        }
        return registries.map { partial.qualified(domain: $0) }
    }

    // MARK: Places

    /// Where to pull `reference` from: mirrors first, the place itself last.
    package func sources(of reference: ImageReference) throws(RegistryError) -> [PullSource] {
        let name = reference.repository
        guard let rule = rule(for: name, host: reference.domain) else {
            return [PullSource(host: reference.domain, path: reference.path, isInsecure: false, isMirror: false)]
        }
        if rule.isBlocked {
            throw RegistryError(
                .forbidden, "the registry of \(reference) is blocked by registries.conf (prefix \"\(rule.prefix)\")")
        }
        var sources: [PullSource] = []
        for mirror in rule.mirrors {
            switch mirror.pulls {
            case .all: break
            case .digestOnly: if reference.digest == nil { continue }
            case .tagOnly: if reference.digest != nil { continue }
            }
            sources.append(
                try source(name, rule, location: mirror.location, isInsecure: mirror.isInsecure, isMirror: true))
        }
        sources.append(
            try source(name, rule, location: rule.location, isInsecure: rule.isInsecure, isMirror: false))
        return sources
    }

    /// The longest prefix that fits wins.
    private func rule(for name: String, host: String) -> RegistriesFile.Rule? {
        rules.filter { rule in
            if rule.prefix.hasPrefix("*.") {
                let hostname = host.prefix { $0 != ":" }
                return hostname.hasSuffix(rule.prefix.dropFirst())
            }
            guard name.hasPrefix(rule.prefix) else { return false }
            let rest = name.dropFirst(rule.prefix.count)
            return rest.isEmpty || rest.first == "/"
        }.max { $0.prefix.count < $1.prefix.count }
    }

    private func source(
        _ name: String, _ rule: RegistriesFile.Rule, location: String, isInsecure: Bool, isMirror: Bool
    ) throws(RegistryError) -> PullSource {
        var full = name
        if !location.isEmpty {
            let rest = rule.prefix.hasPrefix("*.") ? name.drop { $0 != "/" } : name.dropFirst(rule.prefix.count)
            full = location + rest
        }
        guard let slash = full.firstIndex(of: "/") else {
            throw RegistryError(.other, "registries.conf turns \(name) into \"\(full)\", which names no repository")
        }
        return PullSource(
            host: String(full[..<slash]), path: String(full[full.index(after: slash)...]), isInsecure: isInsecure,
            isMirror: isMirror)
    }
}
