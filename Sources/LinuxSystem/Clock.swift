// SPDX-License-Identifier: Apache-2.0
import CLinux

/// A moment as the records keep it: `clock_gettime(2)`, CLOCK_REALTIME.
public struct Timestamp: Equatable, Hashable, Comparable, Sendable {
    /// Seconds since 1970-01-01T00:00:00Z.
    public var seconds: Int64
    public var nanoseconds: Int32

    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static var now: Timestamp {
        var value = timespec()
        clock_gettime(CLOCK_REALTIME, &value)
        return Timestamp(seconds: Int64(value.tv_sec), nanoseconds: Int32(value.tv_nsec))
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// Bytes from the kernel's generator: `getrandom(2)`.
public enum Randomness {
    public static func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes { getrandom($0.baseAddress.map { $0 + filled }, count - filled, 0) }
            // Without GRND_NONBLOCK it only fails with EINTR.
            if got > 0 { filled += got }
        }
        return bytes
    }
}
