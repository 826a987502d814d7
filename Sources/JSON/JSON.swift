// SPDX-License-Identifier: Apache-2.0

// Theory of operation
//
// A value tree (`JSON`) with an order-keeping object (`JSONObject`), one strict parser (`JSONParser`) and one
// serializer (`JSONSerializer`). Records, OCI documents and inspect output all go through these four types.
//
// - The parser accepts RFC 8259 and nothing else: no comments, no trailing commas, no byte order mark, no
//   unpaired surrogates, no invalid UTF-8, no numbers outside the range of `Double`.
// - Nesting is bounded by the caller's depth limit, so neither parsing nor releasing a parsed tree can exhaust
//   the stack on hostile input.
// - The serializer writes what Go's encoding/json writes with HTML escaping off, because that is what readers of
//   this output were written against.
// - Key comparison is Swift's: two keys that are canonically equivalent Unicode are one key.

/// A JSON value (RFC 8259 section 3).
///
/// Integers that fit 64 bits keep their exact value in `int`; every other number is a `double`.
public enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

/// Why bytes are not JSON.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Position of the offending byte, counted from 0.
    public let offset: Int
    /// One clause without the position, e.g. `unexpected end of input`.
    public let reason: String

    public init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }

    public var description: String { "invalid JSON at byte \(offset): \(reason)" }
}

extension JSON {
    /// Parses one JSON text (RFC 8259).
    ///
    /// - Parameters:
    ///   - bytes: the whole text in UTF-8, optionally surrounded by white space.
    ///   - depthLimit: how many arrays and objects may be open at once.
    /// - Returns: the value; the last of several members with the same name wins.
    /// - Throws: `JSONError` at the first byte that breaks the grammar or the limit.
    public static func parse(_ bytes: [UInt8], depthLimit: Int = 128) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes: bytes, depthLimit: depthLimit)
        return try parser.parseDocument()
    }

    /// Parses one JSON text held in a string.
    public static func parse(_ text: String, depthLimit: Int = 128) throws(JSONError) -> JSON {
        try parse(Array(text.utf8), depthLimit: depthLimit)
    }

    /// The value as UTF-8 text without a trailing line feed.
    ///
    /// - Parameter indent: spaces per level; nil writes everything on one line without spaces.
    ///   Empty arrays and objects are `[]` and `{}` in both forms. A double that is not finite has no JSON form
    ///   and is written as `null`.
    public func serialized(indent: Int? = nil) -> [UInt8] {
        var serializer = JSONSerializer(indent: indent)
        serializer.write(self, depth: 0)
        return serializer.output
    }

    /// `serialized(indent:)` as a string.
    public func serializedText(indent: Int? = nil) -> String {
        String(decoding: serialized(indent: indent), as: UTF8.self)
    }
}

extension JSON {
    /// The member with this name; nil when there is none or the value is not an object.
    public subscript(_ key: String) -> JSON? {
        guard case .object(let object) = self else { return nil }
        return object[key]
    }

    /// The element at this position; nil when out of range or the value is not an array.
    public subscript(_ index: Int) -> JSON? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    public var stringValue: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    /// The exact integer, also of a double without a fraction (`1e3`); nil otherwise.
    public var intValue: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// The number as a double, rounded where an integer exceeds 53 bits; nil for anything but numbers.
    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    public var arrayValue: [JSON]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    public var objectValue: JSONObject? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    public var isNull: Bool {
        guard case .null = self else { return false }
        return true
    }
}

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }

    public init(dictionaryLiteral elements: (String, JSON)...) {
        var object = JSONObject()
        for (key, value) in elements { object[key] = value }
        self = .object(object)
    }
}
