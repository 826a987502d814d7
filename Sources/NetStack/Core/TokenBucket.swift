// SPDX-License-Identifier: Apache-2.0

/// Rate limit: `rate` permits a second, at most `burst` saved up.
struct TokenBucket: BitwiseCopyable {
    private let nanosecondsPerToken: UInt64
    private let burst: UInt64
    /// The time up to which permits are spent; permits are the nanoseconds between here and now.
    private var spentUntil: UInt64 = 0

    init(rate: UInt64, burst: UInt64) {
        precondition(rate > 0 && burst > 0)
        nanosecondsPerToken = 1_000_000_000 / rate
        self.burst = burst
    }

    /// True, and one permit fewer, when a permit is left.
    mutating func take(_ now: MonotonicTime) -> Bool {
        let window = nanosecondsPerToken &* burst
        let floor = now.nanoseconds > window ? now.nanoseconds - window : 0
        if spentUntil < floor { spentUntil = floor }
        // At the very start of the clock there is no past to spend from, so time zero grants the burst as debt.
        let limit = max(now.nanoseconds, window)
        guard spentUntil &+ nanosecondsPerToken <= limit else { return false }
        spentUntil &+= nanosecondsPerToken
        return true
    }
}
