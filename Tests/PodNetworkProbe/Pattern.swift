// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// A stream that both ends can make: a block of 65,521 octets (a prime, so that no frame size divides it) over and over.
struct Pattern {
    static let period = 65_521
    let bytes: [UInt8]

    init() {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        bytes = (0..<(2 * Self.period)).map { index in
            if index == Self.period { state = 0x9e37_79b9_7f4a_7c15 }
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state)
        }
    }

    /// Sends what a non-blocking socket takes of the octets from `first` on; 0 when it is full, -1 when it is broken.
    func sendSome(_ socket: Int32, from first: Int, atMost count: Int) -> Int {
        let length = min(Self.period, count)
        if length == 0 { return 0 }
        let sent = bytes.withUnsafeBytes {
            CLinux.send(
                socket, $0.baseAddress.map { $0 + first % Self.period }, length, Int32(samara_msg_nosignal))
        }
        return sent < 0 && lastErrno() == .wouldBlock ? 0 : sent
    }

    /// Sends the octets 0..<count.
    func send(_ socket: Int32, _ count: Int) -> Bool {
        var offset = 0
        while offset < count {
            let start = offset % Self.period
            let length = min(Self.period, count - offset)
            let sent = bytes.withUnsafeBytes {
                CLinux.send(socket, $0.baseAddress.map { $0 + start }, length, Int32(samara_msg_nosignal))
            }
            if sent <= 0 { return false }
            offset += sent
        }
        return true
    }

    /// Receives until the end; the number of octets, or nil at the first wrong one.
    func receive(_ socket: Int32) -> Int? {
        var stall: UInt64 = 0
        return receive(socket, atMost: .max, longestStall: &stall)
    }

    /// As above, up to a number of octets; the longest time in milliseconds without any.
    func receive(_ socket: Int32, atMost limit: Int, longestStall: inout UInt64) -> Int? {
        var buffer = [UInt8](repeating: 0, count: Self.period)
        var offset = 0
        while offset < limit {
            let began = MonotonicClock.milliseconds
            let count = recv(socket, &buffer, min(buffer.count, limit - offset), 0)
            longestStall = max(longestStall, MonotonicClock.milliseconds - began)
            if count <= 0 { return count == 0 ? offset : nil }
            let start = offset % Self.period
            let isEqual = bytes.withUnsafeBytes { expected in
                buffer.withUnsafeBytes { actual in
                    guard let left = actual.baseAddress, let right = expected.baseAddress else { return false }
                    return memcmp(left, right + start, count) == 0
                }
            }
            if !isEqual { return nil }
            offset += count
        }
        return offset
    }
}
