// SPDX-License-Identifier: Apache-2.0

/// The keys that leave a container's terminal and let it run on: podman's `--detach-keys`.
public struct DetachKeys: Equatable, Sendable {
    /// The bytes that the keys send; none: the user cannot detach.
    public let bytes: [UInt8]

    /// ctrl-p ctrl-q
    public static let standard = DetachKeys(bytes: [0x10, 0x11])

    /// The user cannot detach.
    public static let none = DetachKeys(bytes: [])

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// A comma-separated sequence of single characters and `ctrl-X`, X being a-z, @, [, \, ], ^ or _; or `DEL`. Empty:
    /// no keys.
    public init(_ text: String) throws(MonitorError) {
        if text.isEmpty {
            self.init(bytes: [])
            return
        }
        var bytes: [UInt8] = []
        for key in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let byte = DetachKeys.byte(key) else {
                throw MonitorError(
                    "invalid detach keys \"\(text)\": unknown key '\(key)', use a character or ctrl-<value>")
            }
            bytes.append(byte)
        }
        self.init(bytes: bytes)
    }

    private static func byte(_ key: Substring) -> UInt8? {
        let text = Array(key.utf8)
        if text.count == 1, text[0] >= 0x20, text[0] < 0x7F { return text[0] }
        if key == "DEL" { return 0x7F }
        guard text.count == 6, key.hasPrefix("ctrl-") else { return nil }
        switch text[5] {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): return text[5] - 0x60
        case UInt8(ascii: "@"), UInt8(ascii: "[")...UInt8(ascii: "_"): return text[5] - 0x40
        default: return nil
        }
    }
}

/// Finds detach keys in a stream of input, wherever chunks are split.
struct DetachMatcher {
    private let keys: [UInt8]
    /// The beginning of `keys`, typed and withheld until it is clear that the rest does not follow.
    private var withheld: [UInt8] = []

    init(_ keys: DetachKeys) { self.keys = keys.bytes }

    /// Appends to `passed` what is not part of the keys. True when the keys are complete; input after them is dropped.
    mutating func filter(_ input: UnsafeRawBufferPointer, into passed: inout [UInt8]) -> Bool {
        if keys.isEmpty {
            passed.append(contentsOf: input)
            return false
        }
        for byte in input {
            withheld.append(byte)
            while !withheld.isEmpty, !keys.starts(with: withheld) { passed.append(withheld.removeFirst()) }
            if withheld.count == keys.count { return true }
        }
        return false
    }

    /// What was withheld when the input ended.
    mutating func finish(into passed: inout [UInt8]) {
        passed.append(contentsOf: withheld)
        withheld = []
    }
}
