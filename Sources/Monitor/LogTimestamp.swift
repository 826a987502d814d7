// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// A moment in a log, and the UTC offset it is written with.
struct LogTimestamp {
    var moment: Timestamp
    /// Local time minus UTC, in seconds.
    var utcOffset: Int32

    init(_ moment: Timestamp, utcOffset: Int32 = 0) {
        self.moment = moment
        self.utcOffset = utcOffset
    }

    /// Now, in local time.
    static func now() -> LogTimestamp {
        let moment = Timestamp.now
        return LogTimestamp(moment, utcOffset: moment.localOffset)
    }

    /// How UTC itself is written: `+00:00` in k8s-file logs, `Z` everywhere else.
    enum UTCStyle { case numeric, letter }

    /// Appends RFC 3339 with nine fraction digits: "2026-11-22T20:08:17.123456789+00:00".
    func append(to bytes: inout [UInt8], utc: UTCStyle) {
        let local = moment.seconds + Int64(utcOffset)
        let dayNumber = LogTimestamp.floorDivide(local, 86400)
        let second = Int(local - dayNumber * 86400)
        let date = LogTimestamp.civil(dayNumber)
        LogTimestamp.append(Int(date.year), width: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        LogTimestamp.append(date.month, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        LogTimestamp.append(date.day, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        LogTimestamp.append(second / 3600, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        LogTimestamp.append(second / 60 % 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        LogTimestamp.append(second % 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "."))
        LogTimestamp.append(Int(moment.nanoseconds), width: 9, to: &bytes)
        if utcOffset == 0, utc == .letter {
            bytes.append(UInt8(ascii: "Z"))
            return
        }
        let minutes = Int(abs(utcOffset)) / 60
        bytes.append(utcOffset < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        LogTimestamp.append(minutes / 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        LogTimestamp.append(minutes % 60, width: 2, to: &bytes)
    }

    /// Reads RFC 3339 (§5.6) with up to nine fraction digits; nil for anything else.
    init?(_ text: some Collection<UInt8>) {
        var digits = Scanner(text)
        guard let year = digits.number(4), digits.skip("-"), let month = digits.number(2), digits.skip("-"),
            let day = digits.number(2), digits.skip("T") || digits.skip("t"), let hour = digits.number(2),
            digits.skip(":"), let minute = digits.number(2), digits.skip(":"), let second = digits.number(2),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var fraction: Int64 = 0
        if digits.skip(".") {
            var count = 0
            while let digit = digits.number(1) {
                if count == 9 { return nil }
                fraction = fraction * 10 + digit
                count += 1
            }
            if count == 0 { return nil }
            while count < 9 {
                fraction *= 10
                count += 1
            }
        }
        var offset: Int64 = 0
        if !digits.skip("Z"), !digits.skip("z") {
            let isNegative = digits.skip("-")
            guard isNegative || digits.skip("+"), let hours = digits.number(2), digits.skip(":"),
                let minutes = digits.number(2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 3600 + minutes * 60) * (isNegative ? -1 : 1)
        }
        guard digits.isAtEnd else { return nil }
        let days = LogTimestamp.dayNumber(year: year, month: month, day: day)
        moment = Timestamp(
            seconds: days * 86400 + hour * 3600 + minute * 60 + second - offset, nanoseconds: Int32(fraction))
        utcOffset = Int32(offset)
    }

    private struct Scanner<Text: Collection<UInt8>> {
        var rest: Text.SubSequence
        init(_ text: Text) { rest = text[...] }
        var isAtEnd: Bool { rest.isEmpty }

        mutating func number(_ count: Int) -> Int64? {
            var value: Int64 = 0
            var ahead = rest
            for _ in 0..<count {
                guard let byte = ahead.popFirst(), byte >= 0x30, byte <= 0x39 else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            rest = ahead
            return value
        }

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest = rest.dropFirst()
            return true
        }
    }

    private static func append(_ value: Int, width: Int, to bytes: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        var rest = value
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest / divisor % 10))
            rest %= divisor
            divisor /= 10
        }
    }

    private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((b - 1 - a) / b) }

    // Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap day is
    // the last of its year and months follow a pattern of 153 days in five.
    private static func dayNumber(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ dayNumber: Int64) -> (year: Int64, month: Int, day: Int) {
        let shifted = dayNumber + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = Int(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
        let month = Int((monthFromMarch + 2) % 12 + 1)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
