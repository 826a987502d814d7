// SPDX-License-Identifier: Apache-2.0

/// Ordered `key=value` pairs as flags give them; a later value of a key replaces an earlier one.
struct KeyValueList {
    private(set) var pairs: [(key: String, value: String)] = []

    /// `key=value`; `key` alone has the value "".
    mutating func add(_ text: String, flag: String) throws(Failure) {
        let (key, value) = KeyValueList.split(text)
        if key.isEmpty { throw Failure("invalid \(flag) format: \"\(text)\": must be of the form KEY=VALUE") }
        set(key, value ?? "")
    }

    /// `key=value` with a value that must be there.
    mutating func addComplete(_ text: String, flag: String) throws(Failure) {
        let (key, value) = KeyValueList.split(text)
        guard let value, !key.isEmpty else {
            throw Failure("invalid \(flag) \"\(text)\": must be of the form KEY=VALUE")
        }
        set(key, value)
    }

    /// One pair per line; blank lines and lines that begin with `#` say nothing: --label-file.
    mutating func add(file content: String, flag: String) throws(Failure) {
        for line in content.split(whereSeparator: \.isNewline) {
            let text = line.drop { $0 == " " || $0 == "\t" }
            if text.isEmpty || text.first == "#" { continue }
            try add(String(text), flag: flag)
        }
    }

    private mutating func set(_ key: String, _ value: String) {
        if let index = pairs.firstIndex(where: { $0.key == key }) {
            pairs[index].value = value
        } else {
            pairs.append((key, value))
        }
    }

    static func split(_ text: String) -> (key: String, value: String?) {
        guard let equals = text.firstIndex(of: "=") else { return (text, nil) }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
}
