// SPDX-License-Identifier: Apache-2.0

/// One challenge of a `WWW-Authenticate` header: RFC 9110, 11.6.1.
struct Challenge: Equatable {
    /// In lower case: `bearer`, `basic`.
    var scheme: String
    /// Names in lower case.
    var parameters: [String: String] = [:]

    /// All challenges of one header. A server may send several in one line, separated by commas like the parameters.
    static func parse(_ text: String) -> [Challenge] {
        var challenges: [Challenge] = []
        var rest = Array(text.utf8)[...]
        while true {
            skip(&rest) { $0 == UInt8(ascii: ",") || isSpace($0) }
            let word = take(&rest, while: isToken)
            if word.isEmpty { return challenges }
            skip(&rest, while: isSpace)
            if rest.first == UInt8(ascii: "="), !challenges.isEmpty {
                rest.removeFirst()
                skip(&rest, while: isSpace)
                challenges[challenges.count - 1].parameters[word.lowercased()] = value(&rest)
            } else {
                challenges.append(Challenge(scheme: word.lowercased()))
            }
        }
    }

    private static func value(_ rest: inout ArraySlice<UInt8>) -> String {
        guard rest.first == UInt8(ascii: "\"") else { return take(&rest, while: isToken) }
        rest.removeFirst()
        var bytes: [UInt8] = []
        while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
            if byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() {
                bytes.append(escaped)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func take(_ rest: inout ArraySlice<UInt8>, while test: (UInt8) -> Bool) -> String {
        let word = rest.prefix(while: test)
        rest = rest.dropFirst(word.count)
        return String(decoding: word, as: UTF8.self)
    }

    private static func skip(_ rest: inout ArraySlice<UInt8>, while test: (UInt8) -> Bool) {
        rest = rest.drop(while: test)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

    // RFC 9110, 5.6.2, and what unquoted values contain in practice.
    private static func isToken(_ byte: UInt8) -> Bool {
        byte > 32 && byte < 127 && byte != UInt8(ascii: ",") && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\"")
    }
}
