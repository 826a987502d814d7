// SPDX-License-Identifier: Apache-2.0

/// Buffers for what a sink did not take. Made on first use and kept; at most `limit` exist, since ten thousand slow
/// readers must not cost ten thousand buffers (a direction without one peeks instead).
struct OverflowPool: ~Copyable {
    private let bufferSize: Int
    private let limit: Int
    private let buffers: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    private var count = 0

    init(bufferSize: Int, limit: Int) {
        self.bufferSize = bufferSize
        self.limit = limit
        buffers = .allocate(capacity: max(1, limit))
        free = .allocate(capacity: max(1, limit))
    }

    deinit {
        for index in 0..<count { buffers[index].deallocate() }
        buffers.deallocate()
        free.deallocate()
    }

    var hasBuffer: Bool { freeCount > 0 || count < limit }

    /// A buffer that starts with `bytes`; there must be one.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        precondition(hasBuffer && bytes.count <= bufferSize, "an overflow buffer for at most its size")
        let index: Int32
        if freeCount > 0 {
            freeCount -= 1
            index = free[freeCount]
        } else {
            index = Int32(count)
            buffers[count] = .allocate(byteCount: bufferSize, alignment: 4096)
            count += 1
        }
        if let start = bytes.baseAddress { buffers[Int(index)].copyMemory(from: start, byteCount: bytes.count) }
        return index
    }

    /// Writes `bytes` behind `offset`. False if there is no room for them.
    mutating func write(_ index: Int32, at offset: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        precondition(index >= 0 && index < count, "an overflow buffer that exists")
        if bytes.count > bufferSize - offset { return false }
        if let start = bytes.baseAddress {
            (buffers[Int(index)] + offset).copyMemory(from: start, byteCount: bytes.count)
        }
        return true
    }

    func bytes(_ index: Int32) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < count, "an overflow buffer that exists")
        return UnsafeRawBufferPointer(start: buffers[Int(index)], count: bufferSize)
    }

    mutating func release(_ index: Int32) {
        precondition(index >= 0 && index < count && freeCount < count, "an overflow buffer that was taken")
        free[freeCount] = index
        freeCount += 1
    }
}
