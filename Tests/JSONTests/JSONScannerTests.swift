// SPDX-License-Identifier: Apache-2.0
import JSON
import Testing

@Suite struct JSONScannerTests {
    private static func found(_ text: String, _ path: [StaticString] = ["a", "b"]) -> String? {
        let bytes = Array(text.utf8)
        return JSON.range(of: path, in: bytes).map { String(decoding: bytes[$0], as: UTF8.self) }
    }

    @Test(
        arguments: [
            (#"{"a":{"b":1}}"#, "1"),
            (#" { "x" : [ {"a":{"b":2}} ], "a" : { "c":"}", "b" : [1,"]"] } } "#, #"[1,"]"]"#),
            (#"{"a":{"c\\":{},"b":"\\\""}}"#, #""\\\"""#), (#"{"a":{"b":true}}"#, "true"),
        ])
    func aValueIsFoundByItsPath(text: String, value: String) { #expect(Self.found(text) == value) }

    @Test(
        arguments: [
            "", "{", "[]", "1", #"{"a"}"#, #"{"a":{}}"#, #"{"a":{"b"#, #"{"a":{"b":"#, #"{"a":{"b":[1"#,
            #"{"a":{"b":"x"#,
            #"{"a":1,"c":{"b":1}}"#, #"{"a":[{"b":1}]}"#, #"{"a":{"bb":1}}"#, #"{"b":1}"#,
        ])
    func whatIsNotThereIsNotFound(text: String) { #expect(Self.found(text) == nil, "\(text)") }
}
