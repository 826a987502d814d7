// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// What a descriptor is ready for, or asked about: EPOLL*.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// EPOLLIN
    public static let readable = Readiness(rawValue: 0x001)
    /// EPOLLPRI: TCP urgent data.
    public static let urgent = Readiness(rawValue: 0x002)
    /// EPOLLOUT
    public static let writable = Readiness(rawValue: 0x004)
    /// EPOLLERR, reported without being asked for.
    public static let error = Readiness(rawValue: 0x008)
    /// EPOLLHUP, reported without being asked for.
    public static let hangUp = Readiness(rawValue: 0x010)
    /// EPOLLRDHUP: the peer will send no more.
    public static let peerEnded = Readiness(rawValue: 0x2000)
    /// EPOLLET: report changes, not states.
    public static let edgeTriggered = Readiness(rawValue: 1 << 31)
}

/// An interest list and room for one batch of events: epoll(7).
public struct Epoll: ~Copyable {
    private let fd: OwnedFD
    private let events: UnsafeMutablePointer<epoll_event>
    private let capacity: Int

    /// `epoll_create1(2)`; `capacity` is the largest batch.
    public init(capacity: Int = 256) throws(Errno) {
        fd = OwnedFD(try checked(epoll_create1(Int32(EPOLL_CLOEXEC))))
        events = .allocate(capacity: capacity)
        events.initialize(repeating: epoll_event(), count: capacity)
        self.capacity = capacity
    }

    deinit { events.deallocate() }

    /// EPOLL_CTL_ADD. The entry goes by itself when the last descriptor of the open file is closed.
    public func add(_ descriptor: Int32, _ interest: Readiness, token: UInt64) throws(Errno) {
        _ = try checked(samara_epoll_control(fd.raw, EPOLL_CTL_ADD, descriptor, interest.rawValue, token))
    }

    /// EPOLL_CTL_MOD: also looks at the descriptor again, so that an edge that has passed is reported once more.
    public func modify(_ descriptor: Int32, _ interest: Readiness, token: UInt64) throws(Errno) {
        _ = try checked(samara_epoll_control(fd.raw, EPOLL_CTL_MOD, descriptor, interest.rawValue, token))
    }

    /// EPOLL_CTL_DEL.
    public func remove(_ descriptor: Int32) throws(Errno) {
        _ = try checked(samara_epoll_control(fd.raw, EPOLL_CTL_DEL, descriptor, 0, 0))
    }

    /// Waits for events and returns how many there are; 0 after `timeoutMilliseconds` (-1: no limit) or a signal:
    /// `epoll_wait(2)`.
    public mutating func wait(timeoutMilliseconds: Int32) throws(Errno) -> Int {
        let count = samara_epoll_wait(fd.raw, events, Int32(capacity), timeoutMilliseconds)
        if count >= 0 { return Int(count) }
        let error = lastErrno()
        if error == .interrupted { return 0 }
        throw error
    }

    /// Event number `index` of the last batch.
    public func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
        precondition(index >= 0 && index < capacity, "an event of the batch")
        return (samara_epoll_token(events + index), Readiness(rawValue: events[index].events))
    }
}
