// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import SystemPackage
import Testing

@testable import PortForwarder

@Suite(.serialized) struct ForwardingTests {
    @Test(arguments: [false, true])
    func carriesBothDirectionsAndHidesLoopback(ipv6: Bool) throws {
        let harness = try ForwarderHarness()
        let service = try Service(ipv6: ipv6)
        let port = try harness.publish(service.port, host: ipv6 ? "::1" : "127.0.0.1")
        let (client, server, address) = try harness.connect(service, port, ipv6: ipv6)
        #expect(address.ip == (ipv6 ? IPAddress(high: 0, low: 1) : IPAddress(ipv4: 0x7f00_0002)))
        client.write("ping")
        #expect(
            try harness.pump {
                server.read(); return server.text == "ping"
            })
        server.write("pong")
        #expect(
            try harness.pump {
                client.read(); return client.text == "pong"
            })
        let statistics = harness.statistics
        #expect(statistics.tcpBytesUp == 4 && statistics.tcpBytesDown == 4 && statistics.tcpActive == 1)
    }

    @Test func aDualStackListenerServesIPv4AsIPv4() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let port = try harness.publish(service.port, host: "")
        let (client, server, address) = try harness.connect(service, port)
        #expect(address.ip == IPAddress(ipv4: 0x7f00_0002))
        client.write("x")
        #expect(
            try harness.pump {
                server.read(); return server.text == "x"
            })
    }

    @Test func halfCloseStaysOpenTheOtherWay() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let (client, server, _) = try harness.connect(service, try harness.publish(service.port))
        client.write("request")
        Socket.endSending(client.fd.raw)
        #expect(
            try harness.pump {
                server.read(); return server.isAtEnd
            })
        #expect(server.text == "request")
        for number in 0..<50 {
            server.write("part \(number);")
            #expect(
                try harness.pump {
                    client.read(); return client.text.hasSuffix("part \(number);")
                })
        }
        #expect(!client.isAtEnd)
        Socket.endSending(server.fd.raw)
        #expect(
            try harness.pump {
                client.read(); return client.isAtEnd
            })
        #expect(try harness.pump { harness.statistics.tcpActive == 0 })
        #expect(harness.statistics.tcpClosed == 1)
        #expect(harness.statistics.tcpReset == 0)
    }

    @Test func aServiceThatSpeaksFirstIsHeard() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let (client, server, _) = try harness.connect(service, try harness.publish(service.port))
        server.write("220 ready")
        #expect(
            try harness.pump {
                client.read(); return client.text == "220 ready"
            })
    }

    @Test func refusalResetsTheClientAtOnce() throws {
        let harness = try ForwarderHarness()
        let port = try harness.publish(try unusedPort())
        // The first connection waits for the first sockets; the second shows the steady state.
        let first = try Peer(to: port)
        #expect(
            try harness.pump {
                first.read(); return first.error != nil
            })
        #expect(first.error == .connectionReset)
        let second = try Peer(to: port)
        let before = harness.turns
        #expect(
            try harness.pump {
                second.read(); return second.error != nil
            })
        #expect(second.error == .connectionReset)
        #expect(harness.turns - before <= 2, "accept, refusal and reset are one turn")
        #expect(harness.statistics.tcpRefused == 2)
        #expect(harness.statistics.tcpActive == 0)
    }

    @Test func dataBeforeAResetArrivesBeforeTheReset() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let port = try harness.publish(service.port)
        for clientResets in [true, false] {
            let (client, server, _) = try harness.connect(service, port)
            // Both directions have carried something, so the reset meets an established flow.
            client.write("a")
            #expect(
                try harness.pump {
                    server.read(); return server.text == "a"
                })
            server.write("b")
            #expect(
                try harness.pump {
                    client.read(); return client.text == "b"
                })
            let (resetting, other) = clientResets ? (client, server) : (server, client)
            other.clear()
            // Less than the first window, so that it has left the sender's kernel when the reset discards the rest.
            let last = [UInt8](repeating: 9, count: 30_000)
            #expect(resetting.write(last[...]) == last.count)
            Socket.resetOnClose(resetting.fd.raw)
            // Aborts without closing the descriptor, which the test still owns: connect(2) AF_UNSPEC.
            var none = sockaddr_in6()
            none.sin6_family = sa_family_t(AF_UNSPEC)
            _ = samara_connect(resetting.fd.raw, &none)
            #expect(
                try harness.pump {
                    other.read(); return other.error != nil || other.isAtEnd
                })
            let isEqual = other.received == last
            #expect(isEqual, "\(other.received.count) bytes")
            #expect(other.error == .connectionReset)
            #expect(try harness.pump { harness.statistics.tcpActive == 0 })
        }
        #expect(harness.statistics.tcpReset == 2)
    }

    @Test func aResetPeerThatDoesNotReadStillGetsEverything() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let (client, server, _) = try harness.connect(service, try harness.publish(service.port))
        try Socket.set(server.fd.raw, SOL_SOCKET, SO_RCVBUF, 4096)
        // More than the server's buffer takes: the reset has to wait for the reader.
        let data = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var sent = 0
        #expect(
            try harness.pump {
                sent += client.write(data[sent...]); return sent == data.count
            })
        Socket.resetOnClose(client.fd.raw)
        var none = sockaddr_in6()
        none.sin6_family = sa_family_t(AF_UNSPEC)
        _ = samara_connect(client.fd.raw, &none)
        for _ in 0..<20 { try harness.turn() }
        #expect(
            try harness.pump {
                server.read(limit: 10_000); return server.error != nil || server.isAtEnd
            })
        // What the client's kernel had not sent before the reset is gone; what arrived is in order and complete.
        let isPrefix = server.received.elementsEqual(data.prefix(server.received.count))
        #expect(isPrefix)
        #expect(server.error == .connectionReset)
    }

    @Test(arguments: [256, 0])
    func aSlowReaderBlocksOnlyItself(overflowLimit: Int) throws {
        let harness = try ForwarderHarness(overflowLimit: overflowLimit)
        let service = try Service()
        let port = try harness.publish(service.port)
        let (slowClient, slowServer, _) = try harness.connect(service, port)
        let pattern = (0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        var data: [UInt8] = []
        for _ in 0..<200 { data += pattern }
        var sent = 0
        var idle = 0
        // Until every buffer on the way is full.
        while idle < 20, sent < data.count {
            let more = slowClient.write(data[sent..<min(sent + 100_000, data.count)])
            sent += more
            idle = more == 0 ? idle + 1 : 0
            try harness.turn()
        }
        #expect(sent < data.count, "the buffers have an end")
        let (client, server, _) = try harness.connect(service, port)
        client.write("quick")
        #expect(
            try harness.pump {
                server.read(); return server.text == "quick"
            })
        #expect(
            try harness.pump(seconds: 30) {
                sent += slowClient.write(data[sent..<min(sent + 100_000, data.count)])
                if sent == data.count { Socket.endSending(slowClient.fd.raw) }
                slowServer.read()
                return slowServer.isAtEnd
            })
        let isEqual = slowServer.received == data
        #expect(isEqual, "\(slowServer.received.count) bytes")
    }

    @Test func aThousandConnectionsAtOnce() throws {
        let harness = try ForwarderHarness(descriptorLimit: 8192)
        _ = Confinement.raiseDescriptorLimit()
        let service = try Service()
        let port = try harness.publish(service.port)
        var clients: [Peer] = []
        var servers: [Peer] = []
        for number in 0..<1000 {
            clients.append(try Peer(to: port))
            clients[number].write("\(number)")
            if number % 100 == 99 {
                #expect(
                    try harness.pump {
                        while let (peer, _) = service.accept() { servers.append(peer) }
                        return servers.count == clients.count
                    })
            }
        }
        #expect(harness.statistics.tcpActive == 1000)
        #expect(
            try harness.pump(seconds: 30) {
                for server in servers where server.received.isEmpty {
                    server.read()
                    if !server.received.isEmpty { server.write("re:" + server.text) }
                }
                for client in clients where client.received.isEmpty { client.read() }
                return clients.allSatisfy { !$0.received.isEmpty }
            })
        for (number, client) in clients.enumerated() { #expect(client.text == "re:\(number)") }
        clients.removeAll()
        servers.removeAll()
        #expect(try harness.pump { harness.statistics.tcpActive == 0 })
    }

    @Test func anIPv6ClientReachesAnIPv4OnlyServiceAsTheGateway() throws {
        for podIPv6 in [true, false] {
            let harness = try ForwarderHarness(podIPv6: podIPv6)
            let service = try Service()
            let port = try harness.publish(service.port, host: "::1")
            let (client, server, address) = try harness.connect(service, port, ipv6: true)
            #expect(address.ip == IPAddress(ipv4: 0x7f00_0002))
            client.write("six")
            #expect(
                try harness.pump {
                    server.read(); return server.text == "six"
                })
            #expect(harness.statistics.ipv6ToIPv4 == 1)
        }
    }

    @Test func aTakenSourcePortIsReplaced() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let port = try harness.publish(service.port)
        // A client whose port is in use at the gateway's address.
        let client = try Socket.make(family: AF_INET, .tcp)
        try Socket.bind(client.raw, SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: 0))
        let own = try Socket.localAddress(client.raw).port
        let blocker = try Socket.make(family: AF_INET, .tcp)
        try Socket.bind(blocker.raw, SocketAddress(IPAddress(ipv4: 0x7f00_0002), port: own))
        try Socket.listen(blocker.raw, backlog: 1)
        _ = Socket.connect(client.raw, SocketAddress(IPAddress(ipv4: 0x7f00_0001), port: port))
        var accepted: (peer: Peer, address: SocketAddress)?
        #expect(
            try harness.pump {
                accepted = accepted ?? service.accept(); return accepted != nil
            })
        let address = try #require(accepted?.address)
        #expect(address.ip == IPAddress(ipv4: 0x7f00_0002))
        #expect(address.port != own)
        #expect(harness.statistics.sourcePortChanged == 1)
    }

    @Test func aShortageStopsAcceptingWithoutSpinning() throws {
        // Room for two connections.
        let harness = try ForwarderHarness(descriptorLimit: PortForwarder.reservedDescriptors + 17)
        let service = try Service()
        let port = try harness.publish(service.port)
        var clients: [Peer] = []
        for _ in 0..<20 { clients.append(try Peer(to: port)) }
        var servers: [Peer] = []
        for _ in 0..<30 {
            try harness.turn()
            while let (peer, _) = service.accept() { servers.append(peer) }
        }
        let limit = servers.count
        #expect(limit > 0 && limit < 20)
        #expect(harness.statistics.acceptPausesDescriptors == 1 && harness.statistics.acceptPausesFlows == 0)
        // What is established goes on.
        for number in 0..<limit { clients[number].write("\(number)") }
        #expect(
            try harness.pump {
                for server in servers { server.read() }
                return servers.allSatisfy { !$0.received.isEmpty }
            })
        // With connections waiting and no room, a turn waits as long as it may: there is nothing to do.
        let before = MonotonicClock.milliseconds
        _ = try harness.turnForwarder(maximumWait: 60)
        _ = try harness.turnForwarder(maximumWait: 60)
        #expect(MonotonicClock.milliseconds - before >= 100)
        // Every end makes room for another one.
        servers.removeAll()
        clients.removeFirst(limit)
        #expect(
            try harness.pump {
                while let (peer, _) = service.accept() { servers.append(peer) }
                return servers.count >= min(limit, 20 - limit)
            })
    }

    @Test func unpublishedPortsStopAcceptingAndKeepTheirConnections() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let port = try harness.publish(service.port)
        let (client, server, _) = try harness.connect(service, port)
        let published = harness.forwarder.listeners[0].published
        #expect(harness.unpublish(published))
        #expect(!harness.unpublish(published))
        let late = try Peer(to: port)
        late.read()
        #expect(late.error == .connectionRefused)
        client.write("still")
        #expect(
            try harness.pump {
                server.read(); return server.text == "still"
            })
    }

    @Test func idleConnectionsDoNotWakeTheLoop() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let (client, server, _) = try harness.connect(service, try harness.publish(service.port))
        client.write("x")
        #expect(
            try harness.pump {
                server.read(); return server.text == "x"
            })
        for _ in 0..<5 { try harness.turn() }
        let before = MonotonicClock.milliseconds
        _ = try harness.turnForwarder(maximumWait: 80)
        #expect(MonotonicClock.milliseconds - before >= 75)
    }

    @Test func theEndOfTheKeeperResetsEverything() throws {
        let service = try Service()
        let client: Peer
        do {
            let harness = try ForwarderHarness()
            let connected = try harness.connect(service, try harness.publish(service.port))
            client = connected.client
            harness.forwarder.exit = .podEnded
            #expect(try harness.turnForwarder(maximumWait: 0) == false)
            connected.server.read()
            #expect(connected.server.error == .connectionReset)
        }
        client.read()
        #expect(client.error == .connectionReset)
    }
}
