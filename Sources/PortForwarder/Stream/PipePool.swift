// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// The pipes of a forwarder. A direction has one only while bytes are in it, so one warm pipe serves any number of
/// connections whose sinks keep up.
///
/// Pipe pages are a budget of the user, shared by all processes (pipe-user-pages-soft, pipe(7)): beyond it the kernel
/// silently makes pipes of two pages, which are slower than copying. So there are at most `limit`, of 256 KiB, and
/// one that was granted less than 64 KiB is not used.
struct PipePool: ~Copyable {
    static let wantedCapacity = 256 << 10
    static let leastCapacity = 64 << 10

    private let limit: Int
    private let pipes: UnsafeMutablePointer<Pipe?>
    /// Free pipes, the last used on top: its pages are the ones in the cache.
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    /// Unused numbers of pipes.
    private let vacant: UnsafeMutablePointer<Int32>
    private var vacantCount: Int
    /// `take` calls without a pipe before the next attempt to make one after a failure.
    private var pause = 0

    init(limit: Int) {
        self.limit = limit
        pipes = .allocate(capacity: max(1, limit))
        free = .allocate(capacity: max(1, limit))
        vacant = .allocate(capacity: max(1, limit))
        for index in 0..<limit {
            (pipes + index).initialize(to: nil)
            vacant[index] = Int32(limit - 1 - index)
        }
        vacantCount = limit
    }

    deinit {
        pipes.deinitialize(count: limit)
        pipes.deallocate()
        free.deallocate()
        vacant.deallocate()
    }

    /// Pipes that exist.
    var count: Int { limit - vacantCount }

    /// An empty pipe, or nil when the limit or the user's budget is used up.
    mutating func take() -> Int32? {
        if freeCount > 0 {
            freeCount -= 1
            return free[freeCount]
        }
        if vacantCount == 0 { return nil }
        if pause > 0 {
            pause -= 1
            return nil
        }
        guard let pipe = try? Pipe(wanted: Self.wantedCapacity), pipe.capacity >= Self.leastCapacity else {
            // Neither descriptors nor budget come back quickly, and the attempt costs three system calls.
            pause = 256
            return nil
        }
        vacantCount -= 1
        let index = vacant[vacantCount]
        pipes[Int(index)] = consume pipe
        return index
    }

    mutating func release(_ index: Int32, isEmpty: Bool) {
        if isEmpty {
            free[freeCount] = index
            freeCount += 1
        } else {
            pipes[Int(index)] = nil
            vacant[vacantCount] = index
            vacantCount += 1
        }
    }

    func readEnd(_ index: Int32) -> Int32 {
        switch pipes[Int(index)] {
        case .some(let pipe): return pipe.readEnd.raw
        case .none: preconditionFailure("a pipe that was taken")
        }
    }

    func writeEnd(_ index: Int32) -> Int32 {
        switch pipes[Int(index)] {
        case .some(let pipe): return pipe.writeEnd.raw
        case .none: preconditionFailure("a pipe that was taken")
        }
    }
}
