// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Presentation

@Suite struct Timestamps {
    static let pod = Timestamp(seconds: 1_795_378_093, nanoseconds: 249_645_077)

    @Test func texts() {
        #expect(Self.pod.rfc3339() == "2026-11-22T20:08:13Z")
        #expect(Self.pod.rfc3339Nano() == "2026-11-22T20:08:13.249645077Z")
        #expect(Self.pod.rfc3339Nano(offsetSeconds: 7_200) == "2026-11-22T22:08:13.249645077+02:00")
        #expect(Self.pod.rfc3339(offsetSeconds: -12_600) == "2026-11-22T16:38:13-03:30")
        #expect(Self.pod.goText() == "2026-11-22 20:08:13.249645077 +0000 UTC")
        #expect(Self.pod.goText(offsetSeconds: 3_600, zoneName: "CET") == "2026-11-22 21:08:13.249645077 +0100 CET")
        #expect(Self.pod.goText(offsetSeconds: 3_600, zoneName: "") == "2026-11-22 21:08:13.249645077 +0100 +0100")
        #expect(Timestamp(seconds: 0, nanoseconds: 500_000_000).rfc3339Nano() == "1970-01-01T00:00:00.5Z")
        #expect(Timestamp(seconds: 0).goText() == "1970-01-01 00:00:00 +0000 UTC")
        #expect(Timestamp.zero.rfc3339Nano() == "0001-01-01T00:00:00Z")
        #expect(Timestamp(seconds: -1).rfc3339() == "1969-12-31T23:59:59Z")
    }

    @Test func carriesNanoseconds() {
        #expect(Timestamp(seconds: 1, nanoseconds: -1) == Timestamp(seconds: 0, nanoseconds: 999_999_999))
        #expect(Timestamp(seconds: 1, nanoseconds: 2_000_000_001) == Timestamp(seconds: 3, nanoseconds: 1))
        #expect(
            Self.pod.advanced(byNanoseconds: -250_000_000)
                == Timestamp(seconds: 1_795_378_092, nanoseconds: 999_645_077))
        #expect(Timestamp(seconds: 1, nanoseconds: 5) < Timestamp(seconds: 2))
    }

    /// Foundation's calendar is the independent implementation.
    @Test func agreesWithFoundation() throws {
        let seed = UInt64.random(in: .min ... .max)
        var source = SplitMix(state: seed)
        let formatter = ISO8601DateFormatter()
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        for _ in 0..<500 {
            // 1600 to 9999; Foundation switches to the Julian calendar before 1582.
            let seconds = Int64.random(in: -11_676_096_000...253_402_300_799, using: &source)
            let text = Timestamp(seconds: seconds).rfc3339()
            #expect(text == formatter.string(from: Date(timeIntervalSince1970: Double(seconds))), "seed \(seed)")
            #expect(try Timestamp(rfc3339: text).seconds == seconds, "seed \(seed)")
        }
    }

    @Test(arguments: [
        ("2026-11-22T20:08:13Z", 1_795_378_093, 0), ("2026-11-22T20:08:13.249645077Z", 1_795_378_093, 249_645_077),
        ("2026-11-22T22:08:13.5+02:00", 1_795_378_093, 500_000_000), ("2024-02-29T00:00:00-00:30", 1_709_166_600, 0),
        ("2026-11-22T20:08:13.1234567899Z", 1_795_378_093, 123_456_789),
    ])
    func readsRFC3339(text: String, seconds: Int64, nanoseconds: Int64) throws {
        #expect(try Timestamp(rfc3339: text) == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
    }

    @Test(arguments: [
        "", "2026-11-22", "2026-11-22T20:08:13", "2026-11-22T20:08Z", "2026-11-22 20:08:13Z", "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T20:60:00Z",
        "2026-11-22T20:08:60Z", "2026-11-22T20:08:13.Z", "2026-11-22T20:08:13+0200", "2026-11-22T20:08:13Zx",
        "2026-11-22t20:08:13z", "+026-11-22T20:08:13Z", "2026-11-22T20:08:13+24:00",
    ])
    func rejectsRFC3339(text: String) {
        #expect(throws: PresentationError.self) { try Timestamp(rfc3339: text) }
    }

    static let now = Timestamp(seconds: 1_800_000_000)

    @Test(arguments: [
        ("1795378093", 1_795_378_093, 0), ("1795378093.25", 1_795_378_093, 250_000_000), ("-1.5", -2, 500_000_000),
        ("10m", 1_799_999_400, 0), ("1h30m", 1_799_994_600, 0), ("1.5s", 1_799_999_998, 500_000_000),
        ("2026-11-22T20:08:13Z", 1_795_378_093, 0), ("2026-11-22T20:08:13", 1_795_374_493, 0),
        ("2026-11-22T20:08", 1_795_374_480, 0), ("2026-11-22", 1_795_302_000, 0), ("2026-11-22Z", 1_795_305_600, 0),
    ])
    func interprets(text: String, seconds: Int64, nanoseconds: Int64) throws {
        let value = try Timestamp.interpreting(text, now: Self.now, localOffsetSeconds: 3_600)
        #expect(value == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
    }

    @Test func futureDurations() throws {
        #expect(try Timestamp.interpreting("10m", now: Self.now, direction: .future).seconds == 1_800_000_600)
    }

    @Test(arguments: ["", "yesterday", "10", "1795378093.", "1.0000000001", "2026-11-31", "9223372036854775807", "1d"])
    func interpretsOrRefuses(text: String) throws {
        if text == "10" {
            #expect(try Timestamp.interpreting(text, now: Self.now).seconds == 10)
        } else {
            let error = #expect(throws: PresentationError.self) { try Timestamp.interpreting(text, now: Self.now) }
            #expect(error?.message.contains("\"\(text)\"") == true)
        }
    }
}
