// SPDX-License-Identifier: Apache-2.0

/// Number literals: decimal, `0x`, `0o`, `0b` and floating point, with `_` between digits.
enum TemplateNumber {
    static func value(of text: String) -> TemplateValue? {
        guard !text.hasSuffix("_"), !text.contains("__") else { return nil }
        var digits = Substring(text)
        let isNegative = digits.first == "-"
        if isNegative || digits.first == "+" { digits.removeFirst() }
        guard let first = digits.first, first.isNumber || first == "." else { return nil }
        let sign = isNegative ? "-" : ""
        if let radix = ["0x": 16, "0o": 8, "0b": 2][digits.prefix(2).lowercased()] {
            let body = digits.dropFirst(2).filter { $0 != "_" }
            guard body.first?.isHexDigit == true else { return nil }
            return Int64(sign + body, radix: radix).map { .int($0) }
        }
        let body = digits.filter { $0 != "_" }
        if let value = Int64(sign + body) { return .int(value) }
        return Double(sign + body).map { .double($0) }
    }
}
