// SPDX-License-Identifier: Apache-2.0

/// The textual forms of flag values, with the messages of Go's strconv and encoding/csv.
enum FlagGrammar {
    /// Why `value` does not fit `kind`, in Go's words; nil when it does.
    static func problem(with value: String, as kind: Flag.Kind) -> String? {
        switch kind {
        case .string, .stringArray: return nil
        case .bool: return bool(value) == nil ? invalidSyntax("ParseBool", value) : nil
        case .count: return value == "+1" ? nil : problem(with: value, as: .int)
        case .float: return Double(value) == nil ? invalidSyntax("ParseFloat", value) : nil
        case .custom(_, let problem): return problem(value)
        case .int:
            switch integer(value, as: Int.self) {
            case .value: return nil
            case .invalidSyntax: return invalidSyntax("ParseInt", value)
            case .outOfRange: return "strconv.ParseInt: parsing \(quoted(value)): value out of range"
            }
        case .uint:
            guard value.utf8.first != UInt8(ascii: "-"), value.utf8.first != UInt8(ascii: "+") else {
                return invalidSyntax("ParseUint", value)
            }
            switch integer(value, as: UInt.self) {
            case .value: return nil
            case .invalidSyntax: return invalidSyntax("ParseUint", value)
            case .outOfRange: return "strconv.ParseUint: parsing \(quoted(value)): value out of range"
            }
        case .strings:
            do {
                _ = try commaSeparated(value)
                return nil
            } catch {
                return error.message
            }
        }
    }

    private static func invalidSyntax(_ function: String, _ value: String) -> String {
        "strconv.\(function): parsing \(quoted(value)): invalid syntax"
    }

    /// strconv.ParseBool.
    static func bool(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: nil
        }
    }

    enum IntegerResult<Value> {
        case value(Value)
        case invalidSyntax
        case outOfRange
    }

    /// A number as most are written: up to nine digits, none of them a leading zero.
    private static func plainDecimal(_ text: String) -> Int? {
        let bytes = text.utf8
        guard bytes.count <= 9, let first = bytes.first, first != UInt8(ascii: "0") || bytes.count == 1 else {
            return nil
        }
        var value = 0
        for byte in bytes {
            guard byte >= 48, byte <= 57 else { return nil }
            value = value * 10 + Int(byte - 48)
        }
        return value
    }

    /// strconv.ParseInt and ParseUint with base 0: the prefix selects the base, `_` may separate digits behind one.
    static func integer<Value: FixedWidthInteger>(_ text: String, as type: Value.Type) -> IntegerResult<Value> {
        if let plain = plainDecimal(text), let value = Value(exactly: plain) { return .value(value) }
        var digits = Substring(text)
        let isNegative = digits.first == "-"
        if isNegative || digits.first == "+" { digits.removeFirst() }
        let prefix = digits.prefix(2).lowercased()
        var radix = 10
        if let prefixed = ["0x": 16, "0o": 8, "0b": 2][prefix] {
            radix = prefixed
            digits.removeFirst(2)
        } else if digits.count > 1, digits.first == "0" {
            radix = 8
            digits.removeFirst()
        }
        if radix != 10 {
            guard digits.last != "_", !digits.contains("__") else { return .invalidSyntax }
            digits.removeAll { $0 == "_" }
        }
        let areDigits = digits.utf8.allSatisfy { byte in
            Character(Unicode.Scalar(byte)).hexDigitValue.map { $0 < radix } ?? false
        }
        guard !digits.isEmpty, areDigits else { return .invalidSyntax }
        guard let value = Value((isNegative ? "-" : "") + digits, radix: radix) else { return .outOfRange }
        return .value(value)
    }

    /// One record of comma-separated values as encoding/csv reads it: a field that starts with a quote ends with
    /// one and doubles those inside; a quote anywhere else is an error. Empty text is no items.
    static func commaSeparated(_ text: String) throws(ArgumentError) -> [String] {
        guard !text.isEmpty else { return [] }
        let bytes = Array(text.utf8)
        let quote = UInt8(ascii: "\"")
        let comma = UInt8(ascii: ",")
        var items: [String] = []
        var position = 0
        func failure(_ reason: String, at position: Int) -> ArgumentError {
            ArgumentError("parse error on line 1, column \(position + 1): \(reason)")
        }
        while true {
            var item: [UInt8] = []
            if position < bytes.count, bytes[position] == quote {
                position += 1
                while true {
                    guard position < bytes.count else {
                        throw failure("extraneous or missing \" in quoted-field", at: position)
                    }
                    if bytes[position] != quote {
                        item.append(bytes[position])
                        position += 1
                    } else if position + 1 < bytes.count, bytes[position + 1] == quote {
                        item.append(quote)
                        position += 2
                    } else {
                        position += 1
                        break
                    }
                }
                guard position == bytes.count || bytes[position] == comma else {
                    throw failure("extraneous or missing \" in quoted-field", at: position - 1)
                }
            } else {
                while position < bytes.count, bytes[position] != comma {
                    guard bytes[position] != quote else { throw failure("bare \" in non-quoted field", at: position) }
                    item.append(bytes[position])
                    position += 1
                }
            }
            items.append(String(decoding: item, as: UTF8.self))
            guard position < bytes.count else { return items }
            position += 1
        }
    }
}
