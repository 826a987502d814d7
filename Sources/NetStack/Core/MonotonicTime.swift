// SPDX-License-Identifier: Apache-2.0

/// A point on the caller's monotonic clock, in nanoseconds. The stack never reads a clock: tests pass a virtual one.
package struct MonotonicTime: Comparable, Hashable, BitwiseCopyable, Sendable {
    package var nanoseconds: UInt64

    @inline(__always)
    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package init(milliseconds: UInt64) { nanoseconds = milliseconds &* 1_000_000 }

    /// Later than every real time; marks a timer that is not armed.
    package static var never: MonotonicTime { MonotonicTime(nanoseconds: .max) }

    @inline(__always)
    package static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.nanoseconds < b.nanoseconds }

    /// This time plus `milliseconds`, saturating.
    @inline(__always)
    package func adding(milliseconds: UInt64) -> MonotonicTime {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(milliseconds &* 1_000_000)
        return overflow ? .never : MonotonicTime(nanoseconds: sum)
    }
}
