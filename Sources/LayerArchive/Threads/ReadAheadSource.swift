// SPDX-License-Identifier: Apache-2.0

/// Pulls another source in a thread of its own, some pieces ahead: decompression and hashing go on while the files of
/// the layer are made.
///
/// Everything of the other source happens in that thread. Its results (a digest, a count) may be asked for after the
/// end was read here.
final class ReadAheadSource: ByteSource {
    // Large enough that a handover (two system calls at worst) does not count, small enough for the second level cache.
    private static let slots = 4
    private static let slotBytes = 256 << 10

    private let gate = Gate()
    private let slots: [UnsafeMutableRawBufferPointer]
    // All below is guarded by `gate`.
    private var filled = [Int](repeating: 0, count: ReadAheadSource.slots)
    private var produced = 0
    private var consumed = 0
    private var isReading = false
    private var isEnded = false
    private var isCancelled = false
    private var failure: LayerArchiveError?
    private var worker: Worker?

    init(_ source: any ByteSource) throws(LayerArchiveError) {
        slots = (0..<ReadAheadSource.slots).map { _ in
            UnsafeMutableRawBufferPointer.allocate(byteCount: ReadAheadSource.slotBytes, alignment: 64)
        }
        // SAFETY: `close` joins the thread before this object goes.
        worker = try Worker { [unowned self] in produce(source) }
    }

    deinit {
        close()
        for slot in slots { slot.deallocate() }
    }

    /// Ends the thread; what was not read is lost.
    func close() {
        gate.locked {
            isCancelled = true
            gate.wake()
        }
        worker?.join()
        worker = nil
    }

    private func produce(_ source: any ByteSource) {
        do throws(LayerArchiveError) {
            while true {
                let piece = try source.next()
                if piece.isEmpty { break }
                var rest = piece
                while !rest.isEmpty {
                    guard let slot = freeSlot() else { return }
                    let count = min(rest.count, slot.count)
                    slot.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                    publish(count)
                }
            }
            gate.locked {
                isEnded = true
                gate.wake()
            }
        } catch {
            gate.locked {
                failure = error
                gate.wake()
            }
        }
    }

    /// Nil when nobody reads any more.
    private func freeSlot() -> UnsafeMutableRawBufferPointer? {
        gate.locked {
            while produced - consumed == ReadAheadSource.slots, !isCancelled { gate.wait() }
            return isCancelled ? nil : slots[produced % ReadAheadSource.slots]
        }
    }

    private func publish(_ count: Int) {
        gate.locked {
            filled[produced % ReadAheadSource.slots] = count
            produced += 1
            gate.wake()
        }
    }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        try gate.locked { () throws(LayerArchiveError) -> UnsafeRawBufferPointer in
            if isReading {
                isReading = false
                consumed += 1
                gate.wake()
            }
            while produced == consumed, !isEnded, failure == nil { gate.wait() }
            if produced == consumed {
                if let failure { throw failure }
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            isReading = true
            let index = consumed % ReadAheadSource.slots
            return UnsafeRawBufferPointer(rebasing: slots[index][..<filled[index]])
        }
    }
}
