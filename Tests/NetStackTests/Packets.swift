// SPDX-License-Identifier: Apache-2.0
import NetStack

// Packets made and read by code that shares nothing with the stack's own encoders and decoders.

typealias Bytes = [UInt8]

func be16(_ value: Int) -> Bytes { [UInt8(value >> 8 & 255), UInt8(value & 255)] }
func be32(_ value: UInt32) -> Bytes { [24, 16, 8, 0].map { UInt8(value >> $0 & 255) } }

extension Array where Element == UInt8 {
    func at16(_ i: Int) -> Int { Int(self[i]) << 8 | Int(self[i + 1]) }
    func at32(_ i: Int) -> UInt32 { UInt32(at16(i)) << 16 | UInt32(at16(i + 2)) }
}

/// Hex digits with spaces, and comments from "//" to the end of the line.
func hex(_ text: String) -> Bytes {
    var digits = [UInt8]()
    for line in text.split(separator: "\n") {
        let code = line.range(of: "//").map { line[..<$0.lowerBound] } ?? line
        for c in code.utf8 where c != 0x20 {
            digits.append(c <= 0x39 ? c - 0x30 : (c | 0x20) - 0x61 + 10)
        }
    }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

extension Substring {
    fileprivate func range(of needle: String) -> Range<Index>? {
        var i = startIndex
        while i < endIndex {
            if self[i...].hasPrefix(needle) { return i..<endIndex }
            i = index(after: i)
        }
        return nil
    }
}

/// RFC 1071 as it is written down: words, end-around carry.
func referenceSum(_ bytes: Bytes) -> UInt16 {
    var sum: UInt32 = 0
    for i in stride(from: 0, to: bytes.count, by: 2) {
        sum += UInt32(bytes[i]) << 8 | (i + 1 < bytes.count ? UInt32(bytes[i + 1]) : 0)
        if sum > 0xffff { sum = (sum & 0xffff) + 1 }
    }
    return UInt16(sum)
}

func addressBytes(_ address: InternetAddress) -> Bytes {
    if address.isIPv4 { return be32(address.ipv4) }
    return be32(UInt32(address.high >> 32)) + be32(UInt32(address.high & 0xffff_ffff))
        + be32(UInt32(address.low >> 32)) + be32(UInt32(address.low & 0xffff_ffff))
}

func pseudoHeader(_ source: InternetAddress, _ destination: InternetAddress, _ proto: UInt8, _ length: Int) -> Bytes {
    addressBytes(source) + addressBytes(destination) + be32(UInt32(length)) + [0, 0, 0, proto]
}

/// Fills in the checksum at `field` of a transport packet.
func checksummed(
    _ transport: Bytes, _ source: InternetAddress, _ destination: InternetAddress, _ proto: UInt8, field: Int
) -> Bytes {
    var out = transport
    let pseudo = proto == 1 ? [] : pseudoHeader(source, destination, proto, transport.count)
    let sum = ~referenceSum(pseudo + transport)
    out.replaceSubrange(field..<(field + 2), with: be16(Int(sum)))
    return out
}

enum Addresses {
    static let pod = InternetAddress(10, 0, 2, 100)
    static let gateway = InternetAddress(10, 0, 2, 2)
    static let dns = InternetAddress(10, 0, 2, 3)
    static let server = InternetAddress(198, 51, 100, 7)
    static let pod6 = InternetAddress(high: 0xfd00 << 48, low: 0x64)
    static let gateway6 = InternetAddress(high: 0xfd00 << 48, low: 2)
    static let dns6 = InternetAddress(high: 0xfd00 << 48, low: 3)
    static let server6 = InternetAddress(high: 0x2001_0db8 << 32, low: 7)
    static let gatewayMAC: Bytes = [0x52, 0x55, 0x0a, 0, 2, 2]
    static let podMAC: Bytes = [0x02, 0, 0, 0, 0, 0x64]
}

struct Offload {
    var needsChecksum = false
    var gsoType: UInt8 = 0
    var gsoSize = 0
    var start = 0
    var offset = 0

    func bytes(_ length: Int) -> Bytes {
        if length == 0 { return [] }
        let head: Bytes = [
            needsChecksum ? 1 : 0, gsoType, 0, 0, UInt8(gsoSize & 255), UInt8(gsoSize >> 8), UInt8(start & 255),
            UInt8(start >> 8), UInt8(offset & 255), UInt8(offset >> 8),
        ]
        return length == 12 ? head + [0, 0] : head
    }
}

func ipv4Packet(
    _ proto: UInt8, _ source: InternetAddress, _ destination: InternetAddress, _ payload: Bytes, ttl: UInt8 = 64,
    id: Int = 0, fragment: Int = 0x4000, options: Bytes = []
) -> Bytes {
    var header: Bytes = [0x40 | UInt8(5 + options.count / 4), 0]
    header += be16(20 + options.count + payload.count) + be16(id) + be16(fragment) + [ttl, proto, 0, 0]
    header += addressBytes(source) + addressBytes(destination) + options
    header.replaceSubrange(10..<12, with: be16(Int(~referenceSum(header))))
    return header + payload
}

func ipv6Packet(
    _ next: UInt8, _ source: InternetAddress, _ destination: InternetAddress, _ payload: Bytes, hops: UInt8 = 64
) -> Bytes {
    [0x60, 0, 0, 0] + be16(payload.count) + [next, hops] + addressBytes(source) + addressBytes(destination) + payload
}

func ipPacket(
    _ proto: UInt8, _ source: InternetAddress, _ destination: InternetAddress, _ payload: Bytes, ttl: UInt8 = 64
) -> Bytes {
    source.isIPv4
        ? ipv4Packet(proto, source, destination, payload, ttl: ttl)
        : ipv6Packet(proto, source, destination, payload, hops: ttl)
}

/// Virtio header, Ethernet header from the pod, packet.
func frame(_ packet: Bytes, offload: Offload = Offload(), virtio: Int = 12, destination: Bytes? = nil) -> Bytes {
    let type: Bytes = packet[0] >> 4 == 4 ? [0x08, 0x00] : [0x86, 0xdd]
    return offload.bytes(virtio) + (destination ?? Addresses.gatewayMAC) + Addresses.podMAC + type + packet
}

struct Segment {
    var source: InternetEndpoint
    var destination: InternetEndpoint
    var seq: UInt32 = 0
    var ack: UInt32 = 0
    var flags: TCPFlags = []
    var window = 65_535
    var options: Bytes = []
    var data: Bytes = []

    func transport() -> Bytes {
        precondition(options.count % 4 == 0)
        let header =
            be16(Int(source.port)) + be16(Int(destination.port)) + be32(seq) + be32(ack)
            + [UInt8(20 + options.count) << 2, flags.rawValue] + be16(window) + [0, 0, 0, 0]
        return checksummed(header + options + data, source.address, destination.address, 6, field: 16)
    }

    func packet(ttl: UInt8 = 64) -> Bytes {
        ipPacket(6, source.address, destination.address, transport(), ttl: ttl)
    }
}

func udpTransport(_ source: InternetEndpoint, _ destination: InternetEndpoint, _ data: Bytes) -> Bytes {
    checksummed(
        be16(Int(source.port)) + be16(Int(destination.port)) + be16(8 + data.count) + [0, 0] + data, source.address,
        destination.address, 17, field: 6)
}

/// A frame that the stack has sent, taken apart; nil when any length or checksum in it is wrong.
struct Received {
    var offload = Offload()
    var etherType = 0
    var source = InternetAddress.unspecifiedIPv6
    var destination = InternetAddress.unspecifiedIPv6
    var proto: UInt8 = 0
    var isFragment = false
    var fragmentOffset = 0
    var more = false
    /// Transport header and payload (or the Ethernet payload when it is not IP).
    var transport = Bytes()

    var sourcePort: Int { transport.at16(0) }
    var destinationPort: Int { transport.at16(2) }
    var seq: UInt32 { transport.at32(4) }
    var ack: UInt32 { transport.at32(8) }
    var flags: TCPFlags { TCPFlags(rawValue: transport[13]) }
    var window: Int { transport.at16(14) }
    var data: Bytes { Bytes(transport[(Int(transport[12] >> 4) * 4)...]) }
    var tcpOptions: Bytes { Bytes(transport[20..<(Int(transport[12] >> 4) * 4)]) }

    init?(_ bytes: Bytes, virtio: Int = 12) {
        if virtio > 0 {
            offload.needsChecksum = bytes[0] & 1 != 0
            offload.gsoType = bytes[1]
            offload.gsoSize = Int(bytes[4]) | Int(bytes[5]) << 8
            offload.start = Int(bytes[6]) | Int(bytes[7]) << 8
            offload.offset = Int(bytes[8]) | Int(bytes[9]) << 8
        }
        let ethernet = Bytes(bytes[virtio...])
        guard Bytes(ethernet[6..<12]) == Addresses.gatewayMAC else { return nil }
        etherType = ethernet.at16(12)
        let packet = Bytes(ethernet[14...])
        var headerLength = 0
        switch etherType {
        case 0x0806:
            transport = packet
            return
        case 0x0800:
            guard packet[0] == 0x45, packet.at16(2) == packet.count, referenceSum(Bytes(packet[..<20])) == 0xffff else {
                return nil
            }
            proto = packet[9]
            source = InternetAddress(ipv4: packet.at32(12))
            destination = InternetAddress(ipv4: packet.at32(16))
            fragmentOffset = (packet.at16(6) & 0x1fff) * 8
            more = packet.at16(6) & 0x2000 != 0
            headerLength = 20
        case 0x86dd:
            guard packet[0] == 0x60, packet.at16(4) + 40 == packet.count else { return nil }
            func address(_ i: Int) -> InternetAddress {
                InternetAddress(
                    high: UInt64(packet.at32(i)) << 32 | UInt64(packet.at32(i + 4)),
                    low: UInt64(packet.at32(i + 8)) << 32 | UInt64(packet.at32(i + 12)))
            }
            proto = packet[6]
            source = address(8)
            destination = address(24)
            headerLength = 40
            if proto == 44 {
                proto = packet[40]
                fragmentOffset = packet.at16(42) & 0xfff8
                more = packet[43] & 1 != 0
                headerLength = 48
            }
        default: return nil
        }
        transport = Bytes(packet[headerLength...])
        isFragment = fragmentOffset > 0 || more
        if isFragment { return }
        let field = proto == 6 ? 16 : proto == 17 ? 6 : 2
        let pseudo = proto == 1 ? [] : pseudoHeader(source, destination, proto, transport.count)
        if offload.needsChecksum {
            guard offload.start == 14 + headerLength, offload.offset == field,
                transport.at16(field) == Int(referenceSum(pseudo))
            else { return nil }
        } else {
            guard referenceSum(pseudo + transport) == 0xffff else { return nil }
        }
    }
}
