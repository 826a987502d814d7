// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage
import Testing

@testable import PortForwarder

/// The same client and server over loopback and over the forwarder: what each side sees of the other's end must be the
/// same bytes, the same errors, in the same order.
@Suite(.serialized) struct CloseMatrixTests {
    /// One connection and what its two sides have seen.
    final class Connection {
        let harness: ForwarderHarness
        var client: Peer?
        var server: Peer?
        private(set) var log: [String] = []

        init(_ harness: ForwarderHarness, _ service: Service, port: UInt16, ipv6: Bool) throws {
            self.harness = harness
            client = try Peer(to: port, ipv6: ipv6)
            _ = try harness.pump {
                server = server ?? service.accept()?.peer; return server != nil
            }
        }

        func note(_ text: String) { log.append(text) }

        /// Reads until `count` bytes, an end or an error are there, and notes what came.
        func expect(_ side: KeyPath<Connection, Peer?>, _ count: Int = .max) throws {
            guard let peer = self[keyPath: side] else { return }
            peer.clear()
            let came = try harness.pump {
                peer.read(limit: count - peer.received.count)
                return peer.received.count >= count || peer.isAtEnd || peer.error != nil
            }
            let hash = peer.received.reduce(into: UInt64(5381)) { $0 = $0 &* 33 ^ UInt64($1) }
            let name = side == \Connection.client ? "client" : "server"
            let end = "end \(peer.isAtEnd) error \(peer.error?.rawValue ?? 0)"
            note("\(name) \(came ? "" : "waits ")\(peer.received.count) \(hash) \(end)")
        }

        /// Waits until bytes lie unread in the server's socket.
        func arrive(_ count: Int) throws {
            let raw = server?.fd.raw ?? -1
            note("arrives \(try harness.pump { NonBlockingIO.available(raw) >= count })")
        }

        /// What a write says once the other side's reset has arrived.
        func noteWriteError(_ peer: Peer?) {
            guard let peer else { return }
            var byte: UInt8 = 1
            let outcome = withUnsafeBytes(of: &byte) { Transfer.send(peer.fd.raw, $0) }
            note("write \(outcome)")
        }

        func abort(_ side: ReferenceWritableKeyPath<Connection, Peer?>) {
            if let peer = self[keyPath: side] { Socket.resetOnClose(peer.fd.raw) }
            self[keyPath: side] = nil
        }
    }

    struct Scenario: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let run: @Sendable (Connection) throws -> Void
        init(_ name: String, _ run: @escaping @Sendable (Connection) throws -> Void) {
            testDescription = name
            self.run = run
        }
    }

    static let scenarios: [Scenario] = [
        Scenario("client finishes, server answers and closes") { connection in
            connection.client?.write("request")
            Socket.endSending(connection.client?.fd.raw ?? -1)
            try connection.expect(\.server)
            connection.server?.write("answer")
            connection.server = nil
            try connection.expect(\.client)
        },
        Scenario("server finishes first, client goes on") { connection in
            connection.server?.write("greeting")
            Socket.endSending(connection.server?.fd.raw ?? -1)
            try connection.expect(\.client)
            for number in 0..<5 {
                connection.client?.write("line \(number)")
                try connection.expect(\.server, 6)
            }
            connection.client = nil
            try connection.expect(\.server)
        },
        Scenario("end without a byte, from the client") { connection in
            connection.client = nil
            try connection.expect(\.server)
        },
        Scenario("end without a byte, from the server") { connection in
            connection.server = nil
            try connection.expect(\.client)
        },
        Scenario("client resets") { connection in
            connection.client?.write("last words")
            try connection.arrive(10)
            connection.abort(\.client)
            try connection.expect(\.server)
            connection.noteWriteError(connection.server)
        },
        Scenario("server resets") { connection in
            connection.server?.write("last words")
            try connection.expect(\.client, 10)
            connection.abort(\.server)
            try connection.expect(\.client)
            connection.noteWriteError(connection.client)
        },
        Scenario("server resets without a byte") { connection in
            connection.abort(\.server)
            try connection.expect(\.client)
        },
        Scenario("server closes with unread data") { connection in
            connection.client?.write([UInt8](repeating: 7, count: 1000)[...])
            try connection.arrive(1000)
            connection.server = nil
            try connection.expect(\.client)
            connection.noteWriteError(connection.client)
        },
        Scenario("server answers and closes with unread data") { connection in
            connection.client?.write([UInt8](repeating: 7, count: 1000)[...])
            try connection.arrive(1000)
            connection.server?.write("too long")
            connection.server = nil
            try connection.expect(\.client)
        },
        Scenario("reset after a half-close") { connection in
            connection.client?.write("request")
            Socket.endSending(connection.client?.fd.raw ?? -1)
            try connection.expect(\.server)
            connection.server?.write("half an answer")
            try connection.expect(\.client, 14)
            connection.abort(\.server)
            try connection.expect(\.client)
        },
        Scenario("slow reader of a closed connection") { connection in
            let data = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            connection.server?.write(data[...])
            connection.server = nil
            for _ in 0..<20 { try connection.expect(\.client, 3000) }
            try connection.expect(\.client)
        },
        Scenario("both finish at once") { connection in
            connection.client?.write("a")
            connection.server?.write("b")
            Socket.endSending(connection.client?.fd.raw ?? -1)
            Socket.endSending(connection.server?.fd.raw ?? -1)
            try connection.expect(\.client)
            try connection.expect(\.server)
        },
    ]

    @Test(arguments: scenarios, [false, true])
    func looksAsOnLoopback(scenario: Scenario, ipv6: Bool) throws {
        let harness = try ForwarderHarness()
        let service = try Service(ipv6: ipv6)
        let port = try harness.publish(service.port, host: ipv6 ? "::1" : "127.0.0.1")
        var logs: [[String]] = []
        for target in [service.port, port] {
            let connection = try Connection(harness, service, port: target, ipv6: ipv6)
            #expect(connection.server != nil)
            try scenario.run(connection)
            logs.append(connection.log)
        }
        #expect(!logs[0].isEmpty && logs[0] == logs[1])
        #expect(try harness.pump { harness.statistics.tcpActive == 0 }, "nothing is left")
    }

    /// The one difference that no forwarder in user space can avoid: the host's kernel has accepted before anybody knows
    /// that the pod refuses. The client sees the reset at once and not a byte.
    @Test func aRefusalIsAReset() throws {
        let harness = try ForwarderHarness()
        let closed = try unusedPort()
        let client = try Peer(to: try harness.publish(closed))
        #expect(
            try harness.pump {
                client.read(); return client.error != nil || client.isAtEnd
            })
        #expect(client.error == .connectionReset && client.received.isEmpty)
    }
}
