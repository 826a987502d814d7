// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Asks again until the answer is true, and records an issue when it is not by the deadline.
///
/// For what no command waits for: a server that has yet to listen, a process that has yet to be reaped.
func eventually(
    _ what: String, within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
) rethrows {
    let deadline = ContinuousClock.now + limit
    while true {
        if try condition() { return }
        guard ContinuousClock.now < deadline else { break }
        usleep(10_000)
    }
    Issue.record("not within \(limit): \(what)", sourceLocation: sourceLocation)
}

/// A TCP and UDP port of the host that no socket has, below the range that the kernel gives to outgoing
/// connections: a connection of some other program cannot take it in the meantime.
func freePort() throws -> UInt16 {
    var taken: Set<UInt16> = []
    for file in ["tcp", "tcp6", "udp", "udp6"] {
        // proc_pid_net(5): the second field is address:port in hexadecimal.
        for line in try String(contentsOfFile: "/proc/self/net/\(file)", encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 1, let port = fields[1].split(separator: ":").last.flatMap({ UInt16($0, radix: 16) }) {
                taken.insert(port)
            }
        }
    }
    return try #require((20_000..<32_000).filter { !taken.contains($0) }.randomElement())
}
