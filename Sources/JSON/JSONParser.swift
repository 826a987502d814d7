// SPDX-License-Identifier: Apache-2.0

/// Recursive descent over the bytes of one JSON text.
///
/// Recursion happens only in `parseValue`, once per open array or object, and `depthLimit` bounds it.
struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    private var remainingDepth: Int

    init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        remainingDepth = depthLimit
    }

    mutating func parseDocument() throws(JSONError) -> JSON {
        let value = try parseValue()
        skipWhitespace()
        if position < bytes.count { throw unexpected() }
        return value
    }

    // MARK: Values

    private mutating func parseValue() throws(JSONError) -> JSON {
        skipWhitespace()
        guard position < bytes.count else { throw unexpected() }
        switch bytes[position] {
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: throw unexpected()
        }
    }

    private mutating func parseWord(_ word: String, _ value: JSON) throws(JSONError) -> JSON {
        for byte in word.utf8 {
            guard consume(byte) else { throw unexpected() }
        }
        return value
    }

    private mutating func enter() throws(JSONError) {
        guard remainingDepth > 0 else { throw failure("nested too deeply") }
        remainingDepth -= 1
        position += 1
    }

    private mutating func parseArray() throws(JSONError) -> JSON {
        try enter()
        defer { remainingDepth += 1 }
        var elements: [JSON] = []
        skipWhitespace()
        if consume(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try parseValue())
            skipWhitespace()
            if consume(UInt8(ascii: "]")) { return .array(elements) }
            guard consume(UInt8(ascii: ",")) else { throw unexpected() }
        }
    }

    private mutating func parseObject() throws(JSONError) -> JSON {
        try enter()
        defer { remainingDepth += 1 }
        var object = JSONObject()
        skipWhitespace()
        if consume(UInt8(ascii: "}")) { return .object(object) }
        while true {
            skipWhitespace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw unexpected() }
            let key = try parseString()
            skipWhitespace()
            guard consume(UInt8(ascii: ":")) else { throw unexpected() }
            object[key] = try parseValue()
            skipWhitespace()
            if consume(UInt8(ascii: "}")) { return .object(object) }
            guard consume(UInt8(ascii: ",")) else { throw unexpected() }
        }
    }

    // MARK: Numbers (RFC 8259 section 6)

    private mutating func parseNumber() throws(JSONError) -> JSON {
        let start = position
        let isNegative = consume(UInt8(ascii: "-"))
        var magnitude: UInt64 = 0
        var fits = true
        if !consume(UInt8(ascii: "0")) {
            guard let first = digit() else { throw unexpected() }
            magnitude = UInt64(first)
            position += 1
            while let next = digit() {
                let (product, productOverflow) = magnitude.multipliedReportingOverflow(by: 10)
                let (sum, sumOverflow) = product.addingReportingOverflow(UInt64(next))
                fits = fits && !productOverflow && !sumOverflow
                magnitude = sum
                position += 1
            }
        }
        var isInteger = true
        if consume(UInt8(ascii: ".")) {
            isInteger = false
            try skipDigits()
        }
        if consume(UInt8(ascii: "e")) || consume(UInt8(ascii: "E")) {
            isInteger = false
            if !consume(UInt8(ascii: "+")) { _ = consume(UInt8(ascii: "-")) }
            try skipDigits()
        }
        if isInteger, fits {
            // The wrapping negation of 2^63 is Int64.min, whose magnitude is exactly that.
            if isNegative, magnitude <= Int64.min.magnitude { return .int(Int64(truncatingIfNeeded: 0 &- magnitude)) }
            if !isNegative, magnitude <= Int64.max.magnitude { return .int(Int64(magnitude)) }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw JSONError(offset: start, reason: "number out of range")
        }
        return .double(value)
    }

    private func digit() -> UInt8? {
        guard position < bytes.count else { return nil }
        let value = bytes[position] &- UInt8(ascii: "0")
        return value <= 9 ? value : nil
    }

    private mutating func skipDigits() throws(JSONError) {
        guard digit() != nil else { throw unexpected() }
        while digit() != nil { position += 1 }
    }

    // MARK: Strings (RFC 8259 section 7)

    private mutating func parseString() throws(JSONError) -> String {
        position += 1
        let start = position
        var union: UInt8 = 0
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                defer { position += 1 }
                // ASCII needs no validation, which costs three times what copying does.
                if union < 0x80 { return String(decoding: bytes[start..<position], as: UTF8.self) }
                return try decode(bytes[start..<position], at: start)
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(from: start) }
            if byte < 0x20 { throw failure("control character in string") }
            union |= byte
            position += 1
        }
        throw failure("unterminated string")
    }

    /// The slow path: copies runs between escapes. `position` is at the first backslash.
    private mutating func parseEscapedString(from start: Int) throws(JSONError) -> String {
        var content = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try decode(content[...], at: start)
            case UInt8(ascii: "\\"): try parseEscape(into: &content)
            case 0..<0x20:
                position -= 1
                throw failure("control character in string")
            default: content.append(byte)
            }
        }
        throw failure("unterminated string")
    }

    private mutating func parseEscape(into content: inout [UInt8]) throws(JSONError) {
        guard position < bytes.count else { throw failure("unterminated string") }
        let letter = bytes[position]
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(letter)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"): content.append(contentsOf: String(try parseUnicodeEscape()).utf8)
        default:
            position -= 1
            throw failure("invalid escape")
        }
    }

    /// The scalar of `\uXXXX` or of a surrogate pair; `position` is behind the first `u`.
    private mutating func parseUnicodeEscape() throws(JSONError) -> Character {
        let start = position - 2
        let first = try parseHex4()
        var value = UInt32(first)
        if UTF16.isLeadSurrogate(first) {
            guard consume(UInt8(ascii: "\\")), consume(UInt8(ascii: "u")) else {
                throw JSONError(offset: start, reason: "unpaired surrogate")
            }
            let second = try parseHex4()
            guard UTF16.isTrailSurrogate(second) else { throw JSONError(offset: start, reason: "unpaired surrogate") }
            value = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw JSONError(offset: start, reason: "unpaired surrogate") }
        return Character(scalar)
    }

    private mutating func parseHex4() throws(JSONError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard position < bytes.count else { throw failure("unterminated string") }
            let byte = bytes[position]
            let nibble: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): nibble = byte - UInt8(ascii: "A") + 10
            default: throw failure("invalid \\u escape")
            }
            value = value << 4 | UInt16(nibble)
            position += 1
        }
        return value
    }

    private func decode(_ content: ArraySlice<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let text = String(validating: content, as: UTF8.self) else {
            throw JSONError(offset: start, reason: "string is not valid UTF-8")
        }
        return text
    }

    // MARK: Bytes

    private mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func consume(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private func failure(_ reason: String) -> JSONError { JSONError(offset: position, reason: reason) }

    private func unexpected() -> JSONError {
        guard position < bytes.count else { return failure("unexpected end of input") }
        let byte = bytes[position]
        guard (0x21...0x7E).contains(byte) else { return failure("unexpected byte 0x\(String(byte, radix: 16))") }
        return failure("unexpected character '\(Character(Unicode.Scalar(byte)))'")
    }
}
