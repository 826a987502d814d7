// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// A handful of descriptors to wait for: `poll(2)`.
///
/// Rebuilt before each wait, which for a handful costs less than the registrations of epoll and cannot go stale.
/// Not for the data plane, where descriptors count in thousands.
public struct PollSet: ~Copyable {
    /// What happened, or is waited for. `hangUp`, `failed` and `invalid` are reported without being asked for.
    public struct Events: OptionSet, Sendable {
        public let rawValue: Int16
        public init(rawValue: Int16) { self.rawValue = rawValue }
        /// POLLIN
        public static let readable = Events(rawValue: Int16(POLLIN))
        /// POLLOUT
        public static let writable = Events(rawValue: Int16(POLLOUT))
        /// POLLHUP
        public static let hangUp = Events(rawValue: Int16(POLLHUP))
        /// POLLERR
        public static let failed = Events(rawValue: Int16(POLLERR))
        /// POLLNVAL
        public static let invalid = Events(rawValue: Int16(POLLNVAL))
    }

    // Memory of its own instead of an array: the first array of a type makes the Swift runtime instantiate it, and after a
    // fork in both processes: 17 and 30 µs of a start (`perf record -a` over 300 of them).
    private var entries: UnsafeMutablePointer<pollfd>
    private var capacity = 8
    private var count = 0

    public init() { entries = .allocate(capacity: capacity) }

    deinit { entries.deallocate() }

    /// Empties the set and keeps its memory.
    public mutating func removeAll() { count = 0 }

    /// Adds a descriptor; the result is what `events` takes after the wait.
    @discardableResult
    public mutating func add(_ descriptor: Int32, _ events: Events) -> Int {
        if count == capacity { grow() }
        entries[count] = pollfd(fd: descriptor, events: events.rawValue, revents: 0)
        count += 1
        return count - 1
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<pollfd>.allocate(capacity: 2 * capacity)
        larger.update(from: entries, count: count)
        entries.deallocate()
        (entries, capacity) = (larger, 2 * capacity)
    }

    /// Waits until something happens, or `timeoutMilliseconds` passed (nil: forever). An interruption by a signal ends
    /// the wait with no events.
    public mutating func wait(timeoutMilliseconds: Int64?) throws(Errno) {
        let timeout = timeoutMilliseconds.map { Int32(clamping: max(0, $0)) } ?? -1
        if samara_poll(entries, UInt(count), timeout) < 0 {
            let error = lastErrno()
            if error != .interrupted { throw error }
            for index in 0..<count { entries[index].revents = 0 }
        }
    }

    /// What happened to the descriptor added as `index`; nothing for nil.
    public func events(_ index: Int?) -> Events {
        guard let index else { return [] }
        precondition(index < count)
        return Events(rawValue: entries[index].revents)
    }

    /// The events of one descriptor now, without waiting.
    public static func events(of descriptor: Int32, _ wanted: Events) -> Events {
        var entry = pollfd(fd: descriptor, events: wanted.rawValue, revents: 0)
        return samara_poll(&entry, 1, 0) > 0 ? Events(rawValue: entry.revents) : []
    }
}
