// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetControl
import Testing

@Suite struct MessageTests {
    private static let listener = PublishedListener(
        transport: .udp, hostIP: IPAddress(ipv4: 0x7f00_0001), hostPort: 8053, podPort: 53)

    private static let outbound: OutboundConfiguration = {
        var outbound = OutboundConfiguration(
            nameServerIPv4: IPAddress(ipv4: 0x0a00_0203), nameServerIPv6: IPAddress(high: 0xfd00 << 48, low: 3))
        outbound.mtu = 1500
        outbound.hostAccess = [.init(80, 80), .init(8000, 8999, at: IPAddress(ipv4: 0xc0a8_0105))]
        outbound.sourceIPv4 = IPAddress(ipv4: 0xc000_0201)
        outbound.nameServers = [IPAddress(ipv4: 0x7f00_0035)]
        return outbound
    }()

    private static let configuration = NetConfiguration(
        podName: "väg", podIPv4: IPAddress(ipv4: 0x0a00_0264), podIPv6: IPAddress(high: 0xfd00 << 48, low: 0x100),
        gatewayIPv4: IPAddress(ipv4: 0x0a00_0202), gatewayIPv6: nil, outbound: outbound)

    static let requests: [NetRequest] = [
        .configure(configuration, listenerCount: 70_000), .publish([listener, listener]), .publish([]),
        .unpublish([listener]), .statistics, .stop,
    ]

    static let replies: [NetReply] = {
        var statistics = NetStatistics()
        statistics.listeners = 1
        statistics.tcpBytesDown = .max
        statistics.outboundProhibited = 28
        return [.done, .failed("cannot publish port 80/tcp: ü"), .statistics(statistics)]
    }()

    @Test(arguments: requests) func requestsSurviveTheWire(request: NetRequest) {
        #expect(NetRequest(decoding: request.encoded) == request)
        #expect(request.encoded.count <= NetRequest.sizeLimit)
    }

    @Test(arguments: replies) func repliesSurviveTheWire(reply: NetReply) {
        #expect(NetReply(decoding: reply.encoded) == reply)
        #expect(reply.encoded.count <= NetReply.sizeLimit)
    }

    @Test func everyDamagedMessageIsRefusedOrAnotherMessage() {
        for request in Self.requests {
            let bytes = request.encoded
            for length in 0..<bytes.count { #expect(NetRequest(decoding: Array(bytes[..<length])) == nil) }
            #expect(NetRequest(decoding: bytes + [0]) == nil)
            var other = bytes
            other[0] ^= 1
            #expect(NetRequest(decoding: other) == nil, "another version")
        }
        for reply in Self.replies {
            let bytes = reply.encoded
            for length in 0..<bytes.count { #expect(NetReply(decoding: Array(bytes[..<length])) == nil) }
        }
    }

    @Test func theLargestPublishFits() {
        let many = NetRequest.publish([PublishedListener](repeating: Self.listener, count: NetRequest.listenerLimit))
        #expect(many.encoded.count <= NetRequest.sizeLimit)
        #expect(NetRequest(decoding: many.encoded) == many)
        let tooMany = [PublishedListener](repeating: Self.listener, count: NetRequest.listenerLimit + 1)
        #expect(NetRequest(decoding: NetRequest.publish(tooMany).encoded) == nil)
    }

    @Test func keeperRecordsSurviveTheWire() {
        let request = KeeperRequest(
            .datagramFlow, family: .ipv6, cookie: .max, source: IPAddress(high: 1, low: 2), sourcePort: 3,
            target: IPAddress(high: 4, low: 5), targetPort: 6)
        var bytes = [UInt8](repeating: 0xff, count: KeeperRequest.size)
        bytes.withUnsafeMutableBytes { request.encode(into: $0) }
        #expect(bytes.withUnsafeBytes { KeeperRequest(decoding: $0) } == request)
        #expect(bytes.dropLast().withUnsafeBytes { KeeperRequest(decoding: $0) } == nil)
        for count in [0, 65] {
            let batch = KeeperRequest(.sockets, count: UInt8(count))
            bytes.withUnsafeMutableBytes { batch.encode(into: $0) }
            #expect(bytes.withUnsafeBytes { KeeperRequest(decoding: $0) } == nil, "\(count) sockets")
        }
        let reply = KeeperReply(.sockets, family: .ipv4, count: 64, errno: 24, cookie: 7)
        var answer = [UInt8](repeating: 0xff, count: KeeperReply.size)
        answer.withUnsafeMutableBytes { reply.encode(into: $0) }
        #expect(answer.withUnsafeBytes { KeeperReply(decoding: $0) } == reply)
    }

    @Test func everyCounterHasItsName() {
        let names = NetStatistics().fields.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(names == Mirror(reflecting: NetStatistics()).children.compactMap(\.label))
    }
}
