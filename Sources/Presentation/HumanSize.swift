// SPDX-License-Identifier: Apache-2.0

/// Sizes with a unit, as go-units writes them.
public enum HumanSize {
    private static let decimalUnits = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    private static let binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// Powers of 1000: `149 MB`, `4.5 MB`, `1.2 kB`, `0 B`.
    ///
    /// - Parameters:
    ///   - precision: significant digits; `images` uses 3, `stats` 4.
    ///   - separator: between number and unit; `images` uses a space, `stats` and `ps --size` nothing.
    public static func text(bytes: Int64, precision: Int = 3, separator: String = " ") -> String {
        text(bytes, 1000, decimalUnits, precision, separator)
    }

    /// Powers of 1024: `1.5GiB`.
    public static func binaryText(bytes: Int64, precision: Int = 4, separator: String = "") -> String {
        text(bytes, 1024, binaryUnits, precision, separator)
    }

    private static func text(
        _ bytes: Int64, _ base: Double, _ units: [String], _ precision: Int, _ separator: String
    ) -> String {
        var size = Double(bytes)
        var unit = 0
        while size.magnitude >= base, unit < units.count - 1 {
            size /= base
            unit += 1
        }
        var number = GoFormat.float(size, verb: "g", precision: precision)
        // Rounding can reach the next unit (999.9 kB with three digits); go-units prints `1e+03kB` there.
        if number.contains("e"), unit < units.count - 1 {
            unit += 1
            number = GoFormat.float(size / base, verb: "g", precision: precision)
        }
        return number + separator + units[unit]
    }
}
