// SPDX-License-Identifier: Apache-2.0

/// The name of an image: `[domain/]path[:tag][@digest]`, the grammar of the distribution project's
/// reference package (distribution-spec, "Pulling manifests", for path and tag).
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    /// Host with optional port: `docker.io`, `localhost:5000`.
    public var domain: String
    /// Path components joined by "/": `library/nginx`.
    public var path: String
    public var tag: String?
    public var digest: Digest?

    /// `docker.io/library/nginx`.
    public var repository: String { domain + "/" + path }

    /// The whole name: `docker.io/library/nginx:latest`.
    public var description: String {
        var text = repository
        if let tag { text += ":" + tag }
        if let digest { text += "@" + digest.description }
        return text
    }

    public init(domain: String, path: String, tag: String?, digest: Digest? = nil) {
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest
    }

    /// Parses a name as a registry understands it: a short name belongs to docker.io, one without a slash to
    /// `library/`; without tag and digest the tag is `latest`.
    public init(normalizing text: String) throws(ImageSpecError) {
        try self.init(text, domain: "docker.io")
    }

    /// Parses a name that somebody gives to an image here: a short name belongs to `localhost/`, because nothing
    /// says that a registry has it. This is what `tag`, and a `load` of an OCI archive, do.
    public init(local text: String) throws(ImageSpecError) {
        try self.init(text, domain: "localhost")
    }

    private init(_ text: String, domain: String) throws(ImageSpecError) {
        self = try PartialImageReference(text).qualified(domain: domain)
        // With what was not typed it may be too long.
        try PartialImageReference.check(length: repository.utf8.count, of: text)
    }
}

/// A name as typed, its domain perhaps missing.
public struct PartialImageReference: Equatable, Sendable {
    /// Nil for a short name (`nginx`, `foo/bar`).
    public var domain: String?
    public var path: String
    public var tag: String?
    public var digest: Digest?

    /// Longest domain and path together: the reference package's NameTotalLengthMax.
    static let longestRepository = 255
    static let longestTag = 128

    public init(_ text: String) throws(ImageSpecError) {
        func invalid(_ reason: String) -> ImageSpecError {
            ImageSpecError("invalid image name \"\(text)\": \(reason)")
        }
        var rest = text[...]
        if let at = rest.firstIndex(of: "@") {
            do { digest = try Digest(rest[rest.index(after: at)...]) } catch { throw invalid(error.description) }
            rest = rest[..<at]
        }
        // A colon after the last slash starts the tag; one before it belongs to the domain's port.
        let lastSlash = rest.lastIndex(of: "/") ?? rest.startIndex
        if let colon = rest[lastSlash...].lastIndex(of: ":") {
            let tag = rest[rest.index(after: colon)...]
            guard PartialImageReference.isTag(tag) else { throw invalid("\"\(tag)\" is not a tag") }
            self.tag = String(tag)
            rest = rest[..<colon]
        }
        var components = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = components.first, !rest.isEmpty else { throw invalid("it is empty") }
        if components.count > 1,
            first == "localhost" || first.utf8.contains(UInt8(ascii: ".")) || first.utf8.contains(UInt8(ascii: ":"))
                || first.utf8.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) })
        {
            guard PartialImageReference.isDomain(first) else { throw invalid("\"\(first)\" is not a host name") }
            // Docker Hub's registry answers under two names; images have one.
            domain = first == "index.docker.io" ? "docker.io" : String(first)
            components.removeFirst()
            rest = rest[first.endIndex...].dropFirst()
        }
        for component in components where !PartialImageReference.isPathComponent(component) {
            if PartialImageReference.isPathComponent(component.lowercased()[...]) {
                throw invalid("the repository name must be lowercase")
            }
            throw invalid("\"\(component)\" is not a path component")
        }
        path = String(rest)
        if domain == nil, digest == nil, tag == nil, Digest(hex: path) != nil {
            throw invalid("64 hexadecimal digits are an image id, not a name")
        }
        try PartialImageReference.check(length: path.utf8.count + (domain.map { $0.utf8.count + 1 } ?? 0), of: text)
    }

    static func check(length: Int, of text: String) throws(ImageSpecError) {
        if length > longestRepository {
            throw ImageSpecError("invalid image name \"\(text)\": it is longer than \(longestRepository) bytes")
        }
    }

    /// The full reference; `domain` is used where none was typed, the tag `latest` where neither tag nor digest was.
    public func qualified(domain fallback: String) -> ImageReference {
        let domain = self.domain ?? fallback
        let path =
            domain == "docker.io" && !self.path.utf8.contains(UInt8(ascii: "/")) ? "library/" + self.path : self.path
        return ImageReference(
            domain: domain, path: path, tag: tag ?? (digest == nil ? "latest" : nil), digest: digest)
    }

    // [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
    static func isTag(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isWord(first) || first == UInt8(ascii: "_") else { return false }
        return text.utf8.count <= longestTag
            && text.utf8.allSatisfy {
                isWord($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
            }
    }

    // Alphanumeric runs separated by one ".", one or two "_", or any number of "-".
    static func isPathComponent(_ text: Substring) -> Bool {
        var separator: [UInt8] = []
        var sawWord = false
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                if !separator.isEmpty, !isSeparator(separator) { return false }
                separator.removeAll(keepingCapacity: true)
                sawWord = true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                if !sawWord { return false }
                separator.append(byte)
            default: return false
            }
        }
        return sawWord && separator.isEmpty
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        if bytes.allSatisfy({ $0 == UInt8(ascii: "-") }) { return true }
        if bytes.count == 1 { return true }
        return bytes.count == 2 && bytes.allSatisfy { $0 == UInt8(ascii: "_") }
    }

    // host[:port], where a host is dot-separated labels or an IPv6 address in brackets.
    static func isDomain(_ text: Substring) -> Bool {
        var host = text
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { return false }
            let address = text[text.index(after: text.startIndex)..<close]
            guard !address.isEmpty,
                address.utf8.allSatisfy({ isHexadecimal($0) || $0 == UInt8(ascii: ":") })
            else { return false }
            let rest = text[text.index(after: close)...]
            return rest.isEmpty || (rest.first == ":" && isPort(rest.dropFirst()))
        }
        if let colon = text.firstIndex(of: ":") {
            guard isPort(text[text.index(after: colon)...]) else { return false }
            host = text[..<colon]
        }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.utf8.first, let last = label.utf8.last, isWord(first), isWord(last) else {
                return false
            }
            return label.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isPort(_ text: Substring) -> Bool { UInt16(text) != nil && text.first != "+" }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        Digest.isLowercaseHexadecimal(byte | 0x20) && isWord(byte)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
