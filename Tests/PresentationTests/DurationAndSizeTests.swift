// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Presentation

@Suite struct Durations {
    @Test(
        arguments: [
            (-5, "Less than a second"), (0, "Less than a second"), (1, "1 second"), (8, "8 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"), (119, "About a minute"), (120, "2 minutes"), (45 * 60, "45 minutes"),
            (3599, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"),
            (7200, "2 hours"),
            (47 * 3600, "47 hours"), (48 * 3600, "2 days"), (3 * 86_400, "3 days"), (13 * 86_400, "13 days"),
            (14 * 86_400, "2 weeks"), (59 * 86_400, "8 weeks"), (60 * 86_400, "2 months"), (150 * 86_400, "5 months"),
            (729 * 86_400, "24 months"), (730 * 86_400, "2 years"), (3_650 * 86_400, "10 years"),
        ] as [(Int64, String)])
    func human(seconds: Int64, text: String) {
        #expect(HumanDuration.text(seconds: seconds) == text)
    }

    static let exact: [(Int64, String)] = [
        (0, "0s"), (1, "1ns"), (1_100, "1.1\u{B5}s"), (2_200_000, "2.2ms"), (3_300_000_000, "3.3s"),
        (9_090_909_033, "9.090909033s"), (60_000_000_000, "1m0s"), (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"), (5_400_000_000_000, "1h30m0s"), (3_723_000_000_000, "1h2m3s"),
        (-1_500_000_000, "-1.5s"), (.max, "2562047h47m16.854775807s"), (.min, "-2562047h47m16.854775808s"),
    ]

    @Test(arguments: exact) func goDuration(nanoseconds: Int64, text: String) throws {
        #expect(GoDuration.text(nanoseconds: nanoseconds) == text)
        #expect(try GoDuration.nanoseconds(text) == nanoseconds)
    }

    @Test(
        arguments: [
            ("1h30m", 5_400_000_000_000), ("+5s", 5_000_000_000), (".5s", 500_000_000), ("1.s", 1_000_000_000),
            ("1us", 1_000), ("1\u{3BC}s", 1_000), ("1m0.5s", 60_500_000_000), ("0", 0), ("-0", 0),
            ("3h3h", 21_600_000_000_000),
        ] as [(String, Int64)])
    func goDurationForms(text: String, nanoseconds: Int64) throws {
        #expect(try GoDuration.nanoseconds(text) == nanoseconds)
    }

    @Test(arguments: [
        ("", #"time: invalid duration """#), ("3", #"time: missing unit in duration "3""#),
        ("1d", #"time: unknown unit "d" in duration "1d""#), ("-", #"time: invalid duration "-""#),
        ("s", #"time: invalid duration "s""#), (".s", #"time: invalid duration ".s""#),
        ("1 h", #"time: unknown unit " h" in duration "1 h""#), ("+-1s", #"time: invalid duration "+-1s""#),
        ("9223372036854775808ns", #"time: invalid duration "9223372036854775808ns""#),
        ("3000000h", #"time: invalid duration "3000000h""#),
        ("99999999999999999999s", #"time: invalid duration "99999999999999999999s""#),
    ])
    func malformedGoDuration(text: String, message: String) {
        #expect(throws: PresentationError(message)) { try GoDuration.nanoseconds(text) }
    }
}

@Suite struct Sizes {
    @Test(
        arguments: [
            (0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (1_234, "1.23 kB"), (1_200, "1.2 kB"), (4_500_000, "4.5 MB"),
            (149_300_000, "149 MB"), (999_950, "1 MB"), (1_048_576, "1.05 MB"), (25_280_000_000, "25.3 GB"),
            (.max, "9.22 EB"),
        ] as [(Int64, String)])
    func decimal(bytes: Int64, text: String) {
        #expect(HumanSize.text(bytes: bytes) == text)
    }

    @Test func otherForms() {
        #expect(HumanSize.text(bytes: 25_280_000_000, precision: 4, separator: "") == "25.28GB")
        #expect(HumanSize.binaryText(bytes: 1_572_864) == "1.5MiB")
        #expect(HumanSize.binaryText(bytes: 1_023) == "1023B")
    }
}
