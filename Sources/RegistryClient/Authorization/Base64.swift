// SPDX-License-Identifier: Apache-2.0

/// RFC 4648, section 4.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var value = 0
            for index in 0..<3 { value = value << 8 | (index < group.count ? Int(group[start + index]) : 0) }
            for index in 0..<4 {
                let isPadding = index > group.count
                result.append(isPadding ? UInt8(ascii: "=") : alphabet[value >> (18 - 6 * index) & 63])
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Nil for anything that is not base64; missing padding is accepted, as some credential helpers write it.
    static func decode(_ text: String) -> [UInt8]? {
        var result: [UInt8] = []
        var (value, bits) = (0, 0)
        var isEnded = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: "=") {
                isEnded = true
                continue
            }
            guard !isEnded, let digit = alphabet.firstIndex(of: byte) else { return nil }
            value = (value << 6 | digit) & 0xffffff
            bits += 6
            if bits >= 8 {
                bits -= 8
                result.append(UInt8(value >> bits & 0xff))
            }
        }
        return bits >= 6 ? nil : result
    }
}
