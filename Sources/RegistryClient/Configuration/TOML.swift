// SPDX-License-Identifier: Apache-2.0
import JSON

/// What is wrong with a TOML document, and in which line.
struct TOMLError: Error, Equatable {
    var line: Int
    var reason: String
}

/// TOML 1.0 as configuration files of containers use it: tables, arrays of tables, dotted and quoted keys, strings,
/// integers, booleans, arrays, inline tables. Dates and floating-point numbers have no use there and are errors.
struct TOML {
    private var bytes: ArraySlice<UInt8>
    private var line = 1
    private var root = JSONObject()

    static func parse(_ bytes: [UInt8]) throws(TOMLError) -> JSONObject {
        var parser = TOML(bytes: bytes[...])
        try parser.document()
        return parser.root
    }

    private init(bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    private func failure(_ reason: String) -> TOMLError { TOMLError(line: line, reason: reason) }

    private mutating func document() throws(TOMLError) {
        var table: [String] = []
        while true {
            skipBlank()
            guard let byte = bytes.first else { return }
            if byte == UInt8(ascii: "[") {
                bytes.removeFirst()
                let isArray = bytes.first == UInt8(ascii: "[")
                if isArray { bytes.removeFirst() }
                table = try keys()
                for _ in 0..<(isArray ? 2 : 1) { try expect("]") }
                try declare(table, isArray: isArray)
            } else {
                let path = try keys()
                try expect("=")
                skipSpaces()
                let value = try value(depth: 0)
                guard TOML.insert(value, table + path, into: &root) else {
                    throw failure("the key \"\(path.joined(separator: "."))\" occurs twice")
                }
            }
            try endOfLine()
        }
    }

    // MARK: Tables

    private mutating func declare(_ path: [String], isArray: Bool) throws(TOMLError) {
        guard TOML.declare(path[...], isArray: isArray, in: &root) else {
            throw failure("[\(path.joined(separator: "."))] is something else above")
        }
    }

    private static func declare(_ path: ArraySlice<String>, isArray: Bool, in object: inout JSONObject) -> Bool {
        guard let key = path.first else { return false }
        if path.count > 1 {
            return descend(key, in: &object) { declare(path.dropFirst(), isArray: isArray, in: &$0) }
        }
        switch object[key] {
        case nil: object[key] = isArray ? .array([.object([:])]) : .object([:])
        case .array(let items)? where isArray: object[key] = .array(items + [.object([:])])
        case .object? where !isArray: break
        default: return false
        }
        return true
    }

    private static func insert(_ value: JSON, _ path: [String], into object: inout JSONObject) -> Bool {
        guard let key = path.first else { return false }
        if path.count > 1 {
            return descend(key, in: &object) { insert(value, Array(path.dropFirst()), into: &$0) }
        }
        if object[key] != nil { return false }
        object[key] = value
        return true
    }

    /// The table of this name, made if missing; of an array of tables, its last.
    private static func descend(
        _ key: String, in object: inout JSONObject, _ body: (inout JSONObject) -> Bool
    ) -> Bool {
        switch object[key] ?? .object([:]) {
        case .object(var inner):
            guard body(&inner) else { return false }
            object[key] = .object(inner)
        case .array(var items):
            guard case .object(var inner)? = items.last, body(&inner) else { return false }
            items[items.count - 1] = .object(inner)
            object[key] = .array(items)
        default: return false
        }
        return true
    }

    // MARK: Keys

    private mutating func keys() throws(TOMLError) -> [String] {
        var path: [String] = []
        while true {
            skipSpaces()
            path.append(try key())
            skipSpaces()
            guard bytes.first == UInt8(ascii: ".") else { return path }
            bytes.removeFirst()
        }
    }

    private mutating func key() throws(TOMLError) -> String {
        if bytes.first == UInt8(ascii: "\"") || bytes.first == UInt8(ascii: "'") { return try string() }
        let word = bytes.prefix { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        if word.isEmpty { throw failure("a key is missing") }
        bytes = bytes.dropFirst(word.count)
        return String(decoding: word, as: UTF8.self)
    }

    // MARK: Values

    private mutating func value(depth: Int) throws(TOMLError) -> JSON {
        if depth > 32 { throw failure("values are nested too deep") }
        switch bytes.first {
        case UInt8(ascii: "\"")?, UInt8(ascii: "'")?: return .string(try string())
        case UInt8(ascii: "[")?: return try array(depth: depth)
        case UInt8(ascii: "{")?: return try inlineTable(depth: depth)
        default:
            let word = String(
                decoding: bytes.prefix { $0 > 32 && !",]}#".utf8.contains($0) }, as: UTF8.self)
            bytes = bytes.dropFirst(word.utf8.count)
            if word == "true" { return true }
            if word == "false" { return false }
            if let number = Int64(word.filter { $0 != "_" }) { return .int(number) }
            throw failure(word.isEmpty ? "a value is missing" : "\"\(word)\" is not a string, a number, true or false")
        }
    }

    private mutating func array(depth: Int) throws(TOMLError) -> JSON {
        bytes.removeFirst()
        var items: [JSON] = []
        while true {
            skipBlank()
            if bytes.first == UInt8(ascii: "]") {
                bytes.removeFirst()
                return .array(items)
            }
            items.append(try value(depth: depth + 1))
            skipBlank()
            if bytes.first == UInt8(ascii: ",") {
                bytes.removeFirst()
            } else if bytes.first != UInt8(ascii: "]") {
                throw failure("an array does not end")
            }
        }
    }

    private mutating func inlineTable(depth: Int) throws(TOMLError) -> JSON {
        bytes.removeFirst()
        var object = JSONObject()
        skipSpaces()
        if bytes.first == UInt8(ascii: "}") {
            bytes.removeFirst()
            return .object(object)
        }
        while true {
            let path = try keys()
            try expect("=")
            skipSpaces()
            let value = try value(depth: depth + 1)
            guard TOML.insert(value, path, into: &object) else { throw failure("a key occurs twice in {}") }
            skipSpaces()
            if bytes.first == UInt8(ascii: ",") {
                bytes.removeFirst()
                continue
            }
            try expect("}")
            return .object(object)
        }
    }

    private mutating func string() throws(TOMLError) -> String {
        guard let quote = bytes.popFirst() else { throw failure("a string is missing") }
        var isMultiline = false
        if bytes.starts(with: [quote, quote]) {
            bytes = bytes.dropFirst(2)
            isMultiline = true
            if bytes.first == 13 { bytes.removeFirst() }
            if bytes.first == 10 {
                bytes.removeFirst()
                line += 1
            }
        }
        var result: [UInt8] = []
        while let byte = bytes.popFirst() {
            if byte == quote {
                if !isMultiline { return String(decoding: result, as: UTF8.self) }
                if bytes.starts(with: [quote, quote]) {
                    bytes = bytes.dropFirst(2)
                    return String(decoding: result, as: UTF8.self)
                }
                result.append(byte)
            } else if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                try escape(into: &result, isMultiline: isMultiline)
            } else if byte == 10 {
                if !isMultiline { break }
                line += 1
                result.append(byte)
            } else {
                result.append(byte)
            }
        }
        throw failure("a string does not end")
    }

    private mutating func escape(into result: inout [UInt8], isMultiline: Bool) throws(TOMLError) {
        guard let byte = bytes.popFirst() else { throw failure("a string does not end") }
        switch byte {
        case UInt8(ascii: "b"): result.append(8)
        case UInt8(ascii: "t"): result.append(9)
        case UInt8(ascii: "n"): result.append(10)
        case UInt8(ascii: "f"): result.append(12)
        case UInt8(ascii: "r"): result.append(13)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): result.append(byte)
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            let count = byte == UInt8(ascii: "u") ? 4 : 8
            let digits = String(decoding: bytes.prefix(count), as: UTF8.self)
            guard digits.utf8.count == count, let number = UInt32(digits, radix: 16), let scalar = UnicodeScalar(number)
            else { throw failure("\\\(count == 4 ? "u" : "U") needs \(count) hexadecimal digits of a character") }
            bytes = bytes.dropFirst(count)
            result += Array(String(Character(scalar)).utf8)
        case 10 where isMultiline:
            line += 1
            while let next = bytes.first, next == 32 || next == 9 || next == 10 || next == 13 {
                if next == 10 { line += 1 }
                bytes.removeFirst()
            }
        default: throw failure("unknown escape in a string")
        }
    }

    // MARK: Space

    private mutating func expect(_ character: Character) throws(TOMLError) {
        skipSpaces()
        guard let wanted = character.asciiValue, bytes.first == wanted else {
            throw failure("\"\(character)\" is missing")
        }
        bytes.removeFirst()
    }

    private mutating func skipSpaces() { bytes = bytes.drop { $0 == 32 || $0 == 9 } }

    /// Spaces, line ends and comments.
    private mutating func skipBlank() {
        while let byte = bytes.first {
            switch byte {
            case 32, 9, 13: bytes.removeFirst()
            case 10:
                bytes.removeFirst()
                line += 1
            case UInt8(ascii: "#"): bytes = bytes.drop { $0 != 10 }
            default: return
            }
        }
    }

    private mutating func endOfLine() throws(TOMLError) {
        skipSpaces()
        if bytes.first == UInt8(ascii: "#") { bytes = bytes.drop { $0 != 10 } }
        if bytes.first == 13 { bytes.removeFirst() }
        guard let byte = bytes.first else { return }
        if byte != 10 { throw failure("something follows the value") }
    }
}
