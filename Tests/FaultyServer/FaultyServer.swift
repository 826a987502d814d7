// SPDX-License-Identifier: Apache-2.0
import Foundation

/// An HTTP server on loopback that answers as a test wants it to, also wrongly. One connection per request.
public final class FaultyServer: @unchecked Sendable {
    public struct Request: Sendable {
        public var method: String
        /// With the query.
        public var path: String
        /// Names in lower case.
        public var headers: [String: String]
        public var body: [UInt8]
    }

    public struct Reply: Sendable {
        public var status: Int
        public var headers: [(String, String)]
        public var body: [UInt8]
        /// Close the connection after so many bytes of the body.
        public var cutAfter: Int?
        /// Send so many bytes of the body and then nothing, until the client gives up.
        public var stallAfter: Int?

        public init(_ status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    public let port: UInt16
    private let listener: Int32
    private let respond: @Sendable (Request) -> Reply
    private let lock = NSLock()
    private var log: [Request] = []
    private var isStopped = false

    public var host: String { "127.0.0.1:\(port)" }

    /// What was asked so far.
    public var requests: [Request] { lock.withLock { log } }

    public init(_ respond: @escaping @Sendable (Request) -> Reply) throws {
        self.respond = respond
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, __CONST_SOCKADDR_ARG(__sockaddr__: pointer), length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, __SOCKADDR_ARG(__sockaddr__: pointer), &length) == 0
            }
        }
        guard code else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
        let thread = Thread { [self] in accept() }
        thread.start()
    }

    public func stop() {
        lock.withLock {
            if isStopped { return }
            isStopped = true
            // Wakes the accepting thread, which closes it: a number closed here could be another server's by the time
            // that thread accepts again.
            shutdown(listener, Int32(SHUT_RDWR))
        }
    }

    private func accept() {
        defer { close(listener) }
        while true {
            let connection = Glibc.accept4(
                listener, __SOCKADDR_ARG(__sockaddr__: nil), nil, Int32(SOCK_CLOEXEC.rawValue))
            if connection < 0 { return }
            let thread = Thread { [self] in serve(connection) }
            thread.start()
        }
    }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        guard let request = read(connection) else { return }
        lock.withLock { log.append(request) }
        let reply = respond(request)
        var head = "HTTP/1.1 \(reply.status) Status\r\nConnection: close\r\n"
        if !reply.headers.contains(where: { $0.0.lowercased() == "content-length" }) {
            head += "Content-Length: \(reply.body.count)\r\n"
        }
        for (name, value) in reply.headers { head += "\(name): \(value)\r\n" }
        send(connection, Array((head + "\r\n").utf8))
        if request.method == "HEAD" { return }
        let count = reply.cutAfter ?? reply.stallAfter ?? reply.body.count
        send(connection, Array(reply.body.prefix(count)))
        var byte: UInt8 = 0
        // Until the client closes.
        if reply.stallAfter != nil { while recv(connection, &byte, 1, 0) > 0 {} }
    }

    private func send(_ connection: Int32, _ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }

    private func read(_ connection: Int32) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        let end = Array("\r\n\r\n".utf8)
        var headEnd: Int?
        while headEnd == nil {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return nil }
            bytes += buffer[..<count]
            // A TLS client: the connection is closed, as a server without TLS does.
            if bytes[0] == 22 { return nil }
            headEnd = bytes.indices.first { bytes[$0...].starts(with: end) }
        }
        let start = (headEnd ?? 0) + 4
        let lines = String(decoding: bytes[..<(start - 4)], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ").map(String.init)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces)
        }
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        while bytes.count - start < length {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return nil }
            bytes += buffer[..<count]
        }
        return Request(method: words[0], path: words[1], headers: headers, body: Array(bytes[start...]))
    }
}
