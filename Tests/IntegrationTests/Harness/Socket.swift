// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A blocking TCP or UDP socket of the host with five seconds of patience; closed with the object.
final class Socket {
    enum Kind { case tcp, udp }

    let descriptor: Int32

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
    }

    deinit { close(descriptor) }

    /// Connects to a port of an IPv4 or IPv6 address.
    static func connect(_ address: String = "127.0.0.1", _ port: UInt16, _ kind: Kind = .tcp) throws -> Socket {
        let socket = try make(address, kind)
        let status = try withAddress(address, port) { Glibc.connect(socket.descriptor, .init(__sockaddr__: $0), $1) }
        guard status == 0 else { throw HarnessError("connect to \(address) port \(port): \(reason())") }
        return socket
    }

    /// Binds, and listens if it is a TCP socket. Connections in TIME-WAIT do not matter (SO_REUSEADDR, socket(7)).
    static func bind(_ address: String = "0.0.0.0", _ port: UInt16, _ kind: Kind = .tcp) throws -> Socket {
        let socket = try make(address, kind)
        var on: Int32 = 1
        if kind == .tcp {
            setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        let status = try withAddress(address, port) { Glibc.bind(socket.descriptor, .init(__sockaddr__: $0), $1) }
        guard status == 0, kind == .udp || listen(socket.descriptor, 1) == 0 else {
            throw HarnessError("bind to \(address) port \(port): \(reason())")
        }
        return socket
    }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw HarnessError("send: \(Self.reason())") }
            rest = rest.dropFirst(count)
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Says that nothing more will be sent; receiving goes on.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// What comes next, at most `limit` bytes; empty at the end of the stream.
    func receive(limit: Int = 65536) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(descriptor, &buffer, limit, 0)
        guard count >= 0 else { throw HarnessError("receive: \(Self.reason())") }
        return Array(buffer[..<count])
    }

    /// Everything until the peer closes.
    func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try receive()
            if piece.isEmpty { return all }
            all += piece
        }
    }

    private static func make(_ address: String, _ kind: Kind) throws -> Socket {
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let type = kind == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let descriptor = socket(family, Int32(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("socket: \(reason())") }
        return Socket(descriptor)
    }

    private static func reason() -> String { String(cString: strerror(errno)) }

    private static func withAddress(
        _ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        func raw<Address>(_ address: inout Address) -> Int32 {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
            }
        }
        if text.contains(":") {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            guard inet_pton(AF_INET6, text, &address.sin6_addr) == 1 else { throw HarnessError("no address: \(text)") }
            return raw(&address)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, text, &address.sin_addr) == 1 else { throw HarnessError("no address: \(text)") }
        return raw(&address)
    }
}
