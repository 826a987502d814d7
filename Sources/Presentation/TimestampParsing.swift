// SPDX-License-Identifier: Apache-2.0

extension Timestamp {
    /// Reads RFC 3339 (section 5.6) with up to nine digits of fraction; further digits are dropped.
    public init(rfc3339 text: String) throws(PresentationError) {
        var scanner = TimestampScanner(text)
        guard let value = scanner.scan(defaultOffset: nil) else {
            throw PresentationError("\(GoFormat.quoted(text)) is not an RFC 3339 time such as 2026-11-22T20:08:13Z")
        }
        self = value
    }

    /// Which way a duration counts from now.
    public enum Direction: Sendable {
        /// `--since 10m`: ten minutes ago.
        case past
        /// `--until 10m` where it means the future.
        case future
    }

    /// Reads what `--since` and `--until` take: RFC 3339 whose time, seconds and zone may be missing, Unix seconds
    /// with an optional fraction, or a Go duration relative to `now`.
    ///
    /// - Parameter localOffsetSeconds: east of UTC, for times without a zone.
    public static func interpreting(
        _ text: String, now: Timestamp, direction: Direction = .past, localOffsetSeconds: Int = 0
    ) throws(PresentationError) -> Timestamp {
        if let unix = unix(text) { return unix }
        var scanner = TimestampScanner(text)
        if let value = scanner.scan(defaultOffset: Int64(localOffsetSeconds)) { return value }
        guard let interval = try? GoDuration.nanoseconds(text), interval != .min else {
            throw PresentationError(
                "unable to interpret time value \(GoFormat.quoted(text)): "
                    + "use RFC 3339, seconds since the epoch, or a duration such as 1h30m")
        }
        return now.advanced(byNanoseconds: direction == .past ? -interval : interval)
    }

    private static func unix(_ text: String) -> Timestamp? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let seconds = Int64(first) else { return nil }
        // Years 0 to 9999, which every format here can print.
        guard (-62_167_219_200...253_402_300_799).contains(seconds) else { return nil }
        guard parts.count == 2 else { return Timestamp(seconds: seconds) }
        let fraction = parts[1]
        guard fraction.utf8.allSatisfy({ (0x30...0x39).contains($0) }), (1...9).contains(fraction.utf8.count),
            let digits = Int64(fraction + String(repeating: "0", count: 9 - fraction.utf8.count))
        else { return nil }
        return Timestamp(seconds: seconds, nanoseconds: text.hasPrefix("-") ? -digits : digits)
    }
}

/// Reads `YYYY-MM-DD[Thh[:mm[:ss[.fraction]]]][Z|±hh:mm]`.
private struct TimestampScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        rest = Substring(text).utf8
    }

    /// - Parameter defaultOffset: seconds east of UTC where the zone is missing; nil demands the full RFC 3339 form.
    mutating func scan(defaultOffset: Int64?) -> Timestamp? {
        let isFullForm = defaultOffset == nil
        guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2),
            (1...12).contains(month), (1...CivilTime.daysInMonth(month, year: year)).contains(day)
        else { return nil }
        var (hour, minute, second, nanoseconds) = (Int64(0), Int64(0), Int64(0), Int64(0))
        if take("T") {
            guard let value = number(2), value < 24 else { return nil }
            hour = value
            if take(":") {
                guard let value = number(2), value < 60 else { return nil }
                minute = value
                if take(":") {
                    guard let value = number(2), value < 60 else { return nil }
                    second = value
                    if take(".") {
                        guard let value = fraction() else { return nil }
                        nanoseconds = value
                    }
                } else if isFullForm {
                    return nil
                }
            } else if isFullForm {
                return nil
            }
        } else if isFullForm {
            return nil
        }
        guard let offset = rest.isEmpty ? defaultOffset : zone(), rest.isEmpty else { return nil }
        let days = CivilTime.days(year: year, month: month, day: day)
        return Timestamp(
            seconds: days * 86_400 + hour * 3600 + minute * 60 + second - offset, nanoseconds: nanoseconds)
    }

    private mutating func zone() -> Int64? {
        if take("Z") { return 0 }
        let isEast = take("+")
        guard isEast || take("-") else { return nil }
        guard let hours = number(2), hours < 24, take(":"), let minutes = number(2), minutes < 60 else { return nil }
        return (hours * 3600 + minutes * 60) * (isEast ? 1 : -1)
    }

    private mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var count = 0
        while let digit = number(1) {
            if count < 9 { value = value * 10 + digit }
            count += 1
        }
        guard count > 0 else { return nil }
        for _ in 0..<max(0, 9 - count) { value *= 10 }
        return value
    }

    private mutating func number(_ digits: Int) -> Int64? {
        var value: Int64 = 0
        var remaining = rest
        for _ in 0..<digits {
            guard let byte = remaining.popFirst(), (0x30...0x39).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        rest = remaining
        return value
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = rest.first, UInt32(byte) == character.value else { return false }
        rest.removeFirst()
        return true
    }
}
