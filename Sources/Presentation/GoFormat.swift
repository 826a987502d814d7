// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON

/// How Go's fmt prints single values.
enum GoFormat {
    /// `%v`.
    static func text(_ value: TemplateValue) -> String {
        switch value {
        case .null: return "<nil>"
        case .missing: return "<no value>"
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return String(value)
        case .double(let value): return shortest(value)
        case .string(let value): return value
        case .list(let elements): return "[" + elements.map(text).joined(separator: " ") + "]"
        case .map(let members):
            let pairs = members.keys.sorted().map { "\($0):\(text(members[$0] ?? .null))" }
            return "map[" + pairs.joined(separator: " ") + "]"
        case .structure(let structure):
            return "{" + structure.fieldNames.map { text(structure.field($0) ?? .null) }.joined(separator: " ") + "}"
        }
    }

    /// The shortest digits that read back as the same double; an exponent below 1e-4 and from 1e21 on.
    static func shortest(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let parts = ShortestDecimal(value)
        let digits = String(decoding: parts.digits, as: UTF8.self)
        guard digits != "0" else { return parts.sign + "0" }
        let point = parts.pointPosition
        let exponent = point - 1
        if exponent < -4 || exponent >= 21 {
            let mantissa = digits.count == 1 ? digits : "\(digits.prefix(1)).\(digits.dropFirst())"
            let padding = exponent.magnitude < 10 ? "0" : ""
            return "\(parts.sign)\(mantissa)e\(exponent < 0 ? "-" : "+")\(padding)\(exponent.magnitude)"
        }
        if point <= 0 { return parts.sign + "0." + String(repeating: "0", count: -point) + digits }
        if point >= digits.count { return parts.sign + digits + String(repeating: "0", count: point - digits.count) }
        return "\(parts.sign)\(digits.prefix(point)).\(digits.dropFirst(point))"
    }

    /// `%.*f`, `%.*e` or `%.*g`, which C and Go write alike.
    ///
    /// - Parameters:
    ///   - verb: one of `e E f F g G`.
    ///   - precision: at most 300 digits are written.
    static func float(_ value: Double, verb: Character, precision: Int) -> String {
        guard value.isFinite else { return shortest(value) }
        // The longest double has 309 digits before the point.
        var buffer = [CChar](repeating: 0, count: 700)
        let written = withVaList([Int32(min(precision, 300)), value]) { arguments in
            vsnprintf(&buffer, buffer.count, "%.*\(verb)", arguments)
        }
        return String(decoding: buffer.prefix(max(0, Int(written))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// `%q`: double quotes, with backslash escapes for what does not print.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{7}": result += "\\a"
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{B}": result += "\\v"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                result += "\\x" + padded(String(scalar.value, radix: 16), 2)
            case _ where scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format:
                let hex = String(scalar.value, radix: 16)
                result += scalar.value <= 0xFFFF ? "\\u" + padded(hex, 4) : "\\U" + padded(hex, 8)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// `%#U`: `U+0021 '!'`.
    static func codePoint(_ byte: UInt8) -> String {
        let name = "U+" + padded(String(byte, radix: 16, uppercase: true), 4)
        return (0x20...0x7E).contains(byte) ? "\(name) '\(Character(Unicode.Scalar(byte)))'" : name
    }

    private static func padded(_ digits: String, _ width: Int) -> String {
        String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
