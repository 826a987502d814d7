// SPDX-License-Identifier: Apache-2.0

/// Exact durations in the form of Go's `time.Duration`, in nanoseconds.
public enum GoDuration {
    private static let units: [String: UInt64] = [
        "ns": 1, "us": 1_000, "\u{B5}s": 1_000, "\u{3BC}s": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
        "m": 60_000_000_000, "h": 3_600_000_000_000,
    ]

    /// The shortest Go form: `1h2m3s`, `1.5s`, `250ms`, `0s`.
    public static func text(nanoseconds: Int64) -> String {
        guard nanoseconds != 0 else { return "0s" }
        let sign = nanoseconds < 0 ? "-" : ""
        let total = nanoseconds.magnitude
        if total < 1_000 { return "\(sign)\(total)ns" }
        if total < 1_000_000 { return sign + decimal(total, scale: 1_000) + "\u{B5}s" }
        if total < 1_000_000_000 { return sign + decimal(total, scale: 1_000_000) + "ms" }
        let seconds = decimal(total % 60_000_000_000, scale: 1_000_000_000) + "s"
        let minutes = total / 60_000_000_000
        if minutes == 0 { return sign + seconds }
        if minutes < 60 { return "\(sign)\(minutes)m\(seconds)" }
        return "\(sign)\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }

    private static func decimal(_ value: UInt64, scale: UInt64) -> String {
        let fraction = value % scale
        guard fraction != 0 else { return String(value / scale) }
        var digits = String(scale + fraction).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(value / scale).\(digits)"
    }

    /// Reads `time.ParseDuration`'s form: signed decimal numbers with units `ns us µs ms s m h`, or `0`.
    ///
    /// - Returns: nanoseconds.
    /// - Throws: Go's message, e.g. `time: missing unit in duration "10"`.
    public static func nanoseconds(_ text: String) throws(PresentationError) -> Int64 {
        let invalid = PresentationError("time: invalid duration \(GoFormat.quoted(text))")
        var rest = Substring(text)
        let isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest.removeFirst() }
        if rest == "0" { return 0 }
        guard !rest.isEmpty else { throw invalid }
        var total: UInt64 = 0
        while !rest.isEmpty {
            let whole = rest.prefix { $0.isASCII && $0.isNumber }
            rest.removeFirst(whole.count)
            var fraction: Substring = ""
            if rest.first == "." {
                rest.removeFirst()
                fraction = rest.prefix { $0.isASCII && $0.isNumber }
                rest.removeFirst(fraction.count)
            }
            guard !whole.isEmpty || !fraction.isEmpty else { throw invalid }
            let unitName = String(rest.prefix { $0 != "." && !($0.isASCII && $0.isNumber) })
            rest.removeFirst(unitName.count)
            guard !unitName.isEmpty else {
                throw PresentationError("time: missing unit in duration \(GoFormat.quoted(text))")
            }
            guard let unit = units[unitName] else {
                throw PresentationError(
                    "time: unknown unit \(GoFormat.quoted(unitName)) in duration \(GoFormat.quoted(text))")
            }
            guard let count = whole.isEmpty ? 0 : UInt64(whole) else { throw invalid }
            let (product, overflows) = count.multipliedReportingOverflow(by: unit)
            // Eighteen digits are more than the largest unit has nanoseconds; the others cannot count.
            let share = (Double("0." + fraction.prefix(18)) ?? 0) * Double(unit)
            let (sum, sumOverflows) = product.addingReportingOverflow(UInt64(share))
            let (newTotal, totalOverflows) = total.addingReportingOverflow(sum)
            guard !overflows, !sumOverflows, !totalOverflows, newTotal <= Int64.min.magnitude else { throw invalid }
            total = newTotal
        }
        if isNegative { return Int64(truncatingIfNeeded: 0 &- total) }
        guard let result = Int64(exactly: total) else { throw invalid }
        return result
    }
}
