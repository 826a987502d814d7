// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetControl
import Testing

@testable import PodNetwork

/// `host-access=`: what is opened, and which mistakes are named.
@Suite struct HostAccessTests {
    typealias Access = OutboundConfiguration.HostAccess

    static let good: [(String, [Access])] = [
        ("5432", [Access(5432, 5432)]),
        ("80,8000-8999", [Access(80, 80), Access(8000, 8999)]),
        ("192.168.1.5:5432", [Access(5432, 5432, at: IPAddress(ipv4: 0xc0a8_0105))]),
        (
            "[2001:db8::5]:80-90,169.254.169.254:80,1",
            [
                Access(80, 90, at: IPAddress(high: 0x2001_0db8 << 32, low: 5)),
                Access(80, 80, at: IPAddress(ipv4: 0xa9fe_a9fe)), Access(1, 1),
            ]
        ),
    ]

    @Test(arguments: good) func isParsed(text: String, expected: [Access]) throws {
        #expect(try NetworkOptions.settings("private:host-access=\(text)").hostAccess == expected)
    }

    static let bad: [(String, String)] = [
        ("", "invalid host-access port \"\""), ("0", "invalid host-access port \"0\""),
        ("90-80", "invalid host-access port"), ("65536", "invalid host-access port"),
        ("host:80", "invalid host-access \"host:80\""), ("192.168.1.5:", "invalid host-access \"192.168.1.5:\""),
        ("2001:db8::5:80", "must be PORT, ADDRESS:PORT or [IPV6]:PORT"), ("[192.168.1.5]:80", "must be PORT"),
        ("127.0.0.2:80", "give the port alone"), ("[::1]:80", "give the port alone"), ("0.0.0.0:80", "give the port"),
        ("[::ffff:127.0.0.1]:80", "give the port alone"),
        ("[fe80::1]:80", "addresses of one link"), ("224.0.0.1:80", "groups"), ("[ff02::1]:80", "groups"),
        ("10.0.2.3:80", "in the pod's own network"), ("[fd00::2]:80", "in the pod's own network"),
        ("10.9.0.7:80,cidr=10.9.0.0/24", "in the pod's own network"),
    ]

    @Test(arguments: bad) func isRefused(text: String, message: String) {
        #expect {
            _ = try NetworkOptions.settings("private:host-access=\(text)")
        } throws: {
            ($0 as? PodNetworkError)?.message.contains(message) == true
        }
    }

    @Test func anotherNetworksAddressIsNobodys() throws {
        #expect(try NetworkOptions.settings("private:cidr=10.9.0.0/24,host-access=10.0.2.3:80").hostAccess.count == 1)
    }
}
