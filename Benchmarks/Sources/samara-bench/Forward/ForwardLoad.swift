// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One kind of traffic through a published port, or of its absence.
struct ForwardLoad {
    enum Kind {
        /// iperf3. `congestion` is its sender's algorithm; nil for the host's default.
        case throughput(streams: Int, reverse: Bool, congestion: String? = nil)
        /// One sender of net-load's own, for servers that are handed their socket, which iperf3 cannot be.
        case stream
        case roundTrips(bytes: Int)
        case connections(concurrency: Int)
        /// wrk with keep-alive.
        case http(connections: Int)
        /// A published port behind which nobody listens.
        case refusal
        /// Resident memory while this many connections are open and silent.
        case memory(connections: Int)
        /// Wake-ups without traffic.
        case idle
    }

    let id: String
    let title: String
    let kind: Kind

    static let all = [
        ForwardLoad(id: "bulk", title: "iperf3 1 stream", kind: .throughput(streams: 1, reverse: false)),
        ForwardLoad(id: "bulk4", title: "iperf3 4 streams", kind: .throughput(streams: 4, reverse: false)),
        ForwardLoad(id: "reverse", title: "iperf3 1 stream -R", kind: .throughput(streams: 1, reverse: true)),
        ForwardLoad(id: "reverse4", title: "iperf3 4 streams -R", kind: .throughput(streams: 4, reverse: true)),
        ForwardLoad(
            id: "bulk-reno", title: "iperf3 1 stream -C reno",
            kind: .throughput(streams: 1, reverse: false, congestion: "reno")),
        ForwardLoad(
            id: "bulk4-reno", title: "iperf3 4 streams -C reno",
            kind: .throughput(streams: 4, reverse: false, congestion: "reno")),
        ForwardLoad(
            id: "reverse-reno", title: "iperf3 1 stream -R -C reno",
            kind: .throughput(streams: 1, reverse: true, congestion: "reno")),
        ForwardLoad(id: "stream", title: "net-load 1 stream", kind: .stream),
        ForwardLoad(id: "rr", title: "round trip 1 B", kind: .roundTrips(bytes: 1)),
        ForwardLoad(id: "rr16k", title: "round trip 16 KiB", kind: .roundTrips(bytes: 16384)),
        ForwardLoad(id: "crr", title: "connect+request+close, 1 at once", kind: .connections(concurrency: 1)),
        ForwardLoad(id: "crr64", title: "connect+request+close, 64 at once", kind: .connections(concurrency: 64)),
        ForwardLoad(id: "http64", title: "HTTP keep-alive, 64 connections", kind: .http(connections: 64)),
        ForwardLoad(id: "http512", title: "HTTP keep-alive, 512 connections", kind: .http(connections: 512)),
        ForwardLoad(id: "refusal", title: "refusal of a closed port", kind: .refusal),
        ForwardLoad(id: "memory", title: "resident memory, idle", kind: .memory(connections: 0)),
        ForwardLoad(id: "memory1000", title: "resident memory, 1000 connections", kind: .memory(connections: 1000)),
        ForwardLoad(id: "memory10000", title: "resident memory, 10000 connections", kind: .memory(connections: 10000)),
        ForwardLoad(id: "idle", title: "wake-ups, idle", kind: .idle),
    ]

    static func named(_ id: String) -> ForwardLoad? { all.first { $0.id == id } }

    /// Whether what the forwarder's processes spend belongs in the report.
    var costsTime: Bool {
        switch kind {
        case .memory, .idle, .refusal: false
        default: true
        }
    }

    /// Whether it makes sense from a client on another host too.
    var isRemotable: Bool {
        switch kind {
        case .throughput(_, _, let congestion): congestion == nil
        case .memory, .idle, .stream: false
        default: true
        }
    }

    /// The client, where `position` says; nil for what needs none.
    func client(
        _ tools: Tools, _ ports: ForwardPorts, from position: ClientPosition, seconds: Double,
        congestionControl: String? = nil, _ environment: [String: String]
    ) throws -> Command? {
        let host = position.host
        func loader(_ arguments: String...) throws -> (String, [String]) { (try tools.program("net-load"), arguments) }
        let (path, arguments): (String, [String])
        switch kind {
        case .throughput(let streams, let reverse, let congestion):
            let algorithm = congestion ?? congestionControl
            path = try tools.iperf()
            arguments =
                ["-c", host, "-p", "\(ports.bulk)", "-J", "-t", "\(max(1, Int(seconds)))", "-P", "\(streams)"]
                + (reverse ? ["-R"] : []) + (algorithm.map { ["-C", $0] } ?? [])
        case .stream: (path, arguments) = try loader("bulk", host, "\(ports.load)", "\(seconds)")
        case .roundTrips(let bytes): (path, arguments) = try loader("rr", host, "\(ports.load)", "\(bytes)", "\(seconds)")
        case .connections(let concurrency):
            (path, arguments) = try loader("crr", host, "\(ports.load)", "\(concurrency)", "\(seconds)")
        case .http(let connections):
            guard let wrk = tools.installed("wrk") else { throw BenchError("wrk is not installed") }
            path = wrk
            arguments = [
                "-t1", "-c\(connections)", "-d\(max(1, Int(seconds)))s", "--latency", "http://\(host):\(ports.load)/",
            ]
        case .refusal: (path, arguments) = try loader("refused", host, "\(ports.closed)", "\(min(seconds, 0.5))")
        case .memory(let connections):
            if connections == 0 { return nil }
            (path, arguments) = try loader("hold", host, "\(ports.load)", "\(connections)")
        case .idle: return nil
        }
        var command = position.command(path, arguments, environment)
        command.timeLimitSeconds = seconds * 3 + 5
        return command
    }
}

/// Where the ports of a forwarder are on the host.
struct ForwardPorts {
    /// The iperf3 server's; 0 where there is none.
    let bulk: Int
    /// The net-load server's.
    let load: Int
    /// Published, with nobody behind it.
    let closed: Int
}

/// Where the clients are.
struct ClientPosition {
    /// The address of the host as they see it.
    let host: String
    /// The process in whose network namespace they run; nil for the host's own.
    let namespace: Int32?

    static let local = ClientPosition(host: "127.0.0.1", namespace: nil)

    /// What hack/bench --remote has made: a host beside this one.
    static func remote(_ environment: [String: String]) -> ClientPosition? {
        guard let pid = environment["SAMARA_BENCH_CLIENT"].flatMap(Int32.init),
            let host = environment["SAMARA_BENCH_HOST"]
        else { return nil }
        return ClientPosition(host: host, namespace: pid)
    }

    func command(_ path: String, _ arguments: [String], _ environment: [String: String]) -> Command {
        guard let namespace else { return Command(path: path, arguments: arguments, environment: environment) }
        return Command(
            path: "/usr/bin/nsenter", arguments: ["-n", "-t", "\(namespace)", path] + arguments,
            environment: environment)
    }
}
