// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage
import Testing

@testable import Netlink

/// Bytes as hexadecimal words of four bytes.
private func hex(_ bytes: [UInt8]) -> [String] {
    stride(from: 0, to: bytes.count, by: 4).map { start in
        bytes[start..<min(start + 4, bytes.count)].map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            .joined()
    }
}

/// Against messages written by hand from rtnetlink(7) and the kernel's headers, little-endian.
@Suite struct NetlinkEncodingTests {
    @Test func linkUp() {
        var request = NetlinkRequest()
        request.setLinkUp(index: 2, name: "tap0", mtu: 65520, hardwareAddress: [2, 0, 10, 0, 2, 100])
        #expect(
            hex(request.bytes) == [
                "34000000", "10000500", "01000000", "00000000",  // length 52, RTM_NEWLINK, REQUEST|ACK, sequence, port
                "00000000", "02000000", "01000000", "01000000",  // family, type; index; IFF_UP; change IFF_UP
                "0a000100", "02000a00", "02640000",  // IFLA_ADDRESS, padded
                "08000400", "f0ff0000",  // IFLA_MTU
            ])
        #expect(request.operations == ["bring up tap0"])
    }

    @Test func addresses() {
        var request = NetlinkRequest()
        request.addAddress(IPAddress(ipv4: 0x0a00_0264), prefixLength: 24, index: 2)
        request.addAddress(IPAddress(high: 0xfd00 << 48, low: 0x100), prefixLength: 64, index: 2)
        #expect(
            hex(request.bytes) == [
                "28000000", "14000506", "01000000", "00000000",  // RTM_NEWADDR, REQUEST|ACK|EXCL|CREATE
                "02180000", "02000000",  // AF_INET /24; index
                "08000200", "0a000264",  // IFA_LOCAL
                "08000100", "0a000264",  // IFA_ADDRESS
                "40000000", "14000506", "02000000", "00000000",
                "0a400200", "02000000",  // AF_INET6 /64 IFA_F_NODAD
                "14000200", "fd000000", "00000000", "00000000", "00000100",
                "14000100", "fd000000", "00000000", "00000000", "00000100",
            ])
        #expect(request.operations == ["add address 10.0.2.100/24", "add address fd00::100/64"])
    }

    @Test func aRoutesMinimumTimeout() {
        var request = NetlinkRequest()
        request.addDefaultRoute(gateway: IPAddress(ipv4: 0x0a00_0202), index: 2, minimumTimeout: 50)
        #expect(
            hex(request.bytes) == [
                "40000000", "18000506", "01000000", "00000000",  // RTM_NEWROUTE
                "02000000", "fe040001", "00000000", "08000500", "0a000202", "08000400", "02000000",
                "14000800",  // RTA_METRICS
                "08000100", "00200000",  // RTAX_LOCK: bit RTAX_RTO_MIN
                "08000d00", "32000000",  // RTAX_RTO_MIN
            ])
    }

    @Test func routes() {
        var request = NetlinkRequest()
        request.addDefaultRoute(gateway: IPAddress(ipv4: 0x0a00_0202), index: 2)
        request.addLocalRoute(.anyIPv4, prefixLength: 0, index: 1, table: 100)
        #expect(
            hex(request.bytes) == [
                "2c000000", "18000506", "01000000", "00000000",  // RTM_NEWROUTE
                "02000000", "fe040001", "00000000",  // table main, RTPROT_STATIC, universe, RTN_UNICAST
                "08000500", "0a000202",  // RTA_GATEWAY
                "08000400", "02000000",  // RTA_OIF
                "24000000", "18000506", "02000000", "00000000",
                "02000000", "6404fe02", "00000000",  // table 100, host, RTN_LOCAL
                "08000400", "01000000",
            ])
        var client = NetlinkRequest()
        client.addLocalRoute(
            IPAddress(ipv4: 0xcb00_7107), prefixLength: 32, index: 1, table: 101, source: IPAddress(ipv4: 0x0a00_0264))
        client.removeLocalRoute(IPAddress(ipv4: 0xcb00_7107), prefixLength: 32, index: 1, table: 101)
        #expect(
            hex(client.bytes) == [
                "34000000", "18000506", "01000000", "00000000", "02200000", "6504fe02", "00000000",
                "08000100", "cb007107", "08000400", "01000000",  // RTA_DST, RTA_OIF
                "08000700", "0a000264",  // RTA_PREFSRC
                "2c000000", "19000500", "02000000", "00000000", "02200000", "6504fe02", "00000000",  // RTM_DELROUTE
                "08000100", "cb007107", "08000400", "01000000",
            ])
    }

    @Test func rules() {
        var request = NetlinkRequest()
        request.addRule(.mark(0x53), family: AF_INET6, table: 100, priority: 100)
        request.addRule(.udpSourcePort(53), family: AF_INET, table: 101, priority: 101)
        #expect(
            hex(request.bytes) == [
                "2c000000", "20000506", "01000000", "00000000",  // RTM_NEWRULE
                "0a000000", "64000001", "00000000",  // AF_INET6; table 100, FR_ACT_TO_TBL
                "08000600", "64000000",  // FRA_PRIORITY
                "08000a00", "53000000",  // FRA_FWMARK
                "34000000", "20000506", "02000000", "00000000",
                "02000000", "65000001", "00000000",
                "08000600", "65000000",
                "05001600", "11000000",  // FRA_IP_PROTO udp, padded
                "08001700", "35003500",  // FRA_SPORT_RANGE
            ])
    }

    @Test func neighbours() {
        var request = NetlinkRequest()
        request.addNeighbour(IPAddress(ipv4: 0x0a00_0202), hardwareAddress: [2, 0, 10, 0, 2, 2], index: 2)
        #expect(
            hex(request.bytes) == [
                "30000000", "1c000505", "01000000", "00000000",  // RTM_NEWNEIGH, REQUEST|ACK|REPLACE|CREATE
                "02000000", "02000000", "80000000",  // AF_INET; index; NUD_PERMANENT
                "08000100", "0a000202",  // NDA_DST
                "0a000200", "02000a00", "02020000",  // NDA_LLADDR, padded
            ])
    }
}

@Suite struct NetlinkAnswerTests {
    private func message(_ sequence: UInt8, flags: UInt16, errno: Int32, _ tail: [UInt8] = []) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 36)
        bytes[0] = UInt8(36 + tail.count)
        bytes[4] = 2  // NLMSG_ERROR
        bytes[6] = UInt8(flags & 0xff)
        bytes[7] = UInt8(flags >> 8)
        bytes[8] = sequence
        withUnsafeBytes(of: -errno) { bytes.replaceSubrange(16..<20, with: $0) }
        bytes[20] = 16
        return bytes + tail
    }

    @Test func readsSuccessAndRefusalWithItsExplanation() {
        let text = Array("Nexthop has invalid gateway\0".utf8)
        let attribute = [UInt8(4 + text.count), 0, 1, 0] + text
        let bytes = message(1, flags: 0x100, errno: 0) + message(2, flags: 0x300, errno: 101, attribute)
        #expect(
            NetlinkAcknowledgement.parse(bytes[...]) == [
                NetlinkAcknowledgement(sequence: 1, errno: 0, explanation: ""),
                NetlinkAcknowledgement(sequence: 2, errno: 101, explanation: "Nexthop has invalid gateway"),
            ])
    }

    @Test func everyTruncationIsSurvived() {
        let text = Array("explanation\0".utf8)
        let bytes = message(2, flags: 0x300, errno: 101, [UInt8(4 + text.count), 0, 1, 0] + text)
        for length in 0..<bytes.count { #expect(NetlinkAcknowledgement.parse(bytes[..<length]).isEmpty) }
        for position in 0..<bytes.count {
            for value: UInt8 in [0, 1, 3, 0x7f, 0xff] {
                var damaged = bytes
                damaged[position] = value
                #expect(NetlinkAcknowledgement.parse(damaged[...]).count <= 1)
            }
        }
    }

    @Test func theKernelRefusesWithTheNameOfTheOperation() throws {
        let socket = try NetlinkSocket()
        var request = NetlinkRequest()
        // No capability over the namespace that the tests run in, or no such interface where there is.
        request.setLinkUp(index: 999_999, name: "nothing")
        do {
            try socket.perform(request)
            Issue.record("brought up an interface that does not exist")
        } catch {
            #expect(error.operation == "bring up nothing")
            #expect([Errno.notPermitted, Errno(rawValue: ENODEV)].contains(error.errno))
        }
    }
}
