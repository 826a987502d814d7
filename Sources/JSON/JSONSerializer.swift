// SPDX-License-Identifier: Apache-2.0

/// Writes values the way Go's encoding/json does with HTML escaping off.
struct JSONSerializer {
    private(set) var output: [UInt8] = []
    private let indent: Int?

    init(indent: Int?) {
        self.indent = indent
    }

    mutating func write(_ value: JSON, depth: Int) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .int(let value): append(String(value))
        case .double(let value): append(Self.text(of: value))
        case .string(let value): write(string: value)
        case .array(let elements): write(elements, depth: depth)
        case .object(let object): write(object, depth: depth)
        }
    }

    private mutating func write(_ elements: [JSON], depth: Int) {
        guard !elements.isEmpty else { return append("[]") }
        output.append(UInt8(ascii: "["))
        for (position, element) in elements.enumerated() {
            if position > 0 { output.append(UInt8(ascii: ",")) }
            breakLine(depth + 1)
            write(element, depth: depth + 1)
        }
        breakLine(depth)
        output.append(UInt8(ascii: "]"))
    }

    private mutating func write(_ object: JSONObject, depth: Int) {
        guard !object.isEmpty else { return append("{}") }
        output.append(UInt8(ascii: "{"))
        var isFirst = true
        for (key, value) in object {
            if !isFirst { output.append(UInt8(ascii: ",")) }
            isFirst = false
            breakLine(depth + 1)
            write(string: key)
            append(indent == nil ? ":" : ": ")
            write(value, depth: depth + 1)
        }
        breakLine(depth)
        output.append(UInt8(ascii: "}"))
    }

    private mutating func breakLine(_ depth: Int) {
        guard let indent else { return }
        output.append(0x0A)
        output.append(contentsOf: repeatElement(0x20, count: indent * depth))
    }

    private mutating func append(_ text: String) {
        output.append(contentsOf: text.utf8)
    }

    // MARK: Strings

    private mutating func write(string: String) {
        output.append(UInt8(ascii: "\""))
        var text = string
        text.withUTF8 { bytes in
            var runStart = 0
            var index = 0
            while index < bytes.count {
                guard let (escape, length) = Self.escape(at: index, in: bytes) else {
                    index += 1
                    continue
                }
                output.append(contentsOf: bytes[runStart..<index])
                output.append(contentsOf: escape.utf8)
                index += length
                runStart = index
            }
            output.append(contentsOf: bytes[runStart...])
        }
        output.append(UInt8(ascii: "\""))
    }

    /// What replaces the character at `index` and how many bytes it takes; nil when it stands for itself.
    private static func escape(at index: Int, in bytes: UnsafeBufferPointer<UInt8>) -> (String, Int)? {
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: "\""): return ("\\\"", 1)
        case UInt8(ascii: "\\"): return ("\\\\", 1)
        case 0x08: return ("\\b", 1)
        case 0x09: return ("\\t", 1)
        case 0x0A: return ("\\n", 1)
        case 0x0C: return ("\\f", 1)
        case 0x0D: return ("\\r", 1)
        case 0..<0x20: return ((byte < 0x10 ? "\\u000" : "\\u00") + String(byte, radix: 16), 1)
        case 0xE2:
            // U+2028 and U+2029 end a line in JavaScript; Go escapes them whatever its settings.
            guard index + 2 < bytes.count, bytes[index + 1] == 0x80 else { return nil }
            if bytes[index + 2] == 0xA8 { return ("\\u2028", 3) }
            if bytes[index + 2] == 0xA9 { return ("\\u2029", 3) }
            return nil
        default: return nil
        }
    }

    // MARK: Numbers

    /// Shortest text that reads back as the same double: plain digits from 1e-6 up to 1e21, an exponent outside
    /// (Go's rule, taken from ECMAScript).
    static func text(of value: Double) -> String {
        guard value.isFinite else { return "null" }
        let parts = ShortestDecimal(value)
        guard parts.digits != [UInt8(ascii: "0")] else { return parts.sign + "0" }
        let digits = String(decoding: parts.digits, as: UTF8.self)
        let point = parts.pointPosition
        if value.magnitude < 1e-6 || value.magnitude >= 1e21 {
            let exponent = point - 1
            let mantissa = digits.count == 1 ? digits : "\(digits.prefix(1)).\(digits.dropFirst())"
            return "\(parts.sign)\(mantissa)e\(exponent < 0 ? "-" : "+")\(exponent.magnitude)"
        }
        if point <= 0 { return parts.sign + "0." + String(repeating: "0", count: -point) + digits }
        if point >= digits.count { return parts.sign + digits + String(repeating: "0", count: point - digits.count) }
        return "\(parts.sign)\(digits.prefix(point)).\(digits.dropFirst(point))"
    }
}
