// SPDX-License-Identifier: Apache-2.0
import CLinux

/// The process's table of descriptors.
public enum Descriptors {
    /// Closes all of `descriptors`, those with numbers in sequence by one call: `close_range(2)`.
    public static func close(_ descriptors: [Int32]) {
        let sorted = descriptors.sorted()
        var start = 0
        while start < sorted.count {
            var end = start
            while end + 1 < sorted.count, sorted[end + 1] == sorted[end] + 1 { end += 1 }
            _ = samara_close_range(UInt32(sorted[start]), UInt32(sorted[end]), 0)
            start = end + 1
        }
    }

    /// Closes every descriptor from `first` on but those in `keeping`; negative ones are ignored: `close_range(2)`.
    public static func close(from first: Int32, keeping: [Int32] = []) {
        var next = first
        for kept in keeping.filter({ $0 >= first }).sorted() {
            if kept > next { _ = samara_close_range(UInt32(next), UInt32(kept - 1), 0) }
            next = kept + 1
        }
        _ = samara_close_range(UInt32(next), .max, 0)
    }
}
