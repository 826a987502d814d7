// SPDX-License-Identifier: Apache-2.0

/// `eq` and `lt` of text/template. Integers and floating point compare with each other, unlike in Go, because JSON
/// does not tell them apart.
enum TemplateComparison {
    static func areEqual(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateError) -> Bool {
        switch (left, right) {
        case (.bool(let left), .bool(let right)): return left == right
        case (.string(let left), .string(let right)): return left == right
        case (.int(let left), .int(let right)): return left == right
        case (.double(let left), .double(let right)): return left == right
        case (.int(let integer), .double(let double)), (.double(let double), .int(let integer)):
            return Double(integer) == double
        case (.null, .null), (.missing, .missing), (.null, .missing), (.missing, .null): return true
        case (.null, _), (_, .null), (.missing, _), (_, .missing): return false
        case (.list, _), (.map, _), (.structure, _): throw TemplateError("non-comparable type \(left.typeName)")
        case (_, .list), (_, .map), (_, .structure): throw TemplateError("non-comparable type \(right.typeName)")
        default: throw TemplateError("incompatible types for comparison")
        }
    }

    /// Negative, zero or positive.
    static func order(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateError) -> Int {
        func sign<Value: Comparable>(_ left: Value, _ right: Value) -> Int { left < right ? -1 : left == right ? 0 : 1 }
        switch (left, right) {
        case (.string(let left), .string(let right)):
            // Bytewise, as Go orders strings.
            return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : left.utf8.elementsEqual(right.utf8) ? 0 : 1
        case (.int(let left), .int(let right)): return sign(left, right)
        case (.double(let left), .double(let right)): return sign(left, right)
        case (.int(let left), .double(let right)): return sign(Double(left), right)
        case (.double(let left), .int(let right)): return sign(left, Double(right))
        case (.bool, .bool), (.list, _), (.map, _), (.structure, _), (.null, _), (.missing, _):
            throw TemplateError("invalid type for comparison")
        default: throw TemplateError("incompatible types for comparison")
        }
    }
}
