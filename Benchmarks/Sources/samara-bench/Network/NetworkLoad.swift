// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One kind of traffic from inside a pod to a server on the host.
struct NetworkLoad {
    enum Kind {
        case stream(count: Int, reverse: Bool)
        /// `rate` of iperf3: 0 sends as fast as it goes.
        case datagrams(bytes: Int, rate: String)
        case roundTrips(bytes: Int, datagrams: Bool)
        case connections(concurrency: Int)
    }

    let id: String
    let title: String
    let kind: Kind
    var mtu = 65520

    static let all = [
        NetworkLoad(id: "up", title: "TCP up 1 stream", kind: .stream(count: 1, reverse: false)),
        NetworkLoad(id: "up4", title: "TCP up 4 streams", kind: .stream(count: 4, reverse: false)),
        NetworkLoad(id: "down", title: "TCP down 1 stream", kind: .stream(count: 1, reverse: true)),
        NetworkLoad(id: "up-1500", title: "MTU 1500, TCP up 1 stream", kind: .stream(count: 1, reverse: false), mtu: 1500),
        NetworkLoad(
            id: "up4-1500", title: "MTU 1500, TCP up 4 streams", kind: .stream(count: 4, reverse: false), mtu: 1500),
        NetworkLoad(
            id: "down-1500", title: "MTU 1500, TCP down 1 stream", kind: .stream(count: 1, reverse: true), mtu: 1500),
        NetworkLoad(id: "rr", title: "TCP round trip 1 B", kind: .roundTrips(bytes: 1, datagrams: false)),
        NetworkLoad(id: "urr", title: "UDP round trip 64 B", kind: .roundTrips(bytes: 64, datagrams: true)),
        NetworkLoad(id: "crr", title: "connect+request+close, 1 at once", kind: .connections(concurrency: 1)),
        NetworkLoad(id: "crr32", title: "connect+request+close, 32 at once", kind: .connections(concurrency: 32)),
        NetworkLoad(id: "udp1400", title: "UDP 1400 B at saturation", kind: .datagrams(bytes: 1400, rate: "0")),
        NetworkLoad(id: "udp32k", title: "UDP 32 KB at saturation", kind: .datagrams(bytes: 32768, rate: "0")),
        NetworkLoad(id: "udp1g", title: "UDP 1400 B at 1 Gbit/s", kind: .datagrams(bytes: 1400, rate: "1G")),
    ]

    /// The client's command line, for `host` as the pod knows it.
    func client(_ tools: Tools, _ host: String, bulkPort: Int, loadPort: Int, _ options: Options) throws -> [String] {
        let seconds = options.loadSeconds
        switch kind {
        case .stream(let count, let reverse):
            return try iperf(tools, host, bulkPort, seconds) + ["-P", "\(count)"] + (reverse ? ["-R"] : [])
                + (options.congestionControl.map { ["-C", $0] } ?? [])
        case .datagrams(let bytes, let rate):
            return try iperf(tools, host, bulkPort, seconds) + ["-u", "-b", rate, "-l", "\(bytes)"]
        case .roundTrips(let bytes, let datagrams):
            return [
                try tools.program("net-load"), datagrams ? "urr" : "rr", host, "\(loadPort)", "\(bytes)", "\(seconds)",
            ]
        case .connections(let concurrency):
            return [try tools.program("net-load"), "crr", host, "\(loadPort)", "\(concurrency)", "\(seconds)"]
        }
    }

    private func iperf(_ tools: Tools, _ host: String, _ port: Int, _ seconds: Double) throws -> [String] {
        return [try tools.iperf(), "-c", host, "-p", "\(port)", "-J", "-t", "\(max(1, Int(seconds)))"]
    }

    // MARK: Figures

    /// What the client printed as figures, and how much was received: GB, or operations.
    func figures(_ output: String) throws -> (values: [(Metric, Double)], amount: Double) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any] else {
            throw BenchError("the client printed no JSON object")
        }
        if let error = object["error"] as? String { throw BenchError("iperf3: \(error)") }
        switch kind {
        case .stream: return try streamFigures(object)
        case .datagrams(let bytes, _): return try datagramFigures(object, bytes)
        case .roundTrips:
            let count = try number(object, "count", atLeast: 1)
            return (
                [
                    (metric("p50", "p50 us"), try number(object, "p50") / 1e3),
                    (metric("p99", "p99 us"), try number(object, "p99") / 1e3),
                ], count
            )
        case .connections:
            let count = try number(object, "count", atLeast: 1)
            return (
                [
                    (metric("rate", "/s"), count / (try number(object, "seconds"))),
                    (metric("p99", "p99 us"), try number(object, "p99") / 1e3),
                    (metric("errors", "errors"), try number(object, "errors")),
                ], count
            )
        }
    }

    private func streamFigures(_ object: [String: Any]) throws -> (values: [(Metric, Double)], amount: Double) {
        let received = (object["end"] as? [String: Any])?["sum_received"] as? [String: Any] ?? [:]
        let bytes = try number(received, "bytes", atLeast: 1)
        return ([(metric("rate", "Gbit/s"), try number(received, "bits_per_second") / 1e9)], bytes / 1e9)
    }

    /// iperf3 reports what was sent, and how many of them the server missed.
    private func datagramFigures(
        _ object: [String: Any], _ bytes: Int
    ) throws -> (values: [(Metric, Double)], amount: Double) {
        let sum = (object["end"] as? [String: Any])?["sum"] as? [String: Any] ?? [:]
        let packets = try number(sum, "packets", atLeast: 1)
        let lost = try number(sum, "lost_packets")
        let received = max(0, packets - lost) * Double(bytes)
        guard received > 0 else { throw BenchError("iperf3: nothing was received") }
        return (
            [
                (metric("rate", "received Gbit/s"), received * 8 / (try number(sum, "seconds")) / 1e9),
                (metric("lost", "lost percent"), lost / packets * 100),
            ], received / 1e9
        )
    }

    private func number(_ object: [String: Any], _ key: String, atLeast least: Double = 0) throws -> Double {
        guard let value = (object[key] as? NSNumber)?.doubleValue, value >= least else {
            throw BenchError("the client reported no \(key)")
        }
        return value
    }

    private func metric(_ suffix: String, _ unit: String) -> Metric {
        Metric(id: "\(id)-\(suffix)", title: "\(title) \(unit)")
    }

    /// Time of all processors, by what was received; nil where time says nothing.
    func cpuMetric(nanoseconds: Double, amount: Double) -> (Metric, Double) {
        switch kind {
        case .stream, .datagrams: (metric("cpu", "machine cpu s/GB"), nanoseconds / 1e9 / amount)
        case .roundTrips, .connections: (metric("cpu", "machine cpu us/op"), nanoseconds / 1e3 / amount)
        }
    }
}
