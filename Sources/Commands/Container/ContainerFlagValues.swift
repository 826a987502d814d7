// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import JSON
import Monitor

/// --entrypoint: a JSON array of words, or one word; "" clears the image's.
enum EntrypointText {
    static func words(_ text: String) throws(Failure) -> [String] {
        guard text.hasPrefix("["), let json = try? JSON.parse(Array(text.utf8)), let items = json.arrayValue else {
            return text.isEmpty ? [] : [text]
        }
        let words = items.compactMap(\.stringValue)
        guard words.count == items.count else {
            throw Failure("invalid entrypoint \(text): the JSON array must contain only strings")
        }
        return words
    }
}

/// --pull of `run` and `create`, --policy of `pull`: when a registry is asked. podman-pull(1).
enum PullPolicy: String {
    case always, missing, never, newer

    init(parsing text: String) throws(Failure) {
        switch text.lowercased() {
        case "always": self = .always
        case "missing", "ifnotpresent", "ifmissing": self = .missing
        case "never": self = .never
        case "newer", "ifnewer": self = .newer
        default: throw Failure("unsupported pull policy \"\(text)\"")
        }
    }
}

/// --network.
enum NetworkFlag {
    /// The mode when at most one is given.
    static func single(_ given: [String]) throws(Failure) -> String? {
        guard given.count <= 1 else {
            throw Failure("cannot set multiple networks: a container or pod has one network: invalid argument")
        }
        return given.first
    }

    /// `host:ip` with an address or `host-gateway`.
    static func checkHost(_ text: String) throws(Failure) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw Failure("invalid host format \"\(text)\": must be host:ip")
        }
        if parts[1] == "host-gateway" { return }
        try checkAddress(String(parts[1]), flag: "add-host", text)
    }

    /// An IPv4 or IPv6 address.
    static func checkAddress(_ text: String, flag: String, _ whole: String? = nil) throws(Failure) {
        if isIPv4(text) || isIPv6(text) { return }
        if flag == "add-host" { throw Failure("invalid IP address in add-host: \"\(whole ?? text)\"") }
        throw Failure("\(text) is not an ip address")
    }

    private static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.count) && part.allSatisfy { $0.isASCII && $0.isNumber } && UInt8(part) != nil
            }
    }

    /// RFC 4291 section 2.2.
    private static func isIPv6(_ text: String) -> Bool {
        var text = text[...]
        // A zone means something only on this host, but resolvers take it.
        if let percent = text.firstIndex(of: "%") { text = text[..<percent] }
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard text.contains(":"), halves.count <= 2 else { return false }
        var groups = 0
        for (index, half) in halves.enumerated() where !half.isEmpty {
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            for (position, part) in parts.enumerated() {
                let isLast = index == halves.count - 1 && position == parts.count - 1
                if isLast, part.contains(".") {
                    guard isIPv4(String(part)) else { return false }
                    groups += 2
                } else {
                    guard (1...4).contains(part.count), part.allSatisfy(\.isHexDigit) else { return false }
                    groups += 1
                }
            }
        }
        return halves.count == 2 ? groups <= 7 : groups == 8
    }
}

/// --pid, --ipc, --uts.
enum NamespaceFlag {
    static func sharesHost(_ text: String, _ kind: String) throws(Failure) -> Bool {
        switch text {
        case "", "private": return false
        case "host": return true
        case "shareable" where kind == "ipc": return false
        default:
            throw Failure("invalid \(kind) namespace \"\(text)\": must be \"host\" or \"private\": invalid argument")
        }
    }
}

enum ShmSize {
    static func bytes(_ text: String) throws(Failure) -> Int64 {
        guard let bytes = ByteSize.bytes(text), bytes >= 0 else {
            throw Failure("unable to translate --shm-size: invalid size: '\(text)'")
        }
        return bytes
    }
}

enum SysctlFlag {
    static func pairs(_ texts: [String]) throws(Failure) -> [(key: String, value: String)] {
        var list = KeyValueList()
        for text in texts { try list.addComplete(text, flag: "sysctl") }
        return list.pairs
    }
}

/// --security-opt.
enum SecurityOption {
    static func apply(_ text: String, to settings: inout ContainerRecord) throws(Failure) {
        // Docker's older form has a colon.
        let separator = text.firstIndex { $0 == "=" || $0 == ":" }
        let name = separator.map { String(text[..<$0]) } ?? text
        let value = separator.map { String(text[text.index(after: $0)...]) }
        switch (name, value) {
        case ("no-new-privileges", nil), ("no-new-privileges", "true"): settings.noNewPrivileges = true
        case ("no-new-privileges", "false"): settings.noNewPrivileges = false
        case ("seccomp", "unconfined"): settings.isSeccompUnconfined = true
        case ("mask", let paths?): settings.maskedPaths += try absolute(paths, text)
        case ("unmask", let paths?):
            settings.unmaskedPaths += paths.lowercased() == "all" ? ["ALL"] : try absolute(paths, text)
        case ("label", "disable"), ("apparmor", "unconfined"):
            // Containers run without such a label anyway.
            return
        case ("seccomp", _):
            throw Failure(
                "invalid --security-opt \"\(text)\": the only seccomp profile to choose is seccomp=unconfined")
        default: throw Failure("invalid --security-opt 2: \"\(text)\"")
        }
    }

    /// Paths separated by colons.
    private static func absolute(_ text: String, _ option: String) throws(Failure) -> [String] {
        let paths = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        for path in paths where !path.hasPrefix("/") {
            throw Failure("invalid --security-opt \"\(option)\": \"\(path)\" is not an absolute path")
        }
        return paths
    }
}

/// --detach-keys, refused before anything starts.
enum DetachKeysFlag {
    static func checked(_ arguments: ParsedArguments) throws(Failure) -> String {
        let text = arguments.string("detach-keys")
        do { _ = try DetachKeys(text) } catch { throw Failure(error.description) }
        return text
    }
}

/// --restart.
enum RestartPolicy {
    static func normalised(_ text: String) throws(Failure) -> String {
        switch text {
        case "", "no", "never": return "no"
        case "always", "on-failure", "unless-stopped": return text
        default:
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, ["always", "on-failure", "unless-stopped", "no"].contains(parts[0]) else {
                throw Failure("\"\(text)\" is not a valid restart policy: invalid argument")
            }
            guard parts[0] == "on-failure" else {
                throw Failure(
                    "restart policy options are only allowed with the on-failure policy: \"\(text)\": invalid argument")
            }
            guard let count = UInt32(parts[1]) else {
                throw Failure("parsing restart policy retries \"\(parts[1])\": must be a number: invalid argument")
            }
            return "on-failure:\(count)"
        }
    }
}

/// --log-driver, --log-opt.
enum LogFlags {
    static func apply(driver: String, options: [String], to settings: inout ContainerRecord) throws(Failure) {
        switch driver {
        case "k8s-file", "json-file", "none": settings.logDriver = driver
        case "journald", "passthrough", "passthrough-tty":
            throw Failure(
                "the log driver \"\(driver)\" is not available: use k8s-file, json-file or none: invalid argument")
        default:
            throw Failure(
                "error: log driver must be one of k8s-file, json-file or none, not \"\(driver)\": invalid argument")
        }
        for option in options {
            let (key, value) = KeyValueList.split(option)
            guard key == "max-size", let value else {
                throw Failure("invalid log option \"\(option)\": the only one is max-size=SIZE: invalid argument")
            }
            guard let bytes = ByteSize.bytes(value), bytes > 0 else {
                throw Failure("invalid log option \"\(option)\": invalid size: '\(value)'")
            }
            settings.logSizeLimit = bytes
        }
    }
}

/// --label, --label-file: files first, so that a flag overrides a file.
enum LabelFlags {
    static func labels(_ arguments: ParsedArguments) throws(Failure) -> [(key: String, value: String)] {
        var labels = KeyValueList()
        for path in arguments.strings("label-file") { try labels.add(file: try TextFile.read(path), flag: "label") }
        for text in arguments.strings("label") { try labels.add(text, flag: "label") }
        return labels.pairs
    }
}
