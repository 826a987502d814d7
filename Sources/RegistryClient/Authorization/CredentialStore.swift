// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import SystemPackage

/// Who the user is at a registry.
package enum Credentials: Equatable, Sendable {
    case none
    case password(user: String, password: String)
    /// A token that stands for a login: OAuth 2 refresh token.
    case identityToken(String)
}

/// The files with credentials, in Podman's order: containers-auth.json(5).
package struct CredentialStore {
    /// The file given by --authfile or REGISTRY_AUTH_FILE, which then is the only one.
    private let chosen: String?
    private let environment: (String) -> String?

    package init(
        authFile: String?, environment: @escaping (String) -> String? = { Identity.environment($0) }
    ) {
        self.environment = environment
        chosen = authFile ?? environment("REGISTRY_AUTH_FILE").flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The file that `login` writes.
    package var path: String {
        if let chosen { return chosen }
        if let runtime = runtimeDirectory { return runtime + "/containers/auth.json" }
        return home + "/.config/containers/auth.json"
    }

    private var home: String { environment("HOME") ?? "" }

    private var runtimeDirectory: String? {
        environment("XDG_RUNTIME_DIR").flatMap { $0.hasPrefix("/") && File.exists($0) ? $0 : nil }
    }

    /// The files that are read, first match first.
    private var paths: [String] {
        if let chosen { return [chosen] }
        var paths: [String] = []
        if let runtime = runtimeDirectory { paths.append(runtime + "/containers/auth.json") }
        let configuration = environment("XDG_CONFIG_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? home + "/.config"
        for path in [
            configuration + "/containers/auth.json", home + "/.config/containers/auth.json",
            (environment("DOCKER_CONFIG") ?? home + "/.docker") + "/config.json",
        ] where !paths.contains(path) {
            paths.append(path)
        }
        return paths
    }

    /// The credentials for a repository: those of the longest fitting key, `host/path`, `host`.
    ///
    /// - Parameters:
    ///   - host: the registry with its port, as in the image's name.
    ///   - repository: the path below it; empty for the registry as a whole.
    package func credentials(host: String, repository: String) throws(RegistryError) -> Credentials {
        for path in paths {
            guard let file = try AuthFile.read(path) else {
                if chosen != nil, path == chosen, !isOptional {
                    throw RegistryError(.other, "the file with credentials \"\(path)\" does not exist")
                }
                continue
            }
            let found = try file.credentials(host: host, repository: repository, environment: environment)
            if found != .none { return found }
        }
        return .none
    }

    /// REGISTRY_AUTH_FILE may name a file that `login` makes later.
    private var isOptional: Bool { environment("REGISTRY_AUTH_FILE") == chosen }

    /// Remembers a login.
    package func save(_ credentials: Credentials, key: String) throws(RegistryError) {
        var file = try AuthFile.read(path) ?? AuthFile(path: path, json: [:])
        try file.set(credentials, key: key)
    }

    /// Forgets a login; false when there was none in the file that `login` writes.
    package func remove(key: String) throws(RegistryError) -> Bool {
        guard var file = try AuthFile.read(path) else { return false }
        return try file.remove(key: key)
    }

    /// Forgets all logins.
    package func removeAll() throws(RegistryError) {
        guard var file = try AuthFile.read(path) else { return }
        try file.removeAll()
    }
}
