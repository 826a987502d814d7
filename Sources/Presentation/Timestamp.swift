// SPDX-License-Identifier: Apache-2.0

/// A point in time with nanosecond resolution.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    public let seconds: Int64
    /// 0..<1_000_000_000.
    public let nanoseconds: Int32

    /// Go's zero time, year 1; what podman prints for `never`.
    public static let zero = Timestamp(seconds: -62_135_596_800)

    /// - Parameter nanoseconds: any amount; whole seconds are carried over.
    public init(seconds: Int64, nanoseconds: Int64 = 0) {
        let billion: Int64 = 1_000_000_000
        let remainder = ((nanoseconds % billion) + billion) % billion
        self.seconds = seconds + (nanoseconds - remainder) / billion
        self.nanoseconds = Int32(remainder)
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// The time this many nanoseconds later, or earlier when negative.
    public func advanced(byNanoseconds interval: Int64) -> Timestamp {
        Timestamp(
            seconds: seconds + interval / 1_000_000_000, nanoseconds: Int64(nanoseconds) + interval % 1_000_000_000)
    }

    // MARK: Text

    /// RFC 3339 without a fraction: `2026-11-22T20:08:13Z`, `2026-11-22T22:08:13+02:00`.
    ///
    /// - Parameter offsetSeconds: the zone's distance east of UTC.
    public func rfc3339(offsetSeconds: Int = 0) -> String {
        let civil = CivilTime(seconds + Int64(offsetSeconds))
        return civil.date + "T" + civil.time + Self.zone(offsetSeconds)
    }

    /// RFC 3339 with as many digits of the fraction as there are, as Go's `RFC3339Nano`.
    public func rfc3339Nano(offsetSeconds: Int = 0) -> String {
        let civil = CivilTime(seconds + Int64(offsetSeconds))
        return civil.date + "T" + civil.time + fraction + Self.zone(offsetSeconds)
    }

    /// Go's `Time.String()`: `2026-11-22 20:08:13.249645077 +0000 UTC`.
    ///
    /// - Parameter zoneName: the zone's abbreviation; empty repeats the offset, as Go does for nameless zones.
    public func goText(offsetSeconds: Int = 0, zoneName: String = "UTC") -> String {
        let civil = CivilTime(seconds + Int64(offsetSeconds))
        let offset = Self.offset(offsetSeconds, separator: "")
        return "\(civil.date) \(civil.time)\(fraction) \(offset) \(zoneName.isEmpty ? offset : zoneName)"
    }

    private var fraction: String {
        guard nanoseconds != 0 else { return "" }
        var digits = String(1_000_000_000 + nanoseconds).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return ".\(digits)"
    }

    private static func zone(_ offset: Int) -> String {
        offset == 0 ? "Z" : Self.offset(offset, separator: ":")
    }

    private static func offset(_ offset: Int, separator: String) -> String {
        let minutes = Int64(offset.magnitude / 60)
        return (offset < 0 ? "-" : "+") + twoDigits(minutes / 60) + separator + twoDigits(minutes % 60)
    }
}

/// Date and time of day in the proleptic Gregorian calendar.
struct CivilTime {
    let year: Int64
    let month: Int64
    let day: Int64
    let secondOfDay: Int64

    init(_ seconds: Int64) {
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        // Years counted from March put the leap day last, so a 400-year era of 146,097 days divides evenly.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        secondOfDay = rest
    }

    /// Days since 1970-01-01 of a valid date.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let era = (marchYear >= 0 ? marchYear : marchYear - 399) / 400
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    static func daysInMonth(_ month: Int64, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// `2026-11-22`.
    var date: String {
        let digits = String(year.magnitude)
        let padding = String(repeating: "0", count: max(0, 4 - digits.count))
        return "\(year < 0 ? "-" : "")\(padding)\(digits)-\(twoDigits(month))-\(twoDigits(day))"
    }

    /// `20:08:13`.
    var time: String {
        "\(twoDigits(secondOfDay / 3600)):\(twoDigits(secondOfDay / 60 % 60)):\(twoDigits(secondOfDay % 60))"
    }
}

private func twoDigits(_ value: Int64) -> String { value < 10 ? "0\(value)" : String(value) }
