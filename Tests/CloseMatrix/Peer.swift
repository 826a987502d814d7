// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A non-blocking TCP socket of a test.
package final class Peer {
    package let fd: OwnedFD
    package private(set) var received: [UInt8] = []
    package private(set) var isAtEnd = false
    package private(set) var error: Errno?

    package init(_ fd: consuming OwnedFD) { self.fd = fd }

    /// Connects to the host's loopback.
    package convenience init(to port: UInt16, ipv6: Bool = false) throws {
        let address = ipv6 ? IPAddress(high: 0, low: 1) : IPAddress(ipv4: 0x7f00_0001)
        let socket = try Socket.make(family: ipv6 ? AF_INET6 : AF_INET, .tcp)
        if case .failed(let error) = Socket.connect(socket.raw, SocketAddress(address, port: port)) { throw error }
        self.init(socket)
    }

    /// Takes what is there.
    package func read(limit: Int = .max) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 8)
        defer { buffer.deallocate() }
        var left = limit
        while left > 0, !isAtEnd, error == nil {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(left, buffer.count)])
            switch Transfer.receive(fd.raw, into: part) {
            case .bytes(let count):
                received.append(contentsOf: part[..<count])
                left -= count
            case .endOfFile: isAtEnd = true
            case .failed(let error): self.error = error
            case .wouldBlock: return
            }
        }
    }

    /// Whether what was received is `data`, over and over, from `position` of that stream on.
    package func received(isRepeated data: [UInt8], from position: Int) -> Bool {
        var offset = 0
        while offset < received.count {
            let start = (position + offset) % data.count
            let count = min(data.count - start, received.count - offset)
            // memcmp: a comparison of collections takes minutes without optimisation.
            let isEqual = received.withUnsafeBytes { left in
                data.withUnsafeBytes { right in
                    guard let left = left.baseAddress, let right = right.baseAddress else { return false }
                    return memcmp(left + offset, right + start, count) == 0
                }
            }
            if !isEqual { return false }
            offset += count
        }
        return true
    }

    /// Forgets what was received.
    package func clear() { received.removeAll(keepingCapacity: true) }

    /// Writes what fits and returns how much that was.
    @discardableResult
    package func write(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBytes {
            if case .bytes(let count) = Transfer.send(fd.raw, $0) { return count }
            return 0
        }
    }

    package func write(_ text: String) { write(Array(text.utf8)[...]) }

    package var text: String { String(decoding: received, as: UTF8.self) }
}
