// SPDX-License-Identifier: Apache-2.0
import CLinux

/// Time that only goes forward: `clock_gettime(2)` CLOCK_MONOTONIC.
public enum MonotonicClock {
    /// Milliseconds since an arbitrary start.
    public static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

extension Timestamp {
    /// Local time minus UTC at this moment, in seconds, from /etc/localtime or TZ: `localtime_r(3)`.
    public var localOffset: Int32 { Int32(samara_utc_offset(time_t(seconds))) }
}
