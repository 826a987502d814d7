// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// One connection, and what its two sides have seen of each other: the same bytes, errors and order, whatever lies between
/// them. The caller says how time passes.
package final class ObservedConnection {
    package var client: Peer?
    package var server: Peer?
    package private(set) var log: [String] = []
    /// Turns the world until the condition holds; false when it never does.
    private let pump: (() throws -> Bool) throws -> Bool

    /// The server's side is set by the caller, who keeps no reference to either: the end of the last one closes the socket.
    package init(client: Peer, pump: @escaping (() throws -> Bool) throws -> Bool) {
        self.client = client
        self.pump = pump
    }

    package func note(_ text: String) { log.append(text) }

    /// Reads until `count` bytes, an end or an error are there, and notes what came.
    package func expect(_ side: KeyPath<ObservedConnection, Peer?>, _ count: Int = .max) throws {
        guard let peer = self[keyPath: side] else { return }
        peer.clear()
        let came = try pump {
            peer.read(limit: count - peer.received.count)
            return peer.received.count >= count || peer.isAtEnd || peer.error != nil
        }
        let hash = peer.received.reduce(into: UInt64(5381)) { $0 = $0 &* 33 ^ UInt64($1) }
        let name = side == \ObservedConnection.client ? "client" : "server"
        let end = "end \(peer.isAtEnd) error \(peer.error?.rawValue ?? 0)"
        note("\(name) \(came ? "" : "waits ")\(peer.received.count) \(hash) \(end)")
    }

    /// Waits until bytes lie unread in a side's socket.
    package func arrive(_ count: Int, _ side: KeyPath<ObservedConnection, Peer?> = \.server) throws {
        let raw = self[keyPath: side]?.fd.raw ?? -1
        note("arrives \(try pump { NonBlockingIO.available(raw) >= count })")
    }

    /// The client sends `data` over and over, then ends; the server begins to read when nothing more fits, in small pieces
    /// at first.
    package func stream(_ data: [UInt8], times: Int, pause: Int) throws {
        guard let client, let server else { return }
        let total = data.count * times
        var sent = 0
        var idle = 0
        var received = 0
        var isEqual = true
        let ended = try pump {
            let before = sent
            while sent < total {
                let more = client.write(data[(sent % data.count)...])
                if more == 0 { break }
                sent += more
                if sent == total { Socket.endSending(client.fd.raw) }
            }
            idle = sent == before ? idle + 1 : 0
            if idle < pause, received == 0, sent < total { return false }
            server.clear()
            server.read(limit: received < 100_000 ? 1000 : 1 << 20)
            if !server.received(isRepeated: data, from: received) { isEqual = false }
            received += server.received.count
            return server.isAtEnd || server.error != nil
        }
        note("stream \(ended) \(received) of \(total) \(isEqual) error \(server.error?.rawValue ?? 0)")
    }

    /// What a write says once the other side's reset has arrived.
    package func noteWriteError(_ peer: Peer?) {
        guard let peer else { return }
        var byte: UInt8 = 1
        let outcome = withUnsafeBytes(of: &byte) { Transfer.send(peer.fd.raw, $0) }
        note("write \(outcome)")
    }

    package func abort(_ side: ReferenceWritableKeyPath<ObservedConnection, Peer?>) {
        if let peer = self[keyPath: side] { Socket.resetOnClose(peer.fd.raw) }
        self[keyPath: side] = nil
    }
}

/// One way for a connection to end. Run over a path and over plain loopback, it must leave the same log.
package struct CloseScenario: Sendable {
    package let name: String
    package let run: @Sendable (ObservedConnection) throws -> Void
    package init(_ name: String, _ run: @escaping @Sendable (ObservedConnection) throws -> Void) {
        self.name = name
        self.run = run
    }

    package static let all: [CloseScenario] = [
        CloseScenario("client finishes, server answers and closes") { connection in
            connection.client?.write("request")
            Socket.endSending(connection.client?.fd.raw ?? -1)
            try connection.expect(\.server)
            connection.server?.write("answer")
            connection.server = nil
            try connection.expect(\.client)
        },
        CloseScenario("server finishes first, client goes on") { connection in
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
        CloseScenario("end without a byte, from the client") { connection in
            connection.client = nil
            try connection.expect(\.server)
        },
        CloseScenario("end without a byte, from the server") { connection in
            connection.server = nil
            try connection.expect(\.client)
        },
        CloseScenario("client resets") { connection in
            connection.client?.write("last words")
            try connection.arrive(10)
            connection.abort(\.client)
            try connection.expect(\.server)
            connection.noteWriteError(connection.server)
        },
        CloseScenario("client resets without a byte") { connection in
            connection.abort(\.client)
            try connection.expect(\.server)
            connection.noteWriteError(connection.server)
        },
        CloseScenario("client closes with unread data") { connection in
            connection.server?.write([UInt8](repeating: 7, count: 1000)[...])
            try connection.arrive(1000, \.client)
            connection.client = nil
            try connection.expect(\.server)
            connection.noteWriteError(connection.server)
        },
        CloseScenario("server resets") { connection in
            connection.server?.write("last words")
            try connection.expect(\.client, 10)
            connection.abort(\.server)
            try connection.expect(\.client)
            connection.noteWriteError(connection.client)
        },
        CloseScenario("server resets without a byte") { connection in
            connection.abort(\.server)
            try connection.expect(\.client)
        },
        CloseScenario("server closes with unread data") { connection in
            connection.client?.write([UInt8](repeating: 7, count: 1000)[...])
            try connection.arrive(1000)
            connection.server = nil
            try connection.expect(\.client)
            connection.noteWriteError(connection.client)
        },
        CloseScenario("server answers and closes with unread data") { connection in
            connection.client?.write([UInt8](repeating: 7, count: 1000)[...])
            try connection.arrive(1000)
            connection.server?.write("too long")
            connection.server = nil
            try connection.expect(\.client)
        },
        CloseScenario("reset after a half-close") { connection in
            connection.client?.write("request")
            Socket.endSending(connection.client?.fd.raw ?? -1)
            try connection.expect(\.server)
            connection.server?.write("half an answer")
            try connection.expect(\.client, 14)
            connection.abort(\.server)
            try connection.expect(\.client)
        },
        CloseScenario("slow reader of a closed connection") { connection in
            let data = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            connection.server?.write(data[...])
            connection.server = nil
            for _ in 0..<20 { try connection.expect(\.client, 3000) }
            try connection.expect(\.client)
        },
        CloseScenario("slow reader of more than the buffers hold") { connection in
            let data = (0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
            try connection.stream(data, times: 100, pause: 40)
        },
        CloseScenario("both finish at once") { connection in
            connection.client?.write("a")
            connection.server?.write("b")
            Socket.endSending(connection.client?.fd.raw ?? -1)
            Socket.endSending(connection.server?.fd.raw ?? -1)
            try connection.expect(\.client)
            try connection.expect(\.server)
        },
    ]
}
