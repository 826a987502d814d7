// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import Testing

@testable import PortForwarder

@Suite(.serialized) struct BulkTests {
    @Test func aHundredMegabytesArriveUnchanged() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let (client, server, _) = try harness.connect(service, try harness.publish(service.port))
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let block = (0..<(1 << 20)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let total = 100 << 20
        var sent = 0
        var compared = 0
        var isEqual = true
        var queue: Int32 = 0
        #expect(
            try harness.pump(seconds: 60) {
                if sent < total {
                    let start = sent % block.count
                    sent += client.write(block[start..<min(block.count, start + total - sent)])
                    if sent == total { Socket.endSending(client.fd.raw) }
                }
                server.read(limit: 1 << 20)
                if !server.received(isRepeated: block, from: compared) { isEqual = false }
                compared += server.received.count
                server.clear()
                if compared > total / 2, queue == 0 {
                    queue = try Socket.get(harness.forwarder.flows[0].clientFD, SOL_SOCKET, SO_RCVBUF)
                }
                return server.isAtEnd
            })
        #expect(isEqual && compared == total, "seed \(seed): \(compared) of \(total)")
        #expect(harness.statistics.tcpBytesUp == UInt64(total))
        if Socket.mayQueueBulk { #expect(queue == 2 * Socket.bulkQueue, "bulk from this machine has a queue") }
        #expect(harness.statistics.tcpBytesSpliced > UInt64(total / 4), "bulk goes through a pipe")
    }

    /// By the time that the handshake took: there is none without a connection.
    @Test func whatIsNearby() throws {
        let service = try Service()
        // The first may have been interrupted.
        let attempts = try (0..<5).map { _ in try Peer(to: service.port) }
        #expect(attempts.contains { Socket.isNearby($0.fd.raw) }, "a connection over loopback")
        #expect(try !Socket.isNearby(Socket.make(family: AF_INET, .tcp).raw), "no connection")
        #expect(try !Socket.isNearby(Socket.make(family: AF_INET, .udp).raw), "not TCP")
    }
}
