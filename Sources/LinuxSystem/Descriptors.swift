// SPDX-License-Identifier: Apache-2.0
import CLinux

/// The process's table of descriptors.
public enum Descriptors {
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
