// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import SystemPackage
import Testing

@testable import PortForwarder

/// A non-blocking UDP socket of a test, bound to loopback.
private final class DatagramPeer {
    let fd: OwnedFD
    let port: UInt16

    init(ipv6: Bool = false, _ address: IPAddress? = nil) throws {
        fd = try Socket.make(family: ipv6 ? AF_INET6 : AF_INET, .udp)
        let any = ipv6 ? IPAddress(high: 0, low: 1) : IPAddress(ipv4: 0x7f00_0001)
        try Socket.bind(fd.raw, SocketAddress(address ?? any, port: 0))
        port = try Socket.localAddress(fd.raw).port
    }

    func send(_ text: String, to port: UInt16, ipv6: Bool = false) {
        var peer = SocketAddress(ipv6 ? IPAddress(high: 0, low: 1) : IPAddress(ipv4: 0x7f00_0001), port: port).raw
        send(text, &peer)
    }

    func send(_ text: String, _ peer: inout sockaddr_in6) {
        var none = in6_addr()
        _ = samara_send_datagram(fd.raw, text, text.utf8.count, &peer, &none, 0)
    }

    /// The next datagram and its source.
    func receive() -> (text: String, source: sockaddr_in6)? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var peer = sockaddr_in6()
        var local = in6_addr()
        var interface: UInt32 = 0
        let count = samara_receive_datagram(fd.raw, &buffer, buffer.count, &peer, &local, &interface)
        return count < 0 ? nil : (String(decoding: buffer[..<count], as: UTF8.self), peer)
    }
}

@Suite(.serialized) struct DatagramTests {
    @Test(arguments: [(false, ""), (false, "127.0.0.1"), (true, "::1"), (true, "")])
    func carriesBothDirections(ipv6: Bool, host: String) throws {
        let harness = try ForwarderHarness()
        let service = try DatagramPeer(ipv6: ipv6)
        let port = try harness.publish(service.port, host: host, .udp)
        let client = try DatagramPeer(ipv6: ipv6)
        // Two at once: the second must not be lost while the first one's flow is made.
        client.send("one", to: port, ipv6: ipv6)
        client.send("two", to: port, ipv6: ipv6)
        client.send("", to: port, ipv6: ipv6)
        var texts: [String] = []
        var source: sockaddr_in6?
        #expect(
            try harness.pump {
                while let (text, from) = service.receive() {
                    texts.append(text)
                    source = from
                }
                return texts.count == 3
            })
        #expect(texts == ["one", "two", ""])
        var from = try #require(source)
        #expect(SocketAddress(raw: from).ip == (ipv6 ? IPAddress(high: 0, low: 1) : IPAddress(ipv4: 0x7f00_0002)))
        service.send("answer", &from)
        var answer: (text: String, source: sockaddr_in6)?
        #expect(
            try harness.pump {
                answer = answer ?? client.receive(); return answer != nil
            })
        #expect(answer?.text == "answer")
        // From the address and port that the client spoke to.
        #expect(answer.map { SocketAddress(raw: $0.source).port } == port)
        #expect(answer.map { SocketAddress(raw: $0.source).ip.isLoopback } == true)
        #expect(harness.statistics.udpActive == 1)
        #expect(harness.statistics.udpDatagramsUp == 3 && harness.statistics.udpDatagramsDown == 1)
    }

    @Test func clientsAreToldApart() throws {
        let harness = try ForwarderHarness()
        let service = try DatagramPeer()
        let port = try harness.publish(service.port, .udp)
        let clients = try (0..<50).map { _ in try DatagramPeer() }
        for (number, client) in clients.enumerated() { client.send("\(number)", to: port) }
        var served = 0
        #expect(
            try harness.pump {
                while let (text, source) = service.receive() {
                    var from = source
                    service.send("re:\(text)", &from)
                    served += 1
                }
                return served == 50
            })
        for (number, client) in clients.enumerated() {
            var answer: String?
            #expect(
                try harness.pump {
                    answer = answer ?? client.receive()?.text; return answer != nil
                })
            #expect(answer == "re:\(number)")
        }
        #expect(harness.statistics.udpFlows == 50)
    }

    @Test func theLongestUnusedFlowMakesRoom() throws {
        // Room for few flows.
        let harness = try ForwarderHarness(descriptorLimit: PortForwarder.reservedDescriptors + 16)
        let service = try DatagramPeer()
        let port = try harness.publish(service.port, .udp)
        let clients = try (0..<40).map { _ in try DatagramPeer() }
        for (number, client) in clients.enumerated() {
            client.send("\(number)", to: port)
            var text: String?
            #expect(
                try harness.pump {
                    text = text ?? service.receive()?.text; return text != nil
                })
            #expect(text == "\(number)")
        }
        #expect(harness.statistics.udpActive <= 16)
        #expect(harness.statistics.udpFlows == 40)
    }

    /// A client that was answered is remembered for longer than one that was not; each datagram begins the time anew.
    @Test func flowsEndWhenTheyAreNotUsed() throws {
        let harness = try ForwarderHarness()
        let service = try DatagramPeer()
        let client = try DatagramPeer()
        client.send("x", to: try harness.publish(service.port, .udp))
        var received: (text: String, source: sockaddr_in6)?
        #expect(
            try harness.pump {
                received = received ?? service.receive(); return received != nil
            })
        let token = PortForwarder.token(
            .datagramTimer, slot: 0, generation: harness.forwarder.datagrams.flows.generation(0))
        func pass(_ milliseconds: UInt64) {
            harness.forwarder.datagrams.flows[0].lastActive -= milliseconds
            harness.forwarder.expire(token)
        }
        var source = try #require(received?.source)
        service.send("answer", &source)
        #expect(
            try harness.pump {
                client.receive() != nil
            })
        pass(DatagramFlow.unrepliedTimeout + 1)
        #expect(harness.statistics.udpActive == 1)
        pass(DatagramFlow.repliedTimeout)
        #expect(harness.statistics.udpActive == 0)
        // The next one is a new flow, which nobody answers.
        client.send("y", to: harness.forwarder.listeners[0].published.hostPort)
        #expect(
            try harness.pump {
                service.receive() != nil
            })
        let second = PortForwarder.token(
            .datagramTimer, slot: 0, generation: harness.forwarder.datagrams.flows.generation(0))
        harness.forwarder.datagrams.flows[0].lastActive -= DatagramFlow.unrepliedTimeout + 1
        harness.forwarder.expire(second)
        #expect(harness.statistics.udpActive == 0 && harness.statistics.udpFlows == 2)
    }

    @Test func anIPv4OnlyServiceIsFoundByTheNextDatagram() throws {
        let harness = try ForwarderHarness()
        let service = try DatagramPeer()
        let port = try harness.publish(service.port, host: "::1", .udp)
        let client = try DatagramPeer(ipv6: true)
        var text: String?
        #expect(
            try harness.pump {
                client.send("again", to: port, ipv6: true)
                for _ in 0..<3 { try harness.turn() }
                text = text ?? service.receive()?.text
                return text != nil
            })
        #expect(text == "again")
        #expect(harness.statistics.ipv6ToIPv4 == 1)
    }

    @Test func theTableAgreesWithADictionary() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var table = DatagramTable(capacity: 500)
        var model: [UInt64: UInt32] = [:]
        var order: [UInt64] = []
        for _ in 0..<20_000 {
            let number = UInt64.random(in: 0..<800, using: &generator)
            let key = DatagramKey(
                listener: UInt32(number % 7), interface: 0,
                peer: SocketAddress(IPAddress(ipv4: UInt32(number / 3)), port: UInt16(number % 5 + 1)),
                local: IPAddress(high: number, low: 1))
            let hash = table.hash(key)
            let found = table.find(key, hash)
            #expect(found == model[number], "seed \(seed)")
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                if found == nil, !table.flows.isFull {
                    let flow = DatagramFlow(key: key, hash: hash, listenerGeneration: 0, source: .anyIPv4, now: 0)
                    model[number] = table.insert(flow)
                    order.append(number)
                }
            case 1:
                if let found {
                    table.touch(found)
                    order.removeAll { $0 == number }
                    order.append(number)
                }
            default:
                if let found {
                    _ = table.remove(found)
                    model[number] = nil
                    order.removeAll { $0 == number }
                }
            }
            let oldest = table.oldest
            #expect(oldest == order.first.flatMap { model[$0] } ?? .max, "seed \(seed)")
            if oldest != order.first.flatMap({ model[$0] }) ?? .max { return }
        }
    }
}
