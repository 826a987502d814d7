// SPDX-License-Identifier: Apache-2.0

import JSON

/// The functions a template can call: text/template's and those podman adds.
///
/// `and` and `or` are here for their names only: they stop at the first deciding argument, so the evaluator runs them.
enum TemplateFunctions {
    typealias Function = @Sendable ([TemplateValue]) throws(TemplateError) -> TemplateValue

    static let names: Set<String> = Set(table.keys).union(["and", "or"])

    static func call(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        guard let function = table[name] else { throw TemplateError("\(name) is not a function") }
        return try function(arguments)
    }

    private static let table: [String: Function] = [
        // text/template
        "not": { (arguments) throws(TemplateError) in .bool(!(try count(arguments, 1, "not")[0].isTrue)) },
        "eq": { (arguments) throws(TemplateError) in
            let arguments = try atLeast(arguments, 2, "eq")
            for other in arguments.dropFirst() where try TemplateComparison.areEqual(arguments[0], other) {
                return true
            }
            return false
        },
        "ne": { (arguments) throws(TemplateError) in
            let arguments = try count(arguments, 2, "ne")
            return .bool(!(try TemplateComparison.areEqual(arguments[0], arguments[1])))
        },
        "lt": { (arguments) throws(TemplateError) in .bool(try order(arguments, "lt") < 0) },
        "le": { (arguments) throws(TemplateError) in .bool(try order(arguments, "le") <= 0) },
        "gt": { (arguments) throws(TemplateError) in .bool(try order(arguments, "gt") > 0) },
        "ge": { (arguments) throws(TemplateError) in .bool(try order(arguments, "ge") >= 0) },
        "len": { (arguments) throws(TemplateError) in try length(count(arguments, 1, "len")[0]) },
        "index": { (arguments) throws(TemplateError) in
            let arguments = try atLeast(arguments, 1, "index")
            var value = arguments[0]
            for key in arguments.dropFirst() { value = try element(of: value, at: key) }
            return value
        },
        "slice": { (arguments) throws(TemplateError) in try slice(atLeast(arguments, 1, "slice")) },
        "print": { (arguments) throws(TemplateError) in .string(joined(arguments)) },
        "println": { (arguments) throws(TemplateError) in
            .string(arguments.map { GoFormat.text($0) }.joined(separator: " ") + "\n")
        },
        "printf": { (arguments) throws(TemplateError) in
            let arguments = try atLeast(arguments, 1, "printf")
            return .string(TemplatePrintf.format(try string(arguments[0]), Array(arguments.dropFirst())))
        },
        // podman
        "json": { (arguments) throws(TemplateError) in
            .string(try count(arguments, 1, "json")[0].json.serializedText())
        },
        "join": { (arguments) throws(TemplateError) in
            let arguments = try count(arguments, 2, "join")
            let elements = try list(arguments[0])
            return .string(elements.map { GoFormat.text($0) }.joined(separator: try string(arguments[1])))
        },
        "split": { (arguments) throws(TemplateError) in
            let arguments = try count(arguments, 2, "split")
            return .list(split(try string(arguments[0]), by: try string(arguments[1])))
        },
        "lower": { (arguments) throws(TemplateError) in
            .string(try string(count(arguments, 1, "lower")[0]).lowercased())
        },
        "upper": { (arguments) throws(TemplateError) in
            .string(try string(count(arguments, 1, "upper")[0]).uppercased())
        },
        "title": { (arguments) throws(TemplateError) in .string(titled(try string(count(arguments, 1, "title")[0]))) },
        "pad": { (arguments) throws(TemplateError) in
            let arguments = try count(arguments, 3, "pad")
            let text = try string(arguments[0])
            guard !text.isEmpty else { return "" }
            return .string(try spaces(arguments[1]) + text + spaces(arguments[2]))
        },
        "truncate": { (arguments) throws(TemplateError) in
            let arguments = try count(arguments, 2, "truncate")
            let length = try integer(arguments[1])
            guard length >= 0 else { throw TemplateError("truncate to the negative length \(length)") }
            return .string(String(try string(arguments[0]).unicodeScalars.prefix(length)))
        },
    ]

    // MARK: Arguments

    private static func count(
        _ arguments: [TemplateValue], _ wanted: Int, _ name: String
    ) throws(TemplateError) -> [TemplateValue] {
        guard arguments.count == wanted else {
            throw TemplateError("wrong number of args for \(name): want \(wanted) got \(arguments.count)")
        }
        return arguments
    }

    private static func atLeast(
        _ arguments: [TemplateValue], _ least: Int, _ name: String
    ) throws(TemplateError) -> [TemplateValue] {
        guard arguments.count >= least else {
            throw TemplateError("wrong number of args for \(name): want at least \(least) got \(arguments.count)")
        }
        return arguments
    }

    private static func mismatch(_ value: TemplateValue, _ expected: String) -> TemplateError {
        TemplateError("wrong type for value; expected \(expected); got \(value.typeName)")
    }

    private static func string(_ value: TemplateValue) throws(TemplateError) -> String {
        guard case .string(let text) = value else { throw mismatch(value, "string") }
        return text
    }

    private static func integer(_ value: TemplateValue) throws(TemplateError) -> Int {
        guard case .int(let number) = value else { throw mismatch(value, "int") }
        return Int(number)
    }

    private static func list(_ value: TemplateValue) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .list(let elements): return elements
        case .null, .missing: return []
        default: throw mismatch(value, "[]string")
        }
    }

    private static func order(_ arguments: [TemplateValue], _ name: String) throws(TemplateError) -> Int {
        let arguments = try count(arguments, 2, name)
        return try TemplateComparison.order(arguments[0], arguments[1])
    }

    private static func spaces(_ value: TemplateValue) throws(TemplateError) -> String {
        String(repeating: " ", count: min(max(0, try integer(value)), 10_000))
    }

    // MARK: Bodies

    private static func length(_ value: TemplateValue) throws(TemplateError) -> TemplateValue {
        switch value {
        case .string(let text): return .int(Int64(text.utf8.count))
        case .list(let elements): return .int(Int64(elements.count))
        case .map(let members): return .int(Int64(members.count))
        case .null, .missing: throw TemplateError("len of nil pointer")
        default: throw TemplateError("len of type \(value.typeName)")
        }
    }

    private static func element(of value: TemplateValue, at key: TemplateValue) throws(TemplateError) -> TemplateValue {
        switch value {
        case .list(let elements):
            let position = try integer(key)
            guard elements.indices.contains(position) else {
                throw TemplateError("index out of range: \(position)")
            }
            return elements[position]
        case .string(let text):
            let bytes = Array(text.utf8)
            let position = try integer(key)
            guard bytes.indices.contains(position) else { throw TemplateError("index out of range: \(position)") }
            return .int(Int64(bytes[position]))
        case .map(let members):
            if let member = members[try string(key)] { return member }
            // Go yields the zero value of the map's element type, and a map of strings is the common one (labels).
            let areStrings = members.values.allSatisfy { if case .string = $0 { true } else { false } }
            return areStrings ? "" : .missing
        case .null, .missing: throw TemplateError("index of untyped nil")
        default: throw TemplateError("can't index item of type \(value.typeName)")
        }
    }

    private static func slice(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        guard arguments.count <= 3 else {
            throw TemplateError("too many slice indexes: \(arguments.count - 1)")
        }
        func bounds(_ count: Int) throws(TemplateError) -> Range<Int> {
            let lower = arguments.count > 1 ? try integer(arguments[1]) : 0
            let upper = arguments.count > 2 ? try integer(arguments[2]) : count
            guard (0...count).contains(lower) else { throw TemplateError("index out of range: \(lower)") }
            guard (0...count).contains(upper) else { throw TemplateError("index out of range: \(upper)") }
            guard lower <= upper else { throw TemplateError("invalid slice index: \(lower) > \(upper)") }
            return lower..<upper
        }
        switch arguments[0] {
        case .list(let elements): return .list(Array(elements[try bounds(elements.count)]))
        case .string(let text):
            let bytes = Array(text.utf8)
            return .string(String(decoding: bytes[try bounds(bytes.count)], as: UTF8.self))
        default: throw TemplateError("can't slice item of type \(arguments[0].typeName)")
        }
    }

    /// fmt.Sprint: a space between two operands neither of which is a string.
    private static func joined(_ arguments: [TemplateValue]) -> String {
        var text = ""
        var previousIsString = true
        for argument in arguments {
            var isString = false
            if case .string = argument { isString = true }
            if !isString, !previousIsString { text += " " }
            text += GoFormat.text(argument)
            previousIsString = isString
        }
        return text
    }

    /// strings.Split: an empty separator splits into characters.
    private static func split(_ text: String, by separator: String) -> [TemplateValue] {
        guard !separator.isEmpty else { return text.unicodeScalars.map { .string(String($0)) } }
        let (bytes, separator) = (Array(text.utf8), Array(separator.utf8))
        var parts: [TemplateValue] = []
        var start = 0
        var position = 0
        while position + separator.count <= bytes.count {
            if bytes[position..<(position + separator.count)].elementsEqual(separator) {
                parts.append(.string(String(decoding: bytes[start..<position], as: UTF8.self)))
                position += separator.count
                start = position
            } else {
                position += 1
            }
        }
        parts.append(.string(String(decoding: bytes[start...], as: UTF8.self)))
        return parts
    }

    /// strings.Title: the first letter of each word in upper case, the others as they are.
    private static func titled(_ text: String) -> String {
        var result = ""
        var isInWord = false
        for character in text {
            result += isInWord ? String(character) : character.uppercased()
            isInWord = character.isLetter || character.isNumber || character == "_" || character == "'"
        }
        return result
    }
}
