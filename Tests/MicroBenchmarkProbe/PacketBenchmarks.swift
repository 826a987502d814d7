// SPDX-License-Identifier: Apache-2.0
import NetStack

/// Checksums, frames in and out, and finding a flow.
func measurePackets(_ measuring: inout Measuring) {
    let data = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 64)
    data.initializeMemory(as: UInt8.self, repeating: 0xa5)
    for size in [1460, 65_536] {
        measuring.measure("checksum-\(size)", "checksum of \(size) B") { count in
            for _ in 0..<count {
                var sum = InternetChecksum()
                sum.add(ByteView(UnsafeRawBufferPointer(rebasing: data[..<size])))
                keep(sum)
            }
        }
    }
    let flows = FlowTable()
    measuring.measure("flow-lookup", "lookup among 10,000 flows") { flows.lookUp($0) }
    let conversation = Conversation()
    measuring.measure("echo-reply", "echo request parsed, reply built") { conversation.echo($0) }
    measuring.measure("segment-ack", "1460 B segment parsed, its ACK built") { conversation.segment($0) }
}

private final class FlowTable {
    private var index = HashIndex()
    private static let spread: UInt32 = 2_654_435_761

    init() {
        for number in 0..<UInt32(10_000) { index.insert(number &* Self.spread, number) }
    }

    func lookUp(_ count: Int) {
        var number: UInt32 = 0
        for _ in 0..<count {
            number = number == 9_999 ? 0 : number + 1
            var probe = index.probe(number &* Self.spread)
            keep(index.next(&probe))
        }
    }
}

/// A guest on a stack: one open connection, and echo requests. Checksums are left to the offload where it exists.
private final class Conversation {
    private var stack: NetStack
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: NetStack.outputCapacity, alignment: 16)
    private let request: UnsafeMutableRawBufferPointer
    private let data: UnsafeMutableRawBufferPointer
    private let now = MonotonicTime(milliseconds: 1000)
    private var seq: UInt32 = 1001

    init() {
        let configuration = Configuration(
            mtu: 1500, virtioHeaderLength: 12, hasSegmentationOffload: true, gatewayMAC: MACAddress(0x5255_0a00_0202),
            ipv4: Configuration.Subnet(
                prefix: InternetPrefix(InternetAddress(10, 0, 2, 0), 24), gateway: InternetAddress(10, 0, 2, 2),
                dns: InternetAddress(10, 0, 2, 3)),
            ipv6: Configuration.Subnet(
                prefix: InternetPrefix(InternetAddress(high: 0xfd00 << 48, low: 0), 64),
                gateway: InternetAddress(high: 0xfd00 << 48, low: 2), dns: InternetAddress(high: 0xfd00 << 48, low: 3)),
            key: HashKey(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210))
        stack = NetStack(configuration, policy: .protectingHost())
        let echo: [UInt8] = Self.withChecksum([8, 0, 0, 0, 0, 1, 0, 1] + [UInt8](repeating: 7, count: 56), at: 2)
        request = Self.frame(protocol: 1, to: [10, 0, 2, 2], echo, offload: false)
        data = Self.frame(
            protocol: 6, to: [198, 51, 100, 7], Self.segment(seq: 1001, ack: 0, flags: 0x10, payload: 1460),
            offload: true)
        let syn = Self.frame(
            protocol: 6, to: [198, 51, 100, 7], Self.segment(seq: 1000, ack: 0, flags: 0x02, payload: 0), offload: true)
        stack.receive(UnsafeRawBufferPointer(syn), now: now)
        while let event = stack.nextEvent() {
            if case .tcpConnect(let id, _, _) = event {
                stack.acceptConnection(id, receiveCapacity: 1 << 20, now: now)
            }
        }
        drain()
        let iss = UInt32(bigEndian: output.loadUnaligned(fromByteOffset: 12 + 34 + 4, as: UInt32.self))
        data.storeBytes(of: (iss &+ 1).bigEndian, toByteOffset: 12 + 34 + 8, as: UInt32.self)
    }

    func echo(_ count: Int) {
        for _ in 0..<count {
            stack.receive(UnsafeRawBufferPointer(request), now: now)
            drain()
        }
    }

    func segment(_ count: Int) {
        for _ in 0..<count {
            data.storeBytes(of: seq.bigEndian, toByteOffset: 12 + 34 + 4, as: UInt32.self)
            seq &+= 1460
            stack.receive(UnsafeRawBufferPointer(data), now: now)
            while let event = stack.nextEvent() {
                if case .tcpData(let id, let data) = event {
                    stack.take(id, octets: data.count, receiveCapacity: 1 << 20, now: now)
                }
            }
            drain()
        }
        // A stack that takes nothing would be fast.
        precondition(stack.tcpFlowCount == 1)
    }

    private func drain() {
        while case .frame = stack.nextOutput(into: output, now: now) {}
    }

    // MARK: Frames

    private static func frame(
        protocol number: UInt8, to destination: [UInt8], _ transport: [UInt8], offload: Bool
    ) -> UnsafeMutableRawBufferPointer {
        let virtio: [UInt8] = offload ? [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0] : [UInt8](repeating: 0, count: 12)
        let ethernet: [UInt8] = [0x52, 0x55, 0x0a, 0, 2, 2, 0x02, 0, 0, 0, 0, 0x64, 0x08, 0x00]
        let length = 20 + transport.count
        let header = withChecksum(
            [0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 1, 0, 0, 64, number, 0, 0, 10, 0, 2, 100]
                + destination, at: 10)
        let bytes = virtio + ethernet + header + transport
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        memory.copyBytes(from: bytes)
        return memory
    }

    private static func segment(seq: UInt32, ack: UInt32, flags: UInt8, payload: Int) -> [UInt8] {
        func be32(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(value >> $0 & 255) } }
        return [0x9c, 0x40, 0, 80] + be32(seq) + be32(ack) + [0x50, flags, 0xea, 0x60, 0, 0, 0, 0]
            + [UInt8](repeating: 7, count: payload)
    }

    private static func withChecksum(_ bytes: [UInt8], at field: Int) -> [UInt8] {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1])
        }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        var result = bytes
        result[field] = UInt8(~sum >> 8 & 255)
        result[field + 1] = UInt8(~sum & 255)
        return result
    }
}
