// SPDX-License-Identifier: Apache-2.0
import Glibc

// Servers that no image of the tests has. Static, because it runs in containers. It prints "ready" when it can be
// reached.
//
//   NetworkProbe udp-echo PORT       answers each datagram with the sender's address, a space and the datagram
//   NetworkProbe tcp-farewell PORT   says "hello", ends its side, and prints what one client still sends

func say(_ text: String, on descriptor: Int32 = 1) { _ = write(descriptor, text, text.utf8.count) }

func fail(_ what: String) -> Never {
    perror(what)
    exit(1)
}

func listener(_ type: __socket_type, _ port: UInt16) -> Int32 {
    let server = socket(AF_INET6, Int32(type.rawValue), 0)
    if server < 0 { fail("socket") }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(server, .init(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
    }
    if bound != 0 { fail("bind") }
    if type == SOCK_STREAM, listen(server, 8) != 0 { fail("listen") }
    return server
}

func echoDatagrams(_ server: Int32) -> Never {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        var sender = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
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
}

func bidFarewell(_ server: Int32) {
    let client = accept(server, .init(__sockaddr__: nil), nil)
    if client < 0 { fail("accept") }
    say("hello\n", on: client)
    if shutdown(client, Int32(SHUT_WR)) != 0 { fail("shutdown") }
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(client, &buffer, buffer.count)
        if count < 0 { fail("read") }
        if count == 0 { break }
        _ = write(1, buffer, count)
    }
    say("end\n")
}

let arguments = CommandLine.arguments
guard arguments.count == 3, let port = UInt16(arguments[2]) else {
    say("usage: NetworkProbe udp-echo|tcp-farewell PORT\n", on: 2)
    exit(2)
}
switch arguments[1] {
case "udp-echo":
    let server = listener(SOCK_DGRAM, port)
    say("ready\n")
    echoDatagrams(server)
case "tcp-farewell":
    let server = listener(SOCK_STREAM, port)
    say("ready\n")
    bidFarewell(server)
default:
    say("NetworkProbe: unknown mode \(arguments[1])\n", on: 2)
    exit(2)
}
