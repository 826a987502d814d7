// SPDX-License-Identifier: Apache-2.0
import CloseMatrix
import LinuxSystem
import SystemPackage
import Testing

@testable import PortForwarder

extension CloseScenario: CustomTestStringConvertible {
    package var testDescription: String { name }
}

/// The same client and server over loopback and over the forwarder: what each side sees of the other's end must be the
/// same bytes, the same errors, in the same order. The pod's way out has the same matrix in `PodNetworkProbe`.
@Suite(.serialized) struct CloseMatrixTests {
    @Test(arguments: CloseScenario.all, [false, true])
    func looksAsOnLoopback(scenario: CloseScenario, ipv6: Bool) throws {
        let harness = try ForwarderHarness()
        let service = try Service(ipv6: ipv6)
        let port = try harness.publish(service.port, host: ipv6 ? "::1" : "127.0.0.1")
        var logs: [[String]] = []
        for target in [service.port, port] {
            let connection = ObservedConnection(client: try Peer(to: target, ipv6: ipv6)) {
                try harness.pump(until: $0)
            }
            _ = try harness.pump {
                connection.server = connection.server ?? service.accept()?.peer
                return connection.server != nil
            }
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
