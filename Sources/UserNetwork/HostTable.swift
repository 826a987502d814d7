// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import NetStack

/// What a record of the stack is on the host's side: a socket, named by the stack's number and generation.
protocol HostRecord: BitwiseCopyable {
    /// -1 for none.
    var descriptor: Int32 { get set }
    var generation: UInt32 { get set }
}

/// A table parallel to a slab of the stack, same index, so that neither side looks anything up. Memory comes in chunks
/// of 256 records and is kept.
struct HostTable<Record: HostRecord>: ~Copyable {
    private static var chunkSize: Int { 256 }
    /// NetStack's largest table, in chunks.
    private static var chunkLimit: Int { 256 }

    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Record>?>
    private let empty: Record

    init(empty: Record) {
        self.empty = empty
        chunks = .allocate(capacity: Self.chunkLimit)
        chunks.initialize(repeating: nil, count: Self.chunkLimit)
    }

    deinit {
        for index in 0..<Self.chunkLimit { chunks[index]?.deallocate() }
        chunks.deallocate()
    }

    /// The record at `index`, whose place must exist.
    @inline(__always)
    subscript(index: UInt32) -> UnsafeMutablePointer<Record> {
        guard Int(index) / Self.chunkSize < Self.chunkLimit, let chunk = chunks[Int(index) / Self.chunkSize] else {
            preconditionFailure("a record that was begun")
        }
        return chunk + Int(index) % Self.chunkSize
    }

    /// The record that `id` names, nil when it was not begun or has ended.
    @inline(__always)
    func find(_ id: SlabID) -> UnsafeMutablePointer<Record>? {
        guard Int(id.index) / Self.chunkSize < Self.chunkLimit, let chunk = chunks[Int(id.index) / Self.chunkSize]
        else { return nil }
        let record = chunk + Int(id.index) % Self.chunkSize
        return record.pointee.generation == id.generation ? record : nil
    }

    /// An empty record for `id`. The place must hold no socket.
    mutating func begin(_ id: SlabID) -> UnsafeMutablePointer<Record> {
        let number = Int(id.index) / Self.chunkSize
        precondition(number < Self.chunkLimit, "a record of the stack")
        if chunks[number] == nil {
            let chunk = UnsafeMutablePointer<Record>.allocate(capacity: Self.chunkSize)
            chunk.initialize(repeating: empty, count: Self.chunkSize)
            chunks[number] = chunk
        }
        let record = self[id.index]
        precondition(record.pointee.descriptor < 0, "a place without a socket")
        record.pointee = empty
        record.pointee.generation = id.generation
        return record
    }

    func forEachDescriptor(_ body: (Int32) -> Void) {
        for number in 0..<Self.chunkLimit {
            guard let chunk = chunks[number] else { continue }
            for index in 0..<Self.chunkSize where chunk[index].descriptor >= 0 { body(chunk[index].descriptor) }
        }
    }
}
