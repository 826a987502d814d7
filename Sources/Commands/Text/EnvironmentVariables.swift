// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Variables from the command line and from files: podman-run(1), `--env` and `--env-file`.
struct EnvironmentVariables {
    /// `KEY=VALUE`, in the order given.
    var list: [String] = []
    /// The caller's environment.
    let host: [String]

    init(host: [String]) { self.host = host }

    /// One `-e`: `KEY=VALUE`, `KEY` for the caller's value (nothing when it has none), or `PREFIX*` for all of the
    /// caller's variables that begin so.
    mutating func add(_ text: String) throws(Failure) {
        if text.hasPrefix("=") || text.isEmpty { throw Failure("invalid environment variable: \(text)") }
        if text.contains("=") {
            list.append(text)
        } else if text.hasSuffix("*") {
            let prefix = text.dropLast()
            list += host.filter { $0.hasPrefix(prefix) && $0.contains("=") }
        } else if let found = host.last(where: { $0.hasPrefix(text + "=") }) {
            list.append(found)
        }
    }

    /// The lines of an environment file: blank ones and those that begin with `#` say nothing, spaces before a name do
    /// not belong to it, and the value is everything behind the first `=`, quotes included.
    mutating func add(file content: String, path: String) throws(Failure) {
        // By scalars: as characters, a carriage return and a line feed are one, which is not the separator.
        for line in content.unicodeScalars.split(separator: "\n") {
            var text = Substring(line.last == "\r" ? line.dropLast() : line)
            text = text.drop { $0 == " " || $0 == "\t" }
            if text.isEmpty || text.first == "#" { continue }
            let name = text.prefix { $0 != "=" }
            if name.contains(where: { $0 == " " || $0 == "\t" }) {
                throw Failure("parsing file \"\(path)\": name \"\(name)\" has white spaces, poorly formatted name")
            }
            try add(String(text))
        }
    }

    mutating func add(fileAt path: String) throws(Failure) { try add(file: TextFile.read(path), path: path) }
}

/// A file named on the command line, with the error people expect.
enum TextFile {
    static func read(_ path: String) throws(Failure) -> String {
        let bytes: [UInt8]
        do { bytes = try File.read(path, limit: 16 << 20) } catch {
            throw Failure("open \(path): \(error.text.lowercasedFirst)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure("\(path) is not UTF-8 text") }
        return text
    }
}

extension String {
    /// "No such file or directory" as Go writes it.
    var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
