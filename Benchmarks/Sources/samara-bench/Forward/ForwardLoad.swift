// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One kind of traffic through a published port.
struct ForwardLoad {
    enum Kind {
        case throughput(streams: Int, reverse: Bool)
        case roundTrips(bytes: Int)
        case connections(concurrency: Int)
    }

    let id: String
    let title: String
    let kind: Kind

    static let all = [
        ForwardLoad(id: "bulk", title: "iperf3 1 stream", kind: .throughput(streams: 1, reverse: false)),
        ForwardLoad(id: "bulk4", title: "iperf3 4 streams", kind: .throughput(streams: 4, reverse: false)),
        ForwardLoad(id: "reverse", title: "iperf3 1 stream -R", kind: .throughput(streams: 1, reverse: true)),
        ForwardLoad(id: "reverse4", title: "iperf3 4 streams -R", kind: .throughput(streams: 4, reverse: true)),
        ForwardLoad(id: "rr", title: "round trip 1 B", kind: .roundTrips(bytes: 1)),
        ForwardLoad(id: "rr16k", title: "round trip 16 KiB", kind: .roundTrips(bytes: 16384)),
        ForwardLoad(id: "crr", title: "connect+request+close, 1 at once", kind: .connections(concurrency: 1)),
        ForwardLoad(id: "crr64", title: "connect+request+close, 64 at once", kind: .connections(concurrency: 64)),
    ]

    /// The client, on the host.
    func client(
        _ tools: Tools, bulkPort: Int, loadPort: Int, seconds: Double, congestionControl: String? = nil,
        _ environment: [String: String]
    ) throws -> Command {
        var command: Command
        switch kind {
        case .throughput(let streams, let reverse):
            guard let iperf = tools.installed("iperf3") else { throw BenchError("iperf3 is not installed") }
            command = Command(
                path: iperf,
                arguments: ["-c", "127.0.0.1", "-p", "\(bulkPort)", "-J", "-t", "\(Int(seconds))", "-P", "\(streams)"]
                    + (reverse ? ["-R"] : []) + (congestionControl.map { ["-C", $0] } ?? []), environment: environment)
        case .roundTrips(let bytes):
            command = Command(
                path: try tools.program("net-load"),
                arguments: ["rr", "127.0.0.1", "\(loadPort)", "\(bytes)", "\(seconds)"],
                environment: environment)
        case .connections(let concurrency):
            command = Command(
                path: try tools.program("net-load"),
                arguments: ["crr", "127.0.0.1", "\(loadPort)", "\(concurrency)", "\(seconds)"], environment: environment
            )
        }
        command.timeLimitSeconds = seconds * 3 + 5
        return command
    }

    /// The figures in what the client printed, and how much was done: GB, or operations.
    func figures(_ output: String) throws -> (values: [(MetricReport.Metric, Double)], amount: Double) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any] else {
            throw BenchError("the client printed no JSON object")
        }
        func number(_ key: String) -> Double? { (object[key] as? NSNumber)?.doubleValue }
        func metric(_ suffix: String, _ unit: String) -> MetricReport.Metric {
            MetricReport.Metric(id: "\(id)-\(suffix)", title: "\(title) \(unit)")
        }
        switch kind {
        case .throughput:
            guard let end = object["end"] as? [String: Any], let received = end["sum_received"] as? [String: Any],
                let bits = (received["bits_per_second"] as? NSNumber)?.doubleValue,
                let bytes = (received["bytes"] as? NSNumber)?.doubleValue, bytes > 0
            else { throw BenchError("iperf3: \(object["error"] as? String ?? "nothing was received")") }
            return ([(metric("rate", "Gbit/s"), bits / 1e9)], bytes / 1e9)
        case .roundTrips:
            guard let count = number("count"), count > 0, let p50 = number("p50"), let p99 = number("p99"),
                let p999 = number("p999")
            else { throw BenchError("no round trip was completed") }
            return (
                [
                    (metric("p50", "p50 us"), p50 / 1e3), (metric("p99", "p99 us"), p99 / 1e3),
                    (metric("p999", "p99.9 us"), p999 / 1e3),
                ], count
            )
        case .connections:
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

    /// CPU time for the amount: seconds per GB, or microseconds per operation.
    func cpuMetric(_ whose: String, _ suffix: String, nanoseconds: Double, amount: Double) -> (
        MetricReport.Metric, Double
    ) {
        switch kind {
        case .throughput:
            (
                MetricReport.Metric(id: "\(id)-\(suffix)", title: "\(title) \(whose) cpu s/GB"),
                nanoseconds / 1e9 / amount
            )
        case .roundTrips, .connections:
            (
                MetricReport.Metric(id: "\(id)-\(suffix)", title: "\(title) \(whose) cpu us/op"),
                nanoseconds / 1e3 / amount
            )
        }
    }
}
