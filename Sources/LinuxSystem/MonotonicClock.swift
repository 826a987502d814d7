// SPDX-License-Identifier: Apache-2.0
import CLinux

/// Time that only goes forward: `clock_gettime(2)` CLOCK_MONOTONIC.
public enum MonotonicClock {
    /// Milliseconds since some point in the past.
    public static var milliseconds: UInt64 { samara_monotonic_milliseconds() }

    /// Nanoseconds since some point in the past.
    public static var nanoseconds: UInt64 { samara_monotonic_nanoseconds() }

    /// The same as a signed number, for differences that may be negative.
    public static var signedMilliseconds: Int64 { Int64(milliseconds) }
}

extension Timestamp {
    /// Local time minus UTC at this moment, in seconds, from /etc/localtime or TZ: `localtime_r(3)`.
    public var localOffset: Int32 { Int32(samara_utc_offset(time_t(seconds))) }
}
