// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import JSON

@Suite struct JSONParsing {
    static let valid: [(String, JSON)] = [
        ("null", nil), (" true\n", true), ("false", false), ("0", 0), ("-0", 0), ("42", 42),
        ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
        ("9223372036854775808", .double(9_223_372_036_854_775_808)),
        ("-9223372036854775809", .double(-9_223_372_036_854_775_808)),
        ("123456789012345678901234567890", .double(123_456_789_012_345_677_877_719_597_056)),
        ("1.5", 1.5), ("1e3", .double(1000)), ("1E+3", .double(1000)), ("25e-2", 0.25), ("-0.0", .double(-0.0)),
        (#""""#, ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"),
        (#""\u00e9\u20AC""#, "é€"), (#""\ud83d\ude00x""#, "😀x"), (#""e\u0301""#, "e\u{301}"), (#""é😀""#, "é😀"),
        (#""\u0000""#, "\0"), (#""\u000a""#, "\n"),
        ("[]", []), ("[ ]", []), ("[1 , [2],{}]", [1, [2], [:]]),
        (#"{"a":1,"b":{"c":[null]}}"#, ["a": 1, "b": ["c": [nil]]]),
        (#"{"a":1,"b":2,"a":3}"#, ["a": 3, "b": 2]),
    ]

    @Test(arguments: valid) func acceptsGrammar(text: String, value: JSON) throws {
        #expect(try JSON.parse(text) == value)
    }

    static let invalid: [(String, Int)] = [
        ("", 0), ("  ", 2), ("nul", 3), ("nulL", 3), ("truex", 4), ("1 2", 2), ("[1,]", 3), ("[1", 2), ("[,1]", 1),
        ("{", 1), (#"{"a"}"#, 4), (#"{"a":}"#, 5), (#"{"a":1,}"#, 7), ("{a:1}", 1), (#"{"a":1 "b":2}"#, 7),
        ("01", 1), ("-", 1), ("+1", 0), (".5", 0), ("1.", 2), ("1.e3", 2), ("1e", 2), ("1e+", 3), ("0x10", 1),
        ("NaN", 0), ("Infinity", 0), ("1e999", 0), ("-1e999", 0),
        (#"""#, 1), (#""abc"#, 4), ("\"a\nb\"", 2), ("\"\\n\u{1}\"", 3), (#""\x""#, 2), (#""\u12""#, 5),
        (#""\u12G4""#, 5), (#""\"#, 2), (#""\ud83d""#, 1), (#""\ud83dA""#, 1), (#""\ud83d\u0041""#, 1),
        (#""\ude00""#, 1), ("\u{FEFF}1", 0), ("// x\n1", 0), ("'a'", 0), ("]", 0), ("[1}", 2),
    ]

    @Test(arguments: invalid) func rejects(text: String, offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSON.parse(text) }
        #expect(error?.offset == offset)
    }

    static let invalidUTF8: [[UInt8]] = [
        [0x80], [0xC0, 0xAF], [0xC3], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xFF],
    ]

    @Test(arguments: invalidUTF8) func rejectsInvalidUTF8(content: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        #expect(throws: JSONError(offset: 1, reason: "string is not valid UTF-8")) {
            try JSON.parse([quote] + content + [quote])
        }
        #expect(throws: JSONError.self) { try JSON.parse(Array(#""\n"#.utf8) + content + [quote]) }
        #expect(throws: JSONError.self) { try JSON.parse(content) }
    }

    @Test func boundsDepth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try JSON.parse(nested(128)) }
        #expect(throws: JSONError(offset: 128, reason: "nested too deeply")) { try JSON.parse(nested(129)) }
        #expect(throws: JSONError(offset: 2, reason: "nested too deeply")) { try JSON.parse("[[[]]]", depthLimit: 2) }
        #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) { try JSON.parse(String(repeating: #"{"a":"#, count: 1_000_000)) }
        // Depth counts what is open at once, not what was opened.
        #expect(throws: Never.self) { try JSON.parse("[[],[],{}]", depthLimit: 2) }
    }

    @Test func namesThePlace() {
        let error = #expect(throws: JSONError.self) { try JSON.parse(#"{"a": ?}"#) }
        #expect(error?.description == "invalid JSON at byte 6: unexpected character '?'")
    }

    @Test func largeObjectWithRepeatedKeysIsLinear() throws {
        let text = "{" + (0..<40_000).map { #""k\#($0 % 20_000)":\#($0)"# }.joined(separator: ",") + "}"
        let value = try JSON.parse(text)
        #expect(value.objectValue?.count == 20_000)
        #expect(value["k7"] == 20_007)
    }
}

@Suite struct JSONSerializing {
    @Test func compact() {
        let value: JSON = ["z": 1, "a": [true, nil, "x"], "e": [:], "f": [], "s": "<&>"]
        #expect(value.serializedText() == #"{"z":1,"a":[true,null,"x"],"e":{},"f":[],"s":"<&>"}"#)
    }

    @Test func indented() {
        let value: JSON = [["Id": "x", "Empty": [], "Map": [:], "List": [1, 2]]]
        #expect(
            value.serializedText(indent: 5) == """
                [
                     {
                          "Id": "x",
                          "Empty": [],
                          "Map": {},
                          "List": [
                               1,
                               2
                          ]
                     }
                ]
                """)
    }

    @Test func escapes() {
        let value: JSON = "\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}\u{2028}\u{2029}\u{2027}é"
        #expect(
            value.serializedText()
                == #""\"\\/\b\f\n\r\t\u0001\u001f"# + "\u{7f}" + #"\u2028\u2029"# + "\u{2027}é\"")
    }

    /// Expected texts are what Go 1.23's json.Marshal prints for the same float64.
    static let doubles: [(Double, String)] = [
        (0, "0"), (-0.0, "-0"), (1, "1"), (-1.5, "-1.5"), (0.1, "0.1"), (100, "100"), (123456.789, "123456.789"),
        (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.5e300, "1.5e+300"), (0.000001, "0.000001"),
        (0.0000001, "1e-7"), (1.25e-9, "1.25e-9"), (.leastNonzeroMagnitude, "5e-324"),
        (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
        (.infinity, "null"), (.nan, "null"),
    ]

    @Test(arguments: doubles) func numbers(value: Double, text: String) {
        #expect(JSON.double(value).serializedText() == text)
    }

    @Test func roundTripOfRandomTrees() throws {
        let seed = UInt64.random(in: .min ... .max)
        var source = SeededGenerator(state: seed)
        for _ in 0..<400 {
            let value = randomValue(depth: 4, &source)
            for indent in [nil, 0, 2, 5] {
                #expect(try JSON.parse(value.serialized(indent: indent)) == value, "seed \(seed)")
            }
        }
    }

    @Test func mutatedTextNeverTraps() throws {
        let seed = UInt64.random(in: .min ... .max)
        var source = SeededGenerator(state: seed)
        for _ in 0..<400 {
            let value = randomValue(depth: 3, &source)
            var bytes = value.serialized()
            for _ in 0..<3 where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &source)] = UInt8.random(in: .min ... .max, using: &source)
            }
            // Whatever survives the mutation must survive a round trip, too.
            if let survivor = try? JSON.parse(bytes), !survivor.holdsIntegralDouble {
                #expect(try JSON.parse(survivor.serialized()) == survivor, "seed \(seed)")
            }
        }
    }

    private func randomValue(depth: Int, _ source: inout SeededGenerator) -> JSON {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &source) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &source))
        case 2: return .int(Int64.random(in: .min ... .max, using: &source))
        case 3:
            // An integral double is written as an integer and would read back as one.
            let value = Double(bitPattern: UInt64.random(in: .min ... .max, using: &source))
            return value.isFinite && Int64(exactly: value) == nil ? .double(value) : .double(0.5)
        case 4, 5: return .string(randomText(&source))
        case 6:
            return .array(
                (0..<Int.random(in: 0..<5, using: &source)).map { _ in randomValue(depth: depth - 1, &source) })
        default:
            var object = JSONObject()
            for _ in 0..<Int.random(in: 0..<40, using: &source) {
                object[randomText(&source)] = randomValue(depth: depth - 2, &source)
            }
            return .object(object)
        }
    }

    private func randomText(_ source: inout SeededGenerator) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0..<12, using: &source) {
            let limit: UInt32 = Bool.random(using: &source) ? 0x7F : 0x10FFFF
            if let scalar = Unicode.Scalar(UInt32.random(in: 0...limit, using: &source)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension JSON {
    fileprivate var holdsIntegralDouble: Bool {
        switch self {
        case .double(let value): Int64(exactly: value) != nil
        case .array(let elements): elements.contains { $0.holdsIntegralDouble }
        case .object(let object): object.contains { $0.value.holdsIntegralDouble }
        default: false
        }
    }
}

/// SplitMix64: reproducible from the printed seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct JSONAccess {
    @Test func accessors() {
        let value: JSON = ["s": "x", "i": 7, "d": 2.5, "b": true, "a": [1], "o": ["k": nil]]
        #expect(value["s"]?.stringValue == "x")
        #expect(value["i"]?.intValue == 7)
        #expect(value["i"]?.doubleValue == 7)
        #expect(value["d"]?.intValue == nil)
        #expect(JSON.double(1000).intValue == 1000)
        #expect(value["b"]?.boolValue == true)
        #expect(value["a"]?[0] == 1)
        #expect(value["a"]?[1] == nil)
        #expect(value["o"]?["k"]?.isNull == true)
        #expect(value["missing"] == nil)
        #expect(JSON.string("x")["s"] == nil)
    }

    @Test(arguments: [3, 16, 17, 100]) func objectKeepsOrderAndForgets(count: Int) {
        var object = JSONObject()
        for index in 0..<count { object["k\(index)"] = .int(Int64(index)) }
        object["k1"] = "replaced"
        object["k0"] = nil
        object["absent"] = nil
        #expect(object.keys == (1..<count).map { "k\($0)" })
        #expect(object["k1"] == "replaced")
        #expect(object["k0"] == nil)
        #expect(object["k\(count - 1)"] == (count == 2 ? "replaced" : .int(Int64(count - 1))))
        object["k0"] = .null
        #expect(object.keys.last == "k0")
        #expect(object["k0"] == .null)
    }

    @Test func equalityIgnoresOrder() {
        let left: JSONObject = ["a": 1, "b": 2]
        let right: JSONObject = ["b": 2, "a": 1]
        #expect(left == right)
        #expect(left != ["a": 1, "b": 3])
        #expect(left != ["a": 1])
    }
}
