// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import SystemPackage

/// One file with credentials: containers-auth.json(5); Docker's config.json has the same fields and others.
struct AuthFile {
    let path: String
    private var json: JSONObject

    init(path: String, json: JSONObject) {
        self.path = path
        self.json = json
    }

    /// Nil when there is no such file.
    static func read(_ path: String) throws(RegistryError) -> AuthFile? {
        let bytes: [UInt8]
        do { bytes = try File.read(path, limit: 4 << 20) } catch .noSuchFileOrDirectory {
            return nil
        } catch .notDirectory { return nil } catch {
            throw RegistryError("read the file with credentials", path, error)
        }
        if bytes.allSatisfy({ $0 == 32 || $0 == 10 || $0 == 13 || $0 == 9 }) { return AuthFile(path: path, json: [:]) }
        do {
            guard let object = try JSON.parse(bytes).objectValue else {
                throw RegistryError(.other, "the file with credentials \"\(path)\" is not a JSON object")
            }
            return AuthFile(path: path, json: object)
        } catch let error as JSONError {
            throw RegistryError(.other, "the file with credentials \"\(path)\" is damaged: \(error)")
        } catch let error as RegistryError {
            throw error
        } catch {
            throw RegistryError(.other, "the file with credentials \"\(path)\" cannot be read")
        }
    }

    private var logins: JSONObject { json["auths"]?.objectValue ?? [:] }

    func credentials(
        host: String, repository: String, environment: @escaping (String) -> String?
    ) throws(RegistryError) -> Credentials {
        for key in AuthFile.keys(host: host, repository: repository) {
            if let helper = json["credHelpers"]?[key]?.stringValue {
                let found = try CredentialProgram(name: helper, environment: environment).get(key)
                if found != .none { return found }
            }
            for (written, entry) in logins where AuthFile.normalized(written) == key {
                let found = try credentials(entry, key: written)
                if found != .none { return found }
            }
        }
        // Docker's store for everything that has no helper of its own.
        if let helper = json["credsStore"]?.stringValue, !helper.isEmpty {
            let server = host == "docker.io" ? "https://index.docker.io/v1/" : host
            return try CredentialProgram(name: helper, environment: environment).get(server)
        }
        return .none
    }

    private func credentials(_ entry: JSON, key: String) throws(RegistryError) -> Credentials {
        if let token = entry["identitytoken"]?.stringValue, !token.isEmpty { return .identityToken(token) }
        guard let text = entry["auth"]?.stringValue, !text.isEmpty else { return .none }
        guard let bytes = Base64.decode(text), let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
            throw RegistryError(
                .other, "the login for \"\(key)\" in \"\(path)\" is not base64 of user:password; log in again")
        }
        // Docker pads passwords with NUL.
        let password = bytes[(colon + 1)...].filter { $0 != 0 }
        return .password(
            user: String(decoding: bytes[..<colon], as: UTF8.self), password: String(decoding: password, as: UTF8.self))
    }

    /// The keys that fit, longest first: `host/a/b`, `host/a`, `host`.
    static func keys(host: String, repository: String) -> [String] {
        var parts = repository.split(separator: "/").map(String.init)
        var keys: [String] = []
        while !parts.isEmpty {
            keys.append(host + "/" + parts.joined(separator: "/"))
            parts.removeLast()
        }
        return keys + [host]
    }

    /// Docker writes URLs, and Docker Hub under several names.
    static func normalized(_ key: String) -> String {
        var text = key[...]
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            // What a URL has behind the host is the version of the protocol, not a repository.
            text = text.dropFirst(scheme.count).prefix { $0 != "/" }
        }
        let host = text.prefix { $0 != "/" }
        if ["index.docker.io", "registry-1.docker.io"].contains(host) {
            return "docker.io" + text.dropFirst(host.count)
        }
        return String(text)
    }

    // MARK: Writing

    mutating func set(_ credentials: Credentials, key: String) throws(RegistryError) {
        var logins = logins
        switch credentials {
        case .none: return
        case .password(let user, let password):
            logins[key] = ["auth": .string(Base64.encode(Array("\(user):\(password)".utf8)))]
        case .identityToken(let token):
            logins[key] = ["identitytoken": .string(token)]
        }
        json["auths"] = .object(logins)
        try write()
    }

    mutating func remove(key: String) throws(RegistryError) -> Bool {
        var kept = JSONObject()
        var isFound = false
        for (written, entry) in logins {
            if AuthFile.normalized(written) == key { isFound = true } else { kept[written] = entry }
        }
        if !isFound { return false }
        json["auths"] = .object(kept)
        try write()
        return true
    }

    mutating func removeAll() throws(RegistryError) {
        json["auths"] = .object([:])
        try write()
    }

    private func write() throws(RegistryError) {
        do {
            if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
                try Directory.makeAll(String(path[..<slash]), mode: 0o700)
            }
            try File.replace(path, JSON.object(json).serialized(indent: 4), mode: 0o600)
        } catch { throw RegistryError("write the file with credentials", path, error) }
    }
}
