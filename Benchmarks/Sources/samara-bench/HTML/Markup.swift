// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Text as markup: nothing in it is an element.
func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
        switch character {
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "&": result += "&amp;"
        case "\"": result += "&quot;"
        case "'": result += "&#39;"
        default: result.unicodeScalars.append(character)
        }
    }
    return result
}

/// A position in per cent, which SVG takes for x, so that a drawing is as wide as there is room without its text or
/// dots being stretched.
func percent(_ fraction: Double) -> String { String(format: "%.2f%%", fraction * 100) }

/// The axis of a plot: where a value lies between its ends, and which values are written at it.
struct Axis {
    let lower: Double
    let upper: Double
    let isLogarithmic: Bool

    /// From zero, or, when the values span more than a factor of `span`, logarithmic.
    ///
    /// - Parameter values: what must fit; zero or less never makes an axis logarithmic.
    init(_ values: [Double], span: Double = 12, fromZero: Bool = true) {
        let least = values.min() ?? 0
        let most = max(values.max() ?? 1, 1e-9)
        isLogarithmic = least > 0 && most / least > span
        if isLogarithmic {
            lower = least / 1.15
            upper = most * 1.15
        } else {
            lower = fromZero ? min(0, least) : least
            upper = most * 1.06
        }
    }

    /// From 0 to 1; values outside lie at the ends.
    func position(_ value: Double) -> Double {
        let fraction =
            isLogarithmic
            ? (log(max(value, lower)) - log(lower)) / (log(upper) - log(lower)) : (value - lower) / (upper - lower)
        return min(1, max(0, fraction))
    }

    /// Round values, a few.
    var ticks: [Double] {
        if isLogarithmic {
            let decades = Int(floor(log10(lower)))...Int(ceil(log10(upper)))
            // Three to a decade where there are few decades.
            let steps: [Double] = upper / lower > 300 ? [1] : [1, 2, 5]
            return decades.flatMap { decade in steps.map { $0 * pow(10, Double(decade)) } }.filter {
                $0 >= lower && $0 <= upper
            }
        }
        let rough = (upper - lower) / 4
        let magnitude = pow(10, floor(log10(rough)))
        let step = [1, 2, 5, 10].map { $0 * magnitude }.first { $0 >= rough * 0.99 } ?? rough
        return stride(from: (lower / step).rounded(.up) * step, through: upper, by: step).map { $0 }
    }

    static func label(_ value: Double) -> String {
        switch abs(value) {
        case 1e6...: String(format: "%gM", value / 1e6)
        case 1e4...: String(format: "%gk", value / 1e3)
        default: String(format: "%g", (value * 1e6).rounded() / 1e6)
        }
    }
}

extension MetricReport.Subject {
    /// Samara, limits and peers look different everywhere: class names of the style sheet.
    var style: String { role.rawValue }

    /// Without the tail of a version that is a whole sentence, as Debian's of pasta; tables have it in full.
    var shortName: String { name.count <= 20 ? name : String(name.prefix(19)) + "…" }
}
