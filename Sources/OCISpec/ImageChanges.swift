// SPDX-License-Identifier: Apache-2.0
import JSON

extension ContainerConfig {
    /// Applies one instruction of a Dockerfile, as --change of `import` and `commit` takes it: podman-import(1).
    public mutating func apply(change text: String) throws(ImageSpecError) {
        let words = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        // `CMD=/bin/sh` is Podman's other form.
        let separator = words.first.flatMap { $0.firstIndex(of: "=") }
        let name: String
        var value: String
        if let word = words.first, let separator, word[..<separator].allSatisfy(\.isUppercase) {
            name = String(word[..<separator])
            value = String(text[text.index(after: separator)...])
        } else {
            name = words.first.map { $0.uppercased() } ?? ""
            value = words.count > 1 ? String(words[1]) : ""
        }
        while value.first == " " { value.removeFirst() }
        if value.isEmpty {
            throw ImageSpecError("invalid change \"\(text)\": it must be of the form INSTRUCTION VALUE")
        }
        switch name {
        case "CMD": cmd = ContainerConfig.command(value)
        case "ENTRYPOINT": entrypoint = ContainerConfig.command(value)
        case "ENV":
            for (key, content) in try ContainerConfig.pairs(value, text) {
                env.removeAll { $0.hasPrefix(key + "=") }
                env.append("\(key)=\(content)")
            }
        case "LABEL": for (key, content) in try ContainerConfig.pairs(value, text) { labels[key] = content }
        case "EXPOSE":
            for port in value.split(separator: " ").map(String.init) {
                let full = port.contains("/") ? port : port + "/tcp"
                if !exposedPorts.contains(full) { exposedPorts.append(full) }
            }
        case "VOLUME":
            let paths = ContainerConfig.list(value) ?? value.split(separator: " ").map(String.init)
            for path in paths where !volumes.contains(path) { volumes.append(path) }
        case "USER": user = value
        case "WORKDIR": workingDir = value
        case "STOPSIGNAL": stopSignal = value
        case "ONBUILD": onBuild.append(value)
        default:
            throw ImageSpecError(
                "invalid change \"\(text)\": \(name) is none of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR"
            )
        }
    }

    /// A JSON array of strings; nil for anything else.
    private static func list(_ text: String) -> [String]? {
        guard text.hasPrefix("["), let items = (try? JSON.parse(Array(text.utf8)))?.arrayValue else { return nil }
        let words = items.compactMap(\.stringValue)
        return words.count == items.count ? words : nil
    }

    /// The exec form, or the shell form.
    private static func command(_ text: String) -> [String] { list(text) ?? ["/bin/sh", "-c", text] }

    /// `a=b c="d e"`, or the old form `a b`.
    private static func pairs(_ text: String, _ whole: String) throws(ImageSpecError) -> [(String, String)] {
        var words: [String] = [""]
        var quote: Character?
        var isEscaped = false
        for character in text {
            if isEscaped {
                words[words.count - 1].append(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { words[words.count - 1].append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == " " {
                words.append("")
            } else {
                words[words.count - 1].append(character)
            }
        }
        if quote != nil { throw ImageSpecError("invalid change \"\(whole)\": a quote does not end") }
        words.removeAll(where: \.isEmpty)
        if let first = words.first, !first.contains("=") {
            let value = text.drop { $0 != " " }.drop { $0 == " " }
            if value.isEmpty { throw ImageSpecError("invalid change \"\(whole)\": \(first) has no value") }
            return [(first, String(value))]
        }
        var pairs: [(String, String)] = []
        for word in words {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
                throw ImageSpecError("invalid change \"\(whole)\": \"\(word)\" is not of the form KEY=VALUE")
            }
            pairs.append((String(word[..<equals]), String(word[word.index(after: equals)...])))
        }
        return pairs
    }
}
