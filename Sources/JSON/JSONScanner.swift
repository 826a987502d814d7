// SPDX-License-Identifier: Apache-2.0

extension JSON {
    /// Where the value at `path` (keys from the document's object down) stands in a JSON text; nil when it is not
    /// there, or when the text is not JSON on the way to it.
    ///
    /// Finds a large part of a document that may not be needed, without making anything of it: only strings and
    /// brackets are looked at, so that what is found still has to be parsed. Keys are compared as they are written, and
    /// the first of several equal ones is taken. O(length), no allocation, no recursion.
    public static func range(of path: [StaticString], in bytes: [UInt8]) -> Range<Int>? {
        var scanner = JSONScanner(bytes: bytes)
        for key in path {
            guard scanner.enter(key) else { return nil }
        }
        let start = scanner.position
        return scanner.skipValue() ? start..<scanner.position : nil
    }
}

/// Steps over JSON values by their brackets and quotes.
private struct JSONScanner {
    private let bytes: [UInt8]
    private(set) var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Moves from the brace that opens an object to the value of its member `key`.
    mutating func enter(_ key: StaticString) -> Bool {
        skipWhitespace()
        guard consume(UInt8(ascii: "{")) else { return false }
        while true {
            skipWhitespace()
            let start = position + 1
            guard skipString() else { return false }
            let end = position - 1
            skipWhitespace()
            guard consume(UInt8(ascii: ":")) else { return false }
            skipWhitespace()
            if equals(start, end, key) { return true }
            guard skipValue() else { return false }
            skipWhitespace()
            guard consume(UInt8(ascii: ",")) else { return false }
        }
    }

    mutating func skipValue() -> Bool {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                guard skipString() else { return false }
                if depth == 0 { return true }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                // Of a number or word at the outermost level this is the end already.
                if depth == 0 { return true }
                depth -= 1
                position += 1
                if depth == 0 { return true }
            case UInt8(ascii: ","):
                if depth == 0 { return true }
                position += 1
            default: position += 1
            }
        }
        return false
    }

    private mutating func skipString() -> Bool {
        guard consume(UInt8(ascii: "\"")) else { return false }
        while position < bytes.count {
            let byte = bytes[position]
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return true }
        }
        return false
    }

    private mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func consume(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private func equals(_ start: Int, _ end: Int, _ key: StaticString) -> Bool {
        guard end - start == key.utf8CodeUnitCount else { return false }
        for index in 0..<key.utf8CodeUnitCount where bytes[start + index] != key.utf8Start[index] { return false }
        return true
    }
}
