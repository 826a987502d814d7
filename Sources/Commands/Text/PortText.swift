// SPDX-License-Identifier: Apache-2.0
import Engine
import JSON

/// Published and exposed ports as listings show them.
enum PortText {
    /// `0.0.0.0:8080->80/tcp, 0.0.0.0:9000-9002->9000-9002/tcp, 443/tcp`: published ones, neighbours joined, then those
    /// that are only exposed.
    static func list(_ ports: [PortRecord], exposed: [String] = []) -> String {
        let published = joined(ports).map { port in
            let last = port.range - 1
            let host = address(port.hostIP)
            if last == 0 { return "\(host):\(port.hostPort)->\(port.containerPort)/\(port.transport)" }
            return "\(host):\(port.hostPort)-\(port.hostPort + last)"
                + "->\(port.containerPort)-\(port.containerPort + last)/\(port.transport)"
        }
        return (published + exposedTexts(exposed, publishedIn: ports)).joined(separator: ", ")
    }

    /// An address as it is printed: every address is `0.0.0.0`, and an IPv6 one is in brackets.
    static func address(_ hostIP: String) -> String {
        if hostIP.isEmpty { return "0.0.0.0" }
        return hostIP.contains(":") ? "[\(hostIP)]" : hostIP
    }

    /// Neighbouring ports as one range, as `-p 8000-8002:8000-8002` and three `-p` mean the same.
    static func joined(_ ports: [PortRecord]) -> [PortRecord] {
        var result: [PortRecord] = []
        let sorted = ports.sorted {
            ($0.hostIP, $0.transport, $0.hostPort, $0.containerPort) < (
                $1.hostIP, $1.transport, $1.hostPort, $1.containerPort
            )
        }
        for port in sorted {
            if var last = result.last, last.hostIP == port.hostIP, last.transport == port.transport,
                last.isActivated == port.isActivated,
                UInt32(last.hostPort) + UInt32(last.range) == UInt32(port.hostPort),
                UInt32(last.containerPort) + UInt32(last.range) == UInt32(port.containerPort)
            {
                last.range += port.range
                result[result.count - 1] = last
            } else {
                result.append(port)
            }
        }
        return result
    }

    /// One record per port, in the order of the container's ports: what `port` and `inspect` list.
    static func expanded(_ ports: [PortRecord]) -> [PortRecord] {
        var result: [PortRecord] = []
        for port in ports {
            for offset in 0..<max(1, port.range) {
                var single = port
                single.hostPort += offset
                single.containerPort += offset
                single.range = 1
                result.append(single)
            }
        }
        return result.sorted {
            ($0.containerPort, $0.transport, $0.hostIP, $0.hostPort) < (
                $1.containerPort, $1.transport, $1.hostIP, $1.hostPort
            )
        }
    }

    /// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null}`.
    static func bindings(_ ports: [PortRecord], exposed: [String] = []) -> JSONObject {
        var object = JSONObject()
        for port in expanded(ports) {
            let key = "\(port.containerPort)/\(port.transport)"
            let entry: JSON = [
                "HostIp": .string(port.hostIP.isEmpty ? "0.0.0.0" : port.hostIP),
                "HostPort": .string(String(port.hostPort)),
            ]
            object[key] = .array((object[key]?.arrayValue ?? []) + [entry])
        }
        for port in exposed {
            let key = normalised(port)
            if object[key] == nil { object[key] = .null }
        }
        return object
    }

    /// `{"host_ip": "", "container_port": 80, …}`, as `ps --format json` lists them; null when there are none.
    static func mappings(_ ports: [PortRecord]) -> JSON {
        if ports.isEmpty { return .null }
        return .array(
            joined(ports).map { port in
                [
                    "host_ip": .string(port.hostIP), "container_port": .int(Int64(port.containerPort)),
                    "host_port": .int(Int64(port.hostPort)), "range": .int(Int64(port.range)),
                    "protocol": .string(port.transport),
                ]
            })
    }

    /// `80` is `80/tcp`.
    static func normalised(_ exposed: String) -> String { exposed.contains("/") ? exposed : exposed + "/tcp" }

    private static func exposedTexts(_ exposed: [String], publishedIn ports: [PortRecord]) -> [String] {
        var taken: Set<String> = []
        for port in expanded(ports) { taken.insert("\(port.containerPort)/\(port.transport)") }
        var numbers: [(transport: String, number: UInt16)] = []
        for text in exposed {
            let parts = normalised(text).split(separator: "/", maxSplits: 1)
            let bounds = parts[0].split(separator: "-", maxSplits: 1).compactMap { UInt16($0) }
            guard let first = bounds.first, let last = bounds.last, first <= last else { continue }
            for number in first...last where !taken.contains("\(number)/\(parts[1])") {
                numbers.append((String(parts[1]), number))
            }
        }
        numbers.sort { $0 < $1 }
        var ranges: [(transport: String, first: UInt16, last: UInt16)] = []
        for entry in numbers {
            if let last = ranges.last, last.transport == entry.transport, UInt32(last.last) + 1 == UInt32(entry.number)
            {
                ranges[ranges.count - 1].last = entry.number
            } else if ranges.last.map({ $0.transport == entry.transport && $0.last == entry.number }) != true {
                ranges.append((entry.transport, entry.number, entry.number))
            }
        }
        return ranges.map {
            $0.first == $0.last ? "\($0.first)/\($0.transport)" : "\($0.first)-\($0.last)/\($0.transport)"
        }
    }
}
