// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Streams the lines of the container's passwd(5) or group(5) through a fixed buffer: untrusted files of any size, of
/// which the first 64 MiB count, read without allocation. A line longer than the buffer is passed over. execve(2) closes them.
struct AccountFile {
    private let fd: Int32
    private let buffer: UnsafeMutablePointer<UInt8>
    private let capacity: Int
    private var filled = 0
    private var position = 0
    private var atEnd = false
    /// An image may have put a link to an endless device there.
    private var budget = 64 << 20
    private var skipping = false

    init(_ path: CText, _ buffer: UnsafeMutablePointer<UInt8>, _ capacity: Int) {
        // O_NONBLOCK: an image may put a FIFO there.
        fd = samara_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0)
        self.buffer = buffer
        self.capacity = capacity
        atEnd = fd < 0
    }

    /// The next line without its newline; valid until the next call.
    mutating func next() -> UnsafeBufferPointer<UInt8>? {
        while true {
            if let newline = memchr(buffer + position, 10, filled - position) {
                let start = position
                let end = buffer.distance(to: newline.assumingMemoryBound(to: UInt8.self))
                position = end + 1
                if skipping {
                    skipping = false
                    continue
                }
                return UnsafeBufferPointer(start: buffer + start, count: end - start)
            }
            if atEnd {
                let start = position
                position = filled
                return start < filled && !skipping
                    ? UnsafeBufferPointer(start: buffer + start, count: filled - start) : nil
            }
            if position > 0 {
                memmove(buffer, buffer + position, filled - position)
                filled -= position
                position = 0
            } else if filled == capacity {
                filled = 0
                skipping = true
            }
            let room = capacity - filled
            let count = read(fd, buffer + filled, room)
            if count > 0 { filled += count }
            budget -= room
            // A regular file gives less than was asked for only at its end.
            if count < room || budget <= 0 { atEnd = true }
        }
    }

    /// Field `index` of a colon-separated line; empty if there are fewer.
    static func field(_ line: UnsafeBufferPointer<UInt8>, _ index: Int) -> UnsafeBufferPointer<UInt8> {
        part(line, index, UInt8(ascii: ":"))
    }

    static func part(_ text: UnsafeBufferPointer<UInt8>, _ index: Int, _ separator: UInt8) -> UnsafeBufferPointer<UInt8>
    {
        var start = 0
        var remaining = index
        for position in 0...text.count where position == text.count || text[position] == separator {
            if remaining == 0 { return UnsafeBufferPointer(rebasing: text[start..<position]) }
            remaining -= 1
            start = position + 1
        }
        return UnsafeBufferPointer(rebasing: text[text.count...])
    }

    /// A decimal id without sign, blank or trailing text, below 2^32 - 1 (which means "no change" to the kernel):
    /// CVE-2026-30892.
    static func number(_ text: UnsafeBufferPointer<UInt8>) -> UInt32? {
        if text.isEmpty || text.count > 10 { return nil }
        var value: UInt64 = 0
        for byte in text {
            if byte < 48 || byte > 57 { return nil }
            value = value * 10 + UInt64(byte - 48)
        }
        return value < UInt64(UInt32.max) ? UInt32(value) : nil
    }

    static func equal(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for index in 0..<left.count where left[index] != right[index] { return false }
        return true
    }
}
