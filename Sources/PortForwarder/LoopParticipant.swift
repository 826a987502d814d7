// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import NetControl

/// Another part of the process that lives in the forwarder's event loop, with token kinds of its own (12...15).
package protocol LoopParticipant: ~Copyable {
    /// Whether `work` has something to do without a further event.
    var hasWork: Bool { get }
    /// Whether to look for the next event for a moment before sleeping.
    var pollsAhead: Bool { get }
    /// Milliseconds until `work` has a timer to run; -1: none is armed.
    func timeout(now: UInt64) -> Int32
    /// An event of a descriptor that this part has registered.
    mutating func handle(_ token: EventToken, _ readiness: Readiness, now: UInt64, epoll: borrowing Epoll)
    /// Its share of the turn; bounded, so that everyone else gets theirs.
    mutating func work(now: UInt64, epoll: borrowing Epoll)
    /// The keeper has answered `resolverFile`; nil when the host has none.
    mutating func resolversArrived(_ file: consuming OwnedFD?)
    func report(to statistics: inout NetStatistics)
}

/// Nobody else.
package struct NoParticipant: LoopParticipant {
    package init() {}
    package var hasWork: Bool { false }
    package var pollsAhead: Bool { false }
    package func timeout(now: UInt64) -> Int32 { -1 }
    package func handle(_ token: EventToken, _ readiness: Readiness, now: UInt64, epoll: borrowing Epoll) {}
    package func work(now: UInt64, epoll: borrowing Epoll) {}
    package func resolversArrived(_ file: consuming OwnedFD?) {}
    package func report(to statistics: inout NetStatistics) {}
}
