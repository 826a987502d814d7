// SPDX-License-Identifier: Apache-2.0

/// The shortest decimal digits of a finite double: the value is 0.`digits` times ten to the `pointPosition`.
package struct ShortestDecimal {
    /// `-` or nothing.
    package let sign: String
    /// ASCII digits without leading or trailing zeros; a single `0` for zero.
    package let digits: [UInt8]
    package let pointPosition: Int

    /// Swift's `description` is shortest round-trip; only its layout differs from the one wanted.
    package init(_ value: Double) {
        sign = value.sign == .minus ? "-" : ""
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        let text = value.magnitude.description.utf8
        for (offset, byte) in text.enumerated() {
            if byte == UInt8(ascii: ".") {
                point = digits.count
            } else if byte == UInt8(ascii: "e") {
                exponent = Int(Substring(text.dropFirst(offset + 1))) ?? 0
                break
            } else {
                digits.append(byte)
            }
        }
        var position = (point ?? digits.count) + exponent
        let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leadingZeros)
        position -= leadingZeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        self.digits = digits.isEmpty ? [UInt8(ascii: "0")] : digits
        pointPosition = position
    }
}
