// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// The time of day: `clock_gettime(2)` CLOCK_REALTIME.
public enum WallClock {
    /// Seconds and nanoseconds since 1970-01-01T00:00:00Z.
    public static func now() -> (seconds: Int64, nanoseconds: Int32) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return (Int64(time.tv_sec), Int32(time.tv_nsec))
    }

    /// Local time minus UTC at that moment, in seconds, from /etc/localtime or TZ: `localtime_r(3)`.
    public static func utcOffset(at seconds: Int64) -> Int32 { Int32(samara_utc_offset(time_t(seconds))) }
}

extension MonotonicClock {
    /// The same as a signed number, for differences that may be negative.
    public static var signedMilliseconds: Int64 { Int64(milliseconds) }
}
