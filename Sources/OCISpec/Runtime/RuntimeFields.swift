// SPDX-License-Identifier: Apache-2.0
import JSON

/// Why a config.json or process.json is not usable: one sentence that starts with the field.
package struct RuntimeSpecError: Error, Equatable, Sendable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// Reads the fields of one object of config.json with errors that name the whole path of a field.
///
/// null and absent read alike, because Go writes empty slices and maps as null; a wrong type is an error. Members
/// that the specification does not know are ignored, as it demands (config.md, "Extensibility").
package struct RuntimeFields {
    package let object: JSONObject
    package let path: String

    package init(_ json: JSON, path: String) throws(RuntimeSpecError) {
        guard let object = json.objectValue else {
            throw RuntimeSpecError("\(path.isEmpty ? "config.json" : path): must be an object")
        }
        self.object = object
        self.path = path
    }

    package func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    package func failure(_ key: String, _ problem: String) -> RuntimeSpecError {
        RuntimeSpecError("\(name(key)): \(problem)")
    }

    package func value(_ key: String) -> JSON? {
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    /// A text without NUL: the kernel would cut it short there.
    package func string(_ key: String) throws(RuntimeSpecError) -> String? {
        guard let value = value(key) else { return nil }
        return try RuntimeFields.text(value, name(key))
    }

    package static func text(_ value: JSON, _ name: String) throws(RuntimeSpecError) -> String {
        guard let text = value.stringValue else { throw RuntimeSpecError("\(name): must be a string") }
        if text.utf8.contains(0) { throw RuntimeSpecError("\(name): must not contain a NUL character") }
        return text
    }

    package func required(_ key: String) throws(RuntimeSpecError) -> String {
        guard let text = try string(key), !text.isEmpty else { throw failure(key, "is required") }
        return text
    }

    package func bool(_ key: String) throws(RuntimeSpecError) -> Bool {
        guard let value = value(key) else { return false }
        guard let flag = value.boolValue else { throw failure(key, "must be true or false") }
        return flag
    }

    package func boolIfSet(_ key: String) throws(RuntimeSpecError) -> Bool? {
        value(key) == nil ? nil : try bool(key)
    }

    /// An integer of the type asked for; a value outside its range is an error, never wrapped.
    package func integer<Number: FixedWidthInteger>(
        _ key: String, _ type: Number.Type = Number.self
    ) throws(RuntimeSpecError) -> Number? {
        guard let value = value(key) else { return nil }
        if let number = value.intValue, let exact = Number(exactly: number) { return exact }
        // RLIM_INFINITY and other 64-bit values beyond Int64 arrive as doubles.
        if let double = value.doubleValue {
            if let exact = Number(exactly: double) { return exact }
            if Number.self == UInt64.self, double == 18_446_744_073_709_551_616 { return Number.max }
        }
        throw failure(key, "must be an integer from \(Number.min) to \(Number.max)")
    }

    package func array(_ key: String) throws(RuntimeSpecError) -> [JSON] {
        guard let value = value(key) else { return [] }
        guard let items = value.arrayValue else { throw failure(key, "must be an array") }
        return items
    }

    package func strings(_ key: String) throws(RuntimeSpecError) -> [String] {
        var texts: [String] = []
        for (index, item) in try array(key).enumerated() {
            texts.append(try RuntimeFields.text(item, "\(name(key))[\(index)]"))
        }
        return texts
    }

    package func fields(_ key: String) throws(RuntimeSpecError) -> RuntimeFields? {
        guard let value = value(key) else { return nil }
        return try RuntimeFields(value, path: name(key))
    }

    package func objects(_ key: String) throws(RuntimeSpecError) -> [RuntimeFields] {
        var result: [RuntimeFields] = []
        for (index, item) in try array(key).enumerated() {
            result.append(try RuntimeFields(item, path: "\(name(key))[\(index)]"))
        }
        return result
    }

    /// A map of texts in the document's order.
    package func stringMap(_ key: String) throws(RuntimeSpecError) -> [(name: String, value: String)] {
        guard let fields = try fields(key) else { return [] }
        var result: [(name: String, value: String)] = []
        for (name, value) in fields.object {
            if name.utf8.contains(0) { throw failure(key, "a name must not contain a NUL character") }
            result.append((name, try RuntimeFields.text(value, fields.name(name))))
        }
        return result
    }

    package func absolutePaths(_ key: String) throws(RuntimeSpecError) -> [String] {
        let paths = try strings(key)
        if let path = paths.first(where: { !$0.hasPrefix("/") }) {
            throw failure(key, "`\(path)` is not an absolute path")
        }
        return paths
    }
}

/// The grammar of container ids: a name that is also safe as a file's.
package enum RuntimeIdentifier {
    /// Letters, digits, `_`, `+`, `.` and `-`, 1 to 1024 of them, not starting with a dot.
    package static func problem(_ id: String) -> String? {
        if id.isEmpty { return "container ID must not be empty" }
        let isAllowed = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "."),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        // One path component: NAME_MAX is 255.
        if !isAllowed || id.hasPrefix(".") || id.utf8.count > 255 {
            return "invalid container ID: use 1 to 255 of the characters [A-Za-z0-9_+.-], and no leading dot"
        }
        return nil
    }
}
