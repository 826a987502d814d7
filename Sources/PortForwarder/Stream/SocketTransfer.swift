// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// The product's `StreamTransfer`: system calls on descriptors, with the scratch buffer, the overflow buffers and the
/// pipes of one forwarder.
struct SocketTransfer: StreamTransfer, ~Copyable {
    /// 64 KiB: reads of this size in a row mark a bulk transfer.
    var bufferSize: Int { 64 << 10 }
    let scratch: UnsafeMutableRawBufferPointer
    private var overflow: OverflowPool
    private(set) var pipes: PipePool
    /// Whether something was received, and whether a pipe was filled, since the last `takeMessageMark`.
    private var hasReceived = false
    private var isBulk = false
    /// Bytes that left through a pipe.
    private(set) var spliced: UInt64 = 0

    init(overflowLimit: Int = 256, pipeLimit: Int = 32) {
        scratch = .allocate(byteCount: 64 << 10, alignment: 4096)
        overflow = OverflowPool(bufferSize: 64 << 10, limit: overflowLimit)
        pipes = PipePool(limit: pipeLimit)
    }

    deinit { scratch.deallocate() }

    mutating func receive(_ source: Int32) -> TransferOutcome {
        hasReceived = true
        return Transfer.receive(source, into: scratch)
    }

    mutating func peek(_ source: Int32) -> TransferOutcome { Transfer.receive(source, into: scratch, peek: true) }

    mutating func discard(_ source: Int32, _ count: Int) -> TransferOutcome { Transfer.discard(source, count) }

    /// The end then travels in the last segment: one packet and one wake-up of the peer instead of two.
    mutating func send(_ sink: Int32, offset: Int, end: Int, endFollows: Bool) -> TransferOutcome {
        Transfer.send(sink, UnsafeRawBufferPointer(rebasing: scratch[offset..<end]), moreFollows: endFollows)
    }

    var hasOverflow: Bool { overflow.hasBuffer }

    mutating func takeOverflow(offset: Int, end: Int) -> Int32 {
        overflow.take(UnsafeRawBufferPointer(rebasing: scratch[offset..<end]))
    }

    /// An empty overflow buffer, for `writeOverflow`; there must be one.
    mutating func takeOverflow() -> Int32 { overflow.take(UnsafeRawBufferPointer(start: nil, count: 0)) }

    /// False if `bytes` do not fit behind `offset`.
    mutating func writeOverflow(_ buffer: Int32, at offset: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        overflow.write(buffer, at: offset, bytes)
    }

    func overflowBytes(_ buffer: Int32) -> UnsafeRawBufferPointer { overflow.bytes(buffer) }

    mutating func sendOverflow(_ buffer: Int32, _ sink: Int32, offset: Int, end: Int) -> TransferOutcome {
        Transfer.send(sink, UnsafeRawBufferPointer(rebasing: overflow.bytes(buffer)[offset..<end]))
    }

    mutating func releaseOverflow(_ buffer: Int32) { overflow.release(buffer) }

    mutating func takePipe() -> Int32? { pipes.take() }

    mutating func fill(_ pipe: Int32, from source: Int32) -> TransferOutcome {
        isBulk = true
        // The kernel stops when the pipe's slots are full; a slot holds a whole fragment of a received packet, which
        // is why more than the pipe's nominal capacity may be asked for.
        return Transfer.splice(from: source, to: pipes.writeEnd(pipe), 1 << 20)
    }

    mutating func drain(_ pipe: Int32, into sink: Int32, _ count: Int) -> TransferOutcome {
        let outcome = Transfer.splice(from: pipes.readEnd(pipe), to: sink, count)
        if case .bytes(let moved) = outcome { spliced += UInt64(moved) }
        return outcome
    }

    /// Whether there were messages, and no bulk, since the last call.
    mutating func takeMessageMark() -> Bool {
        defer { (hasReceived, isBulk) = (false, false) }
        return hasReceived && !isBulk
    }

    mutating func releasePipe(_ pipe: Int32, isEmpty: Bool) { pipes.release(pipe, isEmpty: isEmpty) }

    mutating func endSending(_ sink: Int32) { Socket.endSending(sink) }
}
