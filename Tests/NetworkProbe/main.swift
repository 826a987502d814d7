// SPDX-License-Identifier: Apache-2.0
import Glibc

// `NetworkProbe udp-echo PORT`: answers each datagram with the sender's address, a space and the datagram. Static,
// because it runs in containers: no image of the tests has a UDP server.

func fail(_ what: String) -> Never {
    perror(what)
    exit(1)
}

func say(_ text: String, on descriptor: Int32) { _ = write(descriptor, text, text.utf8.count) }

let arguments = CommandLine.arguments
guard arguments.count == 3, arguments[1] == "udp-echo", let port = UInt16(arguments[2]) else {
    say("usage: NetworkProbe udp-echo PORT\n", on: 2)
    exit(2)
}
let server = socket(AF_INET6, Int32(SOCK_DGRAM.rawValue), 0)
if server < 0 { fail("socket") }
var address = sockaddr_in6()
address.sin6_family = sa_family_t(AF_INET6)
address.sin6_port = port.bigEndian
let size = socklen_t(MemoryLayout<sockaddr_in6>.size)
let bound = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(server, .init(__sockaddr__: $0), size) }
}
if bound != 0 { fail("bind") }
say("ready\n", on: 1)
var buffer = [UInt8](repeating: 0, count: 65536)
while true {
    var sender = sockaddr_in6()
    var length = size
    let count = withUnsafeMutablePointer(to: &sender) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            recvfrom(server, &buffer, buffer.count, 0, .init(__sockaddr__: $0), &length)
        }
    }
    if count < 0 { fail("recvfrom") }
    var name = [CChar](repeating: 0, count: 64)
    inet_ntop(AF_INET6, &sender.sin6_addr, &name, socklen_t(name.count))
    let answer = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } + [0x20] + buffer[..<count]
    let sent = withUnsafePointer(to: &sender) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            sendto(server, answer, answer.count, 0, .init(__sockaddr__: $0), length)
        }
    }
    if sent < 0 { fail("sendto") }
}
