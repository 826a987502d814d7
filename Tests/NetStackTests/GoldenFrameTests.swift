// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

/// Whole frames, octet by octet. The expected octets were computed outside of this package.
@Suite struct GoldenFrameTests {
    @Test func synIsAnsweredBySynAck() {
        let harness = Harness()
        harness.inject(
            hex(
                """
                0000 0000 0000 0000 0000 0000  // virtio: no offload
                5255 0a00 0202 0200 0000 0064 0800  // Ethernet: destination, source, type
                4500 0030 0000 4000 4006 042a 0a00 0264 c633 6407  // IPv4: 10.0.2.100 > 198.51.100.7, DF, TCP
                9c40 0050 0000 03e8 0000 0000 7002 faf0 b210 0000  // TCP: 40000 > 80, seq 1000, SYN, window 64240
                0204 05b4 0103 0307  // MSS 1460, window scale 7
                """))
        #expect(
            harness.rawFrames() == [
                hex(
                    """
                    0000 0000 0000 0000 0000 0000  // virtio: no offload
                    0200 0000 0064 5255 0a00 0202 0800  // Ethernet: destination, source, type
                    4500 0030 0000 4000 4006 042a c633 6407 0a00 0264  // IPv4: 198.51.100.7 > 10.0.2.100, DF, TCP
                    0050 9c40 4fec d9f4 0000 03e9 7012 ffff 830f 0000  // TCP: 80 > 40000, seq 4 µs clock + SipHash, ack 1001, SYN ACK, window 65535
                    0204 05b4 0103 0307  // MSS 1460, window scale 7
                    """)
            ])
    }

    @Test func refusedConnectionIsReset() {
        let harness = Harness(policy: DestinationPolicy(otherwise: .refuse))
        harness.inject(
            hex(
                """
                0000 0000 0000 0000 0000 0000  // virtio: no offload
                5255 0a00 0202 0200 0000 0064 0800  // Ethernet: destination, source, type
                4500 0030 0000 4000 4006 042a 0a00 0264 c633 6407  // IPv4: 10.0.2.100 > 198.51.100.7, DF, TCP
                9c40 0050 0000 03e8 0000 0000 7002 faf0 b210 0000  // TCP: 40000 > 80, seq 1000, SYN, window 64240
                0204 05b4 0103 0307  // MSS 1460, window scale 7
                """))
        #expect(
            harness.rawFrames() == [
                hex(
                    """
                    0000 0000 0000 0000 0000 0000  // virtio: no offload
                    0200 0000 0064 5255 0a00 0202 0800  // Ethernet: destination, source, type
                    4500 0028 0000 4000 4006 0432 c633 6407 0a00 0264  // IPv4
                    0050 9c40 0000 0000 0000 03e9 5014 0000 d8b8 0000  // TCP: 80 > 40000, seq 0, ack 1001, RST ACK
                    """)
            ])
    }

    @Test func arpRequestForTheGateway() {
        let harness = Harness()
        harness.inject(
            hex(
                """
                0000 0000 0000 0000 0000 0000  // virtio: no offload
                ffff ffff ffff 0200 0000 0064 0806  // Ethernet: destination, source, type
                0001 0800 0604 0001 0200 0000 0064 0a00 0264 0000 0000 0000 0a00 0202  // ARP: who has 10.0.2.2, tell 10.0.2.100
                """))
        #expect(
            harness.rawFrames() == [
                hex(
                    """
                    0000 0000 0000 0000 0000 0000  // virtio: no offload
                    0200 0000 0064 5255 0a00 0202 0806  // Ethernet: destination, source, type
                    0001 0800 0604 0002 5255 0a00 0202 0a00 0202 0200 0000 0064 0a00 0264  // ARP: 10.0.2.2 is at 52:55:0a:00:02:02
                    """)
            ])
    }

    @Test func neighbourSolicitationForTheGateway() {
        let harness = Harness()
        harness.inject(
            hex(
                """
                0000 0000 0000 0000 0000 0000  // virtio: no offload
                3333 ff00 0002 0200 0000 0064 86dd  // Ethernet: destination, source, type
                6000 0000 0020 3aff fd00 0000 0000 0000 0000 0000 0000 0064 ff02 0000 0000 0000 0000 0001 ff00 0002  // IPv6: fd00::64 > ff02::1:ff00:2, hop limit 255, ICMPv6
                8700 7cd1 0000 0000 fd00 0000 0000 0000 0000 0000 0000 0002 0101 0200 0000 0064  // neighbour solicitation for fd00::2, source link-layer address
                """))
        #expect(
            harness.rawFrames() == [
                hex(
                    """
                    0000 0000 0000 0000 0000 0000  // virtio: no offload
                    0200 0000 0064 5255 0a00 0202 86dd  // Ethernet: destination, source, type
                    6000 0000 0020 3aff fd00 0000 0000 0000 0000 0000 0000 0002 fd00 0000 0000 0000 0000 0000 0000 0064  // IPv6: fd00::2 > fd00::64, hop limit 255, ICMPv6
                    8800 3fe1 e000 0000 fd00 0000 0000 0000 0000 0000 0000 0002 0201 5255 0a00 0202  // neighbour advertisement, router solicited override, target link-layer address
                    """)
            ])
    }

    @Test func echoToTheGateway() {
        let harness = Harness()
        harness.inject(
            hex(
                """
                0000 0000 0000 0000 0000 0000  // virtio: no offload
                5255 0a00 0202 0200 0000 0064 0800  // Ethernet: destination, source, type
                4500 0021 0000 4000 4001 2277 0a00 0264 0a00 0202  // IPv4: 10.0.2.100 > 10.0.2.2, ICMP
                0800 bbff 1234 0005 6162 6364 65  // echo request, identifier 1234, sequence 5, "abcde"
                """))
        #expect(
            harness.rawFrames() == [
                hex(
                    """
                    0000 0000 0000 0000 0000 0000  // virtio: no offload
                    0200 0000 0064 5255 0a00 0202 0800  // Ethernet: destination, source, type
                    4500 0021 0000 0000 4001 6277 0a00 0202 0a00 0264  // IPv4: 10.0.2.2 > 10.0.2.100, ICMP
                    0000 c3ff 1234 0005 6162 6364 65  // echo reply
                    """)
            ])
    }

    @Test func refusedDatagramIsPortUnreachable() {
        let harness = Harness(policy: DestinationPolicy(otherwise: .refuse))
        harness.inject(
            hex(
                """
                0000 0000 0000 0000 0000 0000  // virtio: no offload
                5255 0a00 0202 0200 0000 0064 0800  // Ethernet: destination, source, type
                4500 0020 0000 4000 4011 042f 0a00 0264 c633 6407  // IPv4: 10.0.2.100 > 198.51.100.7, UDP
                14e9 0035 000c d548 7069 6e67  // UDP: 5353 > 53, "ping"
                """))
        #expect(
            harness.rawFrames() == [
                hex(
                    """
                    0000 0000 0000 0000 0000 0000  // virtio: no offload
                    0200 0000 0064 5255 0a00 0202 0800  // Ethernet: destination, source, type
                    4500 003c 0000 0000 4001 4423 c633 6407 0a00 0264  // IPv4: 198.51.100.7 > 10.0.2.100, ICMP
                    0303 33b9 0000 0000  // destination unreachable, port
                    4500 0020 0000 4000 4011 042f 0a00 0264 c633 6407  // quoted IPv4 header
                    14e9 0035 000c d548 7069 6e67  // quoted UDP
                    """)
            ])
    }

    @Test func datagramToTheGuestOverIPv6() throws {
        let harness = Harness()
        // Any frame teaches the guest's MAC address; this one makes the mapping.
        harness.inject(
            frame(
                ipv6Packet(
                    17, Addresses.pod6, Addresses.server6,
                    udpTransport(
                        InternetEndpoint(Addresses.pod6, 5353), InternetEndpoint(Addresses.server6, 53), [1]))))
        let frames = try harness.sendDatagrams(Array("pong".utf8), from: InternetEndpoint(Addresses.server6, 53))
        #expect(
            frames == [
                hex(
                    """
                    0100 0000 0000 3600 0600 0000  // virtio: needs checksum, start 54, offset 6
                    0200 0000 0064 5255 0a00 0202 86dd  // Ethernet: destination, source, type
                    6000 0000 000c 1140 2001 0db8 0000 0000 0000 0000 0000 0007 fd00 0000 0000 0000 0000 0000 0000 0064  // IPv6: 2001:db8::7 > fd00::64, UDP
                    0035 14e9 000c 2b42 706f 6e67  // UDP: 53 > 5353, pseudo-header sum, "pong"
                    """)
            ])
    }
}
