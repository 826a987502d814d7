// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import Testing

@Test(arguments: [0, 1, 9, 10, 15, 16, 35, 36, 0xcbf2_9ce4_8422_2325, .max] as [UInt64])
func digitsAreTheStandardLibrarys(value: UInt64) {
    for radix in [2, 10, 16, 36] { #expect(Digits.text(value, radix: UInt64(radix)) == String(value, radix: radix)) }
}
