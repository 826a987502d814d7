// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// One direction of a TCP connection: bytes from a source socket to a sink socket. A flow has two.
///
///      open ──(source ends or fails)──▶ ending ──(everything held is written)──▶ ended
///
/// Invariants
/// - Bytes are held in at most one place: an overflow buffer or a pipe; `heldCount` says how many. Nothing is read
///   while anything is held, so order is kept and an empty pipe is the only one that is ever filled (EAGAIN from a
///   fill therefore always means that the source is empty, never that the pipe is full).
/// - Whether to write follows from `heldCount`, never from what was just read.
/// - A readiness bit is cleared only by the call that proves it false; events set it. Both sockets are edge-triggered,
///   so a bit that is cleared too early would be a connection that hangs.
/// - An end or a reset of the source takes effect only after everything before it is written.
struct Direction {
    /// What `run` wants next.
    enum Result: Equatable {
        /// Events: `sourceReady` or `sinkReady` will continue it. Also the answer of an ended direction.
        case waiting
        /// The budget is used up although there is more: run it again after the others.
        case again
        /// The source's orderly end has been passed on.
        case ended
        /// The source was reset and everything it had sent is handed to the sink's socket.
        case sourceReset
        /// The sink takes no more; what was held is dropped.
        case sinkFailed
    }

    private enum Ending: UInt8 { case none, end, reset, ended }

    /// The most that one turn moves, so that a bulk transfer does not delay the others.
    static let turnBudget = 1 << 20
    /// Full reads in a row that show a bulk transfer, worth a pipe.
    private static let bulkReads: UInt8 = 2
    /// Fills in a row below `smallFill` that show its end.
    private static let smallFills: UInt8 = 8
    private static let smallFill = 8 << 10

    private var ending = Ending.none
    private(set) var isSplicing = false
    private var isSourceReadable = false
    private var isSinkWritable = true
    /// Whether a read shorter than asked for proves that the source is empty. Not so when its end or urgent data may
    /// already be queued, because then no further event would come.
    private var trustsShortReads = true
    /// Whether the source's orderly end is queued right behind its data, so that a short read has reached it.
    private var isEndQueued = false
    private var hasUrgentData = false
    private var sourceWasReset = false
    private var streak: UInt8 = 0
    /// Overflow buffer or pipe, by `isHeldInPipe`.
    private var holder: Int32 = -1
    private var isHeldInPipe = false
    private var heldOffset: UInt32 = 0
    private var heldCount: UInt32 = 0
    /// Bytes handed to the sink.
    private(set) var total: UInt64 = 0

    var isEnded: Bool { ending == .ended }
    /// Whether only `sinkReady` can continue it.
    var awaitsSink: Bool { !isSinkWritable && ending != .ended }

    // MARK: Events

    /// The source may have data. `mayHaveMore`: its end, an error or urgent data may be behind the data.
    mutating func sourceReady(mayHaveMore: Bool) {
        isSourceReadable = true
        if mayHaveMore { trustsShortReads = false }
    }

    /// The source has sent its orderly end: the next read that is shorter than asked for is the last one.
    mutating func sourceEndQueued() {
        sourceReady(mayHaveMore: true)
        isEndQueued = true
    }

    /// The source has urgent data, at whose mark a read stops: short reads prove nothing any more.
    mutating func sourceUrgent() {
        sourceReady(mayHaveMore: true)
        hasUrgentData = true
    }

    mutating func sinkReady() { isSinkWritable = true }

    /// The source is known to be reset. Whatever ends its data is the reset, even if the socket's error was consumed
    /// by another call and a read reports an orderly end.
    mutating func sourceReset() {
        sourceWasReset = true
        sourceReady(mayHaveMore: true)
    }

    // MARK: Running

    /// Moves what can be moved, up to `budget` bytes. `closesSink`: the sink will be closed when this direction has
    /// ended, which sends the end by itself.
    mutating func run<Transfer: StreamTransfer & ~Copyable>(
        from source: Int32, to sink: Int32, _ transfer: inout Transfer, budget: Int = turnBudget,
        closesSink: Bool = false
    ) -> Result {
        var left = budget
        while true {
            if heldCount > 0 {
                if !isSinkWritable { return .waiting }
                guard flush(sink, &transfer) else { return fail(&transfer) }
                continue
            }
            switch ending {
            case .none: break
            case .end:
                if !closesSink { transfer.endSending(sink) }
                ending = .ended
                return .ended
            case .reset:
                ending = .ended
                return .sourceReset
            case .ended: return .waiting
            }
            // With nothing held, an unwritable sink is one that took none of what was only peeked at.
            if !isSourceReadable || !isSinkWritable { return .waiting }
            if left <= 0 { return .again }
            let moved = isSplicing ? fillPipe(source, &transfer) : copy(source, sink, &transfer)
            guard let moved else { return fail(&transfer) }
            left -= moved
        }
    }

    /// Gives back what is held. The direction is over.
    mutating func abandon<Transfer: StreamTransfer & ~Copyable>(_ transfer: inout Transfer) {
        if holder >= 0 {
            if isHeldInPipe {
                transfer.releasePipe(holder, isEmpty: heldCount == 0)
            } else {
                transfer.releaseOverflow(holder)
            }
        }
        holder = -1
        heldCount = 0
        ending = .ended
    }

    private mutating func fail<Transfer: StreamTransfer & ~Copyable>(_ transfer: inout Transfer) -> Result {
        abandon(&transfer)
        return .sinkFailed
    }

    // MARK: Writing what is held

    /// Writes held bytes until they are gone or the sink is full. False if the sink failed.
    private mutating func flush<Transfer: StreamTransfer & ~Copyable>(
        _ sink: Int32, _ transfer: inout Transfer
    ) -> Bool {
        let end = Int(heldOffset + heldCount)
        let outcome =
            isHeldInPipe
            ? transfer.drain(holder, into: sink, Int(heldCount))
            : transfer.sendOverflow(holder, sink, offset: Int(heldOffset), end: end)
        switch outcome {
        case .bytes(let count):
            heldCount -= UInt32(count)
            heldOffset += UInt32(count)
            total += UInt64(count)
            if heldCount > 0 { return true }
            if isHeldInPipe { transfer.releasePipe(holder, isEmpty: true) } else { transfer.releaseOverflow(holder) }
            holder = -1
            return true
        case .wouldBlock:
            isSinkWritable = false
            return true
        case .endOfFile, .failed: return false
        }
    }

    // MARK: Reading

    /// Ends the source as `outcome` says.
    private mutating func endSource(isError: Bool) {
        ending = isError || sourceWasReset ? .reset : .end
        isSourceReadable = false
    }

    /// One read and its write. The bytes written count; nil if the sink failed.
    private mutating func copy<Transfer: StreamTransfer & ~Copyable>(
        _ source: Int32, _ sink: Int32, _ transfer: inout Transfer
    ) -> Int? {
        // Without room for a remainder the bytes stay in the source's socket until the sink has taken them.
        if !transfer.hasOverflow { return copyByPeeking(source, sink, &transfer) }
        let count: Int
        switch transfer.receive(source) {
        case .bytes(let received): count = received
        case .wouldBlock:
            isSourceReadable = false
            return 0
        case .endOfFile:
            endSource(isError: false)
            return 0
        case .failed:
            endSource(isError: true)
            return 0
        }
        if count < transfer.bufferSize {
            streak = 0
            if isEndQueued, !hasUrgentData {
                endSource(isError: false)
            } else if trustsShortReads {
                isSourceReadable = false
            }
        } else {
            streak += 1
            if streak >= Self.bulkReads { (isSplicing, streak) = (true, 0) }
        }
        var sent = 0
        while sent < count {
            // A reset, on the other hand, waits until all of it is acknowledged.
            switch transfer.send(sink, offset: sent, end: count, endFollows: ending == .end) {
            case .bytes(let more):
                sent += more
                total += UInt64(more)
            case .wouldBlock:
                isSinkWritable = false
                holder = transfer.takeOverflow(offset: sent, end: count)
                (isHeldInPipe, heldOffset, heldCount) = (false, 0, UInt32(count - sent))
                return count
            case .endOfFile, .failed: return nil
            }
        }
        return count
    }

    /// As `copy`, for when there is no overflow buffer: one more system call, no bytes held.
    private mutating func copyByPeeking<Transfer: StreamTransfer & ~Copyable>(
        _ source: Int32, _ sink: Int32, _ transfer: inout Transfer
    ) -> Int? {
        let count: Int
        switch transfer.peek(source) {
        case .bytes(let peeked): count = peeked
        case .wouldBlock:
            isSourceReadable = false
            return 0
        case .endOfFile:
            endSource(isError: false)
            return 0
        case .failed:
            endSource(isError: true)
            return 0
        }
        switch transfer.send(sink, offset: 0, end: count, endFollows: false) {
        case .bytes(let sent):
            total += UInt64(sent)
            // What was peeked is there to take: anything but all of it means the socket is broken.
            if transfer.discard(source, sent) != .bytes(sent) { endSource(isError: true) }
            return sent
        case .wouldBlock:
            isSinkWritable = false
            return 0
        case .endOfFile, .failed: return nil
        }
    }

    /// One fill of a pipe; `run` writes it. The bytes read count.
    private mutating func fillPipe<Transfer: StreamTransfer & ~Copyable>(
        _ source: Int32, _ transfer: inout Transfer
    ) -> Int? {
        guard let pipe = transfer.takePipe() else {
            (isSplicing, streak) = (false, 0)
            return 0
        }
        let outcome = transfer.fill(pipe, from: source)
        guard case .bytes(let count) = outcome else {
            transfer.releasePipe(pipe, isEmpty: true)
            switch outcome {
            case .endOfFile: endSource(isError: false)
            case .failed: endSource(isError: true)
            default: isSourceReadable = false
            }
            return 0
        }
        (holder, isHeldInPipe, heldOffset, heldCount) = (pipe, true, 0, UInt32(count))
        streak = count < Self.smallFill ? streak + 1 : 0
        if streak >= Self.smallFills { (isSplicing, streak) = (false, 0) }
        return count
    }
}
