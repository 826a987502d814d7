// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// What people and scripts read.
enum Output {
    /// A line on standard output. Nobody reading it is no reason to fail.
    static func line(_ text: String) { try? File.writeAll(1, Array((text + "\n").utf8)) }

    /// A line on standard error.
    static func error(_ text: String) { try? File.writeAll(2, Array((text + "\n").utf8)) }
}
