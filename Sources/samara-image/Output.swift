// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// What people and scripts read.
enum Output {
    /// A line on standard output. Nobody reading it is no reason to fail.
    static func line(_ text: String) { try? File.writeAll(1, Array((text + "\n").utf8)) }

    /// Bytes on standard output: file names are not text.
    static func bytes(_ bytes: [UInt8]) { try? File.writeAll(1, bytes) }

    /// A line on standard error.
    static func error(_ text: String) { try? File.writeAll(2, Array((text + "\n").utf8)) }
}
