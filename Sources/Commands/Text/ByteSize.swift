// SPDX-License-Identifier: Apache-2.0

/// Sizes with a unit as flags take them: go-units' `RAMInBytes`, powers of 1024.
enum ByteSize {
    /// Bytes in `512`, `64k`, `64K`, `1.5g`, `10MiB`, `10mb`; nil for anything else.
    static func bytes(_ text: String) -> Int64? {
        let lower = text.lowercased()
        let number = lower.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard !number.isEmpty, let value = Double(number), value.isFinite else { return nil }
        var unit = lower.dropFirst(number.count)
        if unit.first == " " { unit.removeFirst() }
        let factor: Double
        switch unit {
        case "", "b": factor = 1
        case "k", "kb", "kib": factor = 1024
        case "m", "mb", "mib": factor = 1_048_576
        case "g", "gb", "gib": factor = 1_073_741_824
        case "t", "tb", "tib": factor = 1_099_511_627_776
        case "p", "pb", "pib": factor = 1_125_899_906_842_624
        default: return nil
        }
        let bytes = value * factor
        return bytes < 9.2e18 ? Int64(bytes) : nil
    }
}
