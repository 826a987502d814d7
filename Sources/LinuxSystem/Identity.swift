// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Who this process is and what it was given: `credentials(7)`, `environ(7)`.
public enum Identity {
    /// Effective user and group ids.
    public static var effective: (UInt32, UInt32) { (geteuid(), getegid()) }

    /// The same as they were when this program was executed, without asking the kernel: getauxval(3).
    public static var atStart: (user: UInt32, group: UInt32) {
        (UInt32(truncatingIfNeeded: getauxval(UInt(AT_EUID))), UInt32(truncatingIfNeeded: getauxval(UInt(AT_EGID))))
    }

    /// The value of an environment variable; nil if it is not set.
    public static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// The whole environment as KEY=VALUE.
    public static var environment: [String] {
        var result: [String] = []
        guard var entry = samara_environ() else { return [] }
        while let text = entry.pointee {
            result.append(String(cString: text))
            entry += 1
        }
        return result
    }
}
