// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Waiting for events that come soon without going to sleep.
///
/// To be woken up costs an idle core as much as everything else that a packet needs. So while events keep coming within
/// microseconds, the next one is looked for a little while, giving way to whoever else wants the core; two that take
/// longer end it, and an idle process sleeps.
struct AdaptivePolling {
    /// How long to look, in nanoseconds: somewhat longer than a process needs to wake up and answer, which is half
    /// of loopback's round trip: 30 us on one machine, 60 us on another. With 50 us the slow one's answers came too late
    /// to be waited for, and round trips took 1.3 to 1.7 times loopback's instead of 0.6 (hack/bench forward --only rr).
    static var patience: UInt64 { 100_000 }
    /// How long a core that was given away may be gone, in nanoseconds. The server's work on a request and the keeper's
    /// on a few sockets are shorter, a slice of somebody who computes is a millisecond and more.
    private static var longestLoan: UInt64 { 150_000 }
    private static var highestScore: Int { 8 }
    /// After a core was given away and not given back in time: so many events later it is tried again.
    private static var lapses: ClosedRange<Int> { 16...256 }

    /// Goes up with each event that came in time, down faster with each that did not.
    private var score = 0
    /// The next lapse: twice as long each time, and shorter again with each event that polling has found. Something that
    /// happens once must not cost a hundred connections; somebody who computes all the time costs little.
    private var lapse = lapses.lowerBound
    /// A single processor is needed by whoever is waited for.
    private let isAllowed = Processors.count > 1

    /// As `Epoll.wait`, polling first if the caller wants it and it has been worth while.
    mutating func wait(
        _ epoll: inout Epoll, timeoutMilliseconds timeout: Int32, pollsAhead: Bool
    ) throws(Errno) -> Int {
        guard timeout != 0, pollsAhead, isAllowed else { return try epoll.wait(timeoutMilliseconds: timeout) }
        let began = MonotonicClock.nanoseconds
        if score >= Self.highestScore / 2 {
            var now = began
            repeat {
                let count = try epoll.wait(timeoutMilliseconds: 0)
                if count > 0 {
                    score = min(score + 1, Self.highestScore)
                    lapse = max(lapse - 1, Self.lapses.lowerBound)
                    return count
                }
                let before = now
                Processors.yield()
                now = MonotonicClock.nanoseconds
                // Somebody else needs the core for long. A sleeper is woken in front of him (sched(7)), a process that
                // yielded waits for the end of his slice: milliseconds.
                if now - before > Self.longestLoan {
                    score = -lapse
                    lapse = min(lapse * 2, Self.lapses.upperBound)
                    return try epoll.wait(timeoutMilliseconds: timeout)
                }
            } while now - began < Self.patience
            score -= Self.highestScore / 4
            return try epoll.wait(timeoutMilliseconds: timeout)
        }
        let count = try epoll.wait(timeoutMilliseconds: timeout)
        let inTime = MonotonicClock.nanoseconds - began < Self.patience
        score = inTime ? min(score + 1, Self.highestScore) : max(score - Self.highestScore / 4, min(score, 0))
        return count
    }
}
