// SPDX-License-Identifier: Apache-2.0

/// Go's `fmt.Sprintf` for the values templates have.
///
/// Verbs: `v s q d t f F e E g G x X o b c U T %` with the flags `- + # 0 space`, a width and a precision, either of
/// which may be `*`. Mismatches are written into the result as Go does (`%!d(string=x)`), not thrown.
struct TemplatePrintf {
    private var arguments: ArraySlice<TemplateValue>
    private var output = ""

    /// Widths are clipped here, so that a format cannot ask for gigabytes of spaces.
    private static let widthLimit = 10_000

    static func format(_ format: String, _ arguments: [TemplateValue]) -> String {
        var printf = TemplatePrintf(arguments: arguments[...])
        printf.run(format)
        return printf.output
    }

    private init(arguments: ArraySlice<TemplateValue>) {
        self.arguments = arguments
    }

    private struct Directive {
        var isLeftAligned = false
        var hasPlus = false
        var isAlternate = false
        var isZeroPadded = false
        var hasSpace = false
        var width = 0
        var precision: Int?
    }

    private mutating func run(_ format: String) {
        var rest = format.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                output.unicodeScalars.append(scalar)
                continue
            }
            var directive = readFlags(&rest)
            if let width = readNumber(&rest) {
                directive.isLeftAligned = directive.isLeftAligned || width < 0
                directive.width = min(abs(width), Self.widthLimit)
            }
            if rest.first == "." {
                rest.removeFirst()
                directive.precision = min(max(0, readNumber(&rest) ?? 0), Self.widthLimit)
            }
            guard let verb = rest.popFirst() else {
                output += "%!(NOVERB)"
                return
            }
            if verb == "%" {
                output += "%"
            } else if let argument = arguments.popFirst() {
                append(text(argument, Character(verb), directive), directive, argument)
            } else {
                output += "%!\(verb)(MISSING)"
            }
        }
        guard !arguments.isEmpty else { return }
        let extra = arguments.map { argument in
            if case .null = argument { return "<nil>" }
            return "\(argument.typeName)=\(GoFormat.text(argument))"
        }
        output += "%!(EXTRA " + extra.joined(separator: ", ") + ")"
    }

    private func readFlags(_ rest: inout Substring.UnicodeScalarView) -> Directive {
        var directive = Directive()
        while let flag = rest.first {
            switch flag {
            case "-": directive.isLeftAligned = true
            case "+": directive.hasPlus = true
            case "#": directive.isAlternate = true
            case "0": directive.isZeroPadded = true
            case " ": directive.hasSpace = true
            default: return directive
            }
            rest.removeFirst()
        }
        return directive
    }

    private mutating func readNumber(_ rest: inout Substring.UnicodeScalarView) -> Int? {
        if rest.first == "*" {
            rest.removeFirst()
            guard case .int(let value)? = arguments.popFirst() else { return nil }
            return Int(value.clamped(to: -Int64(Self.widthLimit)...Int64(Self.widthLimit)))
        }
        var value: Int?
        while let digit = rest.first, ("0"..."9").contains(digit) {
            rest.removeFirst()
            value = min((value ?? 0) * 10 + Int(digit.value - 0x30), Self.widthLimit)
        }
        return value
    }

    /// Pads; zeros go behind the sign of a number and never to the right.
    private mutating func append(_ text: String, _ directive: Directive, _ argument: TemplateValue) {
        let missing = max(0, directive.width - text.unicodeScalars.count)
        if directive.isLeftAligned {
            output += text + String(repeating: " ", count: missing)
        } else if directive.isZeroPadded {
            let sign = text.prefix { argument.isNumber && ($0 == "-" || $0 == "+") }
            output += sign + String(repeating: "0", count: missing) + text.dropFirst(sign.count)
        } else {
            output += String(repeating: " ", count: missing) + text
        }
    }

    private func text(_ value: TemplateValue, _ verb: Character, _ directive: Directive) -> String {
        switch (verb, value) {
        case ("T", _): return value.typeName
        case ("v", .string(let text)) where directive.isAlternate: return GoFormat.quoted(text)
        case ("v", .double), ("v", .int): return signed(GoFormat.text(value), directive)
        case ("v", _): return GoFormat.text(value)
        case (_, .list(let elements)) where "sqdxXt".contains(verb):
            return "[" + elements.map { text($0, verb, directive) }.joined(separator: " ") + "]"
        case ("s", .string(let text)): return clipped(text, directive)
        case ("s", .structure), ("s", .map): return GoFormat.text(value)
        case ("q", .string(let text)): return GoFormat.quoted(clipped(text, directive))
        case ("q", .int(let value)): return "'\(character(value))'"
        case ("x", .string(let text)), ("X", .string(let text)):
            return text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: verb == "X") }.joined()
        case ("t", .bool): return GoFormat.text(value)
        case ("c", .int(let value)): return character(value)
        case ("U", .int(let value)):
            let digits = String(value, radix: 16, uppercase: true)
            return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        case ("d", .int(let value)): return signed(String(value), directive)
        case ("b", .int(let value)): return signed(String(value, radix: 2), directive)
        case ("o", .int(let value)): return prefixed(value, 8, directive.isAlternate ? "0" : "", false, directive)
        case ("x", .int(let value)): return prefixed(value, 16, directive.isAlternate ? "0x" : "", false, directive)
        case ("X", .int(let value)): return prefixed(value, 16, directive.isAlternate ? "0X" : "", true, directive)
        case (_, .double(let value)) where "feEgGF".contains(verb):
            let isShortest = directive.precision == nil && "gG".contains(verb)
            let digits =
                isShortest
                ? GoFormat.shortest(value) : GoFormat.float(value, verb: verb, precision: directive.precision ?? 6)
            return signed(verb == "G" ? digits.uppercased() : digits, directive)
        case (_, .null): return "%!\(verb)(<nil>)"
        default: return "%!\(verb)(\(value.typeName)=\(GoFormat.text(value)))"
        }
    }

    private func signed(_ digits: String, _ directive: Directive) -> String {
        if digits.hasPrefix("-") || digits.hasPrefix("+") { return digits }
        return (directive.hasPlus ? "+" : directive.hasSpace ? " " : "") + digits
    }

    private func prefixed(
        _ value: Int64, _ radix: Int, _ prefix: String, _ isUppercase: Bool, _ directive: Directive
    ) -> String {
        let digits = String(value.magnitude, radix: radix, uppercase: isUppercase)
        return signed((value < 0 ? "-" : "") + prefix + digits, directive)
    }

    private func clipped(_ text: String, _ directive: Directive) -> String {
        guard let precision = directive.precision else { return text }
        return String(text.unicodeScalars.prefix(precision))
    }

    private func character(_ value: Int64) -> String {
        String(Character(UInt32(exactly: value).flatMap { Unicode.Scalar($0) } ?? "\u{FFFD}"))
    }
}

extension TemplateValue {
    fileprivate var isNumber: Bool {
        switch self {
        case .int, .double: true
        default: false
        }
    }
}

extension Int64 {
    fileprivate func clamped(to range: ClosedRange<Int64>) -> Int64 {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}
