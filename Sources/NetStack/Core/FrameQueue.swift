// SPDX-License-Identifier: Apache-2.0

/// A byte ring of complete frames that no flow stands behind: ARP and NDP answers, ICMP, resets, echo replies.
///
/// Bounded by bytes; a frame that does not fit is dropped by the caller of `reserve` and counted. Losing one is
/// harmless: each is an answer that the guest asks for again or a notice that it repeats the cause of.
package struct FrameQueue: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private var head = 0
    private var tail = 0
    /// Bytes at the end of memory skipped because a frame did not fit before the wrap; valid while tail < head.
    private var end: Int
    private var reserved = 0
    package private(set) var count = 0

    private static var prefixLength: Int { 8 }

    package init(capacity: Int) {
        memory = .allocate(byteCount: capacity, alignment: 16)
        end = capacity
    }

    deinit { memory.deallocate() }

    /// Space for one frame of `length` bytes, or nil when full. Becomes visible with `commit`.
    package mutating func reserve(_ length: Int) -> MutableByteView? {
        let needed = (Self.prefixLength + length + 7) & ~7
        if count == 0 {
            head = 0
            tail = 0
            end = memory.count
        }
        if count > 0 && tail <= head {
            guard needed <= head - tail else { return nil }
        } else if needed > memory.count - tail {
            guard needed <= head, count > 0 else { return nil }
            end = tail
            tail = 0
        }
        reserved = needed
        memory.storeBytes(of: UInt64(length), toByteOffset: tail, as: UInt64.self)
        return MutableByteView(
            UnsafeMutableRawBufferPointer(
                rebasing: memory[(tail + Self.prefixLength)..<(tail + Self.prefixLength + length)]))
    }

    package mutating func commit() {
        tail += reserved
        reserved = 0
        count += 1
    }

    /// Moves the oldest frame into `buffer` and returns its length, or nil when there is none.
    package mutating func pop(into buffer: MutableByteView) -> Int? {
        guard count > 0 else { return nil }
        if head >= end {
            head = 0
            end = memory.count
        }
        let length = Int(memory.load(fromByteOffset: head, as: UInt64.self))
        let start = head + Self.prefixLength
        buffer.copy(ByteView(UnsafeRawBufferPointer(rebasing: memory[start..<(start + length)])), at: 0)
        head = (start + length + 7) & ~7
        count -= 1
        return length
    }
}
