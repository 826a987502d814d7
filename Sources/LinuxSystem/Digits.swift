// SPDX-License-Identifier: Apache-2.0

/// The digits of numbers in names of files.
public enum Digits {
    /// The same as `String(value, radix: radix)`, which is generic: its first use in a process instantiates the conformances
    /// of the integer type, and the four pages that are written for that stay in every monitor's memory.
    ///
    /// - Parameter radix: 2 to 36.
    public static func text(_ value: UInt64, radix: UInt64) -> String {
        var rest = value
        var length = 1
        while rest >= radix {
            rest /= radix
            length += 1
        }
        return String(unsafeUninitializedCapacity: length) { digits in
            rest = value
            for index in stride(from: length - 1, through: 0, by: -1) {
                let digit = UInt8(truncatingIfNeeded: rest % radix)
                digits[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                rest /= radix
            }
            return length
        }
    }
}
