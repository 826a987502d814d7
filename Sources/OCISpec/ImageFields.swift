// SPDX-License-Identifier: Apache-2.0
import JSON

/// Reads the fields of one JSON object with errors that name the document and the field.
///
/// Go writes an empty slice or map as null, so null and absent read alike; a wrong type is an error.
package struct ImageFields {
    package let object: JSONObject
    /// What people call the document: "image config", "manifest".
    package let document: String

    package init(_ json: JSON, document: String) throws(ImageSpecError) {
        guard let object = json.objectValue else { throw ImageSpecError("the \(document) is not a JSON object") }
        self.object = object
        self.document = document
    }

    private func wrongType(_ key: String, _ expected: String) -> ImageSpecError {
        ImageSpecError("\"\(key)\" in the \(document) is not \(expected)")
    }

    /// The value, or nil when it is absent or null.
    package func value(_ key: String) -> JSON? {
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    package func string(_ key: String) throws(ImageSpecError) -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.stringValue else { throw wrongType(key, "a string") }
        return text
    }

    package func requiredString(_ key: String) throws(ImageSpecError) -> String {
        guard let text = try string(key) else { throw ImageSpecError("the \(document) has no \"\(key)\"") }
        return text
    }

    package func digest(_ key: String) throws(ImageSpecError) -> Digest { try Digest(requiredString(key)) }

    package func int(_ key: String) throws(ImageSpecError) -> Int64? {
        guard let value = value(key) else { return nil }
        guard let number = value.intValue else { throw wrongType(key, "an integer") }
        return number
    }

    package func bool(_ key: String) throws(ImageSpecError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard let flag = value.boolValue else { throw wrongType(key, "true or false") }
        return flag
    }

    package func array(_ key: String) throws(ImageSpecError) -> [JSON]? {
        guard let value = value(key) else { return nil }
        guard let items = value.arrayValue else { throw wrongType(key, "an array") }
        return items
    }

    package func strings(_ key: String) throws(ImageSpecError) -> [String]? {
        guard let items = try array(key) else { return nil }
        var texts: [String] = []
        texts.reserveCapacity(items.count)
        for item in items {
            guard let text = item.stringValue else { throw wrongType(key, "an array of strings") }
            texts.append(text)
        }
        return texts
    }

    /// The keys of Go's `map[string]struct{}`, in the document's order.
    package func keySet(_ key: String) throws(ImageSpecError) -> [String] {
        guard let value = value(key) else { return [] }
        guard let object = value.objectValue else { throw wrongType(key, "an object") }
        return Array(object.keys)
    }

    package func stringMap(_ key: String) throws(ImageSpecError) -> [String: String] {
        guard let value = value(key) else { return [:] }
        guard let object = value.objectValue else { throw wrongType(key, "an object") }
        var map: [String: String] = [:]
        for (name, value) in object {
            guard let text = value.stringValue else { throw wrongType(key, "an object of strings") }
            map[name] = text
        }
        return map
    }
}

extension JSON {
    /// Go's `map[string]string`: keys sorted.
    package static func sortedMap(_ map: [String: String]) -> JSON {
        var object = JSONObject()
        for (key, value) in map.sorted(by: { $0.key < $1.key }) { object[key] = .string(value) }
        return .object(object)
    }

    package static func strings(_ items: [String]) -> JSON { .array(items.map { .string($0) }) }
}
