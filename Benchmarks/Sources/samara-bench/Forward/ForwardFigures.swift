// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a load's client printed, as figures.
extension ForwardLoad {
    /// The figures, and how much was done: GB, or operations.
    func figures(_ output: String) throws -> (values: [(Metric, Double)], amount: Double) {
        if case .http = kind { return try httpFigures(output) }
        guard let object = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any] else {
            throw BenchError("the client printed no JSON object")
        }
        func number(_ key: String) -> Double? { (object[key] as? NSNumber)?.doubleValue }
        switch kind {
        case .throughput:
            guard let end = object["end"] as? [String: Any], let received = end["sum_received"] as? [String: Any],
                let bits = (received["bits_per_second"] as? NSNumber)?.doubleValue,
                let bytes = (received["bytes"] as? NSNumber)?.doubleValue, bytes > 0
            else { throw BenchError("iperf3: \(object["error"] as? String ?? "nothing was received")") }
            return ([(metric("rate", "Gbit/s"), bits / 1e9)], bytes / 1e9)
        case .stream:
            guard let bytes = number("bytes"), let seconds = number("seconds"), bytes > 0 else {
                throw BenchError("nothing was sent")
            }
            return ([(metric("rate", "Gbit/s"), bytes * 8 / 1e9 / seconds)], bytes / 1e9)
        case .roundTrips, .refusal:
            guard let count = number("count"), count > 0, let p50 = number("p50"), let p99 = number("p99"),
                let p999 = number("p999"), number("errors") == 0
            else { throw BenchError("nothing was completed, or something else happened") }
            let times = [(metric("p50", "p50 us"), p50 / 1e3), (metric("p99", "p99 us"), p99 / 1e3)]
            if case .refusal = kind { return (times, count) }
            return (times + [(metric("p999", "p99.9 us"), p999 / 1e3)], count)
        default:
            guard let count = number("count"), count > 0, let p50 = number("p50"), let p99 = number("p99"),
                let seconds = number("seconds"), let errors = number("errors")
            else { throw BenchError("no connection was completed") }
            return (
                [
                    (metric("rate", "/s"), count / seconds), (metric("p50", "p50 us"), p50 / 1e3),
                    (metric("p99", "p99 us"), p99 / 1e3), (metric("errors", "errors"), errors),
                ], count
            )
        }
    }

    private func metric(_ suffix: String, _ unit: String) -> Metric {
        Metric(id: "\(id)-\(suffix)", title: "\(title) \(unit)")
    }

    /// wrk prints for people: "  99%    1.23ms", "Requests/sec:  12345.67", and lines on errors only if there are any.
    private func httpFigures(_ output: String) throws -> (values: [(Metric, Double)], amount: Double) {
        var (rate, p99, errors, count): (Double?, Double?, Double, Double) = (nil, nil, 0, 0)
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.first == "Requests/sec:", words.count == 2 { rate = Double(words[1]) }
            if words.first == "99%", words.count == 2 { p99 = Self.microseconds(words[1]) }
            if words.count > 2, words[1] == "requests" { count = Double(words[0]) ?? 0 }
            if line.contains("Socket errors") || line.contains("Non-2xx") {
                errors += words.compactMap { Double($0.filter(\.isNumber)) }.reduce(0, +)
            }
        }
        guard let rate, let p99, count > 0 else { throw BenchError("wrk completed no request") }
        return (
            [(metric("rate", "/s"), rate), (metric("p99", "p99 us"), p99), (metric("errors", "errors"), errors)], count
        )
    }

    private static func microseconds(_ text: String) -> Double? {
        for (unit, factor) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] where text.hasSuffix(unit) {
            return Double(text.dropLast(unit.count)).map { $0 * factor }
        }
        return nil
    }

    /// CPU time for the amount: seconds per GB, or microseconds per operation.
    func cpuMetric(_ whose: String, _ suffix: String, nanoseconds: Double, amount: Double) -> (Metric, Double) {
        switch kind {
        case .throughput, .stream:
            (Metric(id: "\(id)-\(suffix)", title: "\(title) \(whose) cpu s/GB"), nanoseconds / 1e9 / amount)
        default: (Metric(id: "\(id)-\(suffix)", title: "\(title) \(whose) cpu us/op"), nanoseconds / 1e3 / amount)
        }
    }
}
