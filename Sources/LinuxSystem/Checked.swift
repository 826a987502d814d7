// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// The calling thread's errno as left by the call just made.
@inline(__always)
package func lastErrno() -> Errno { Errno(rawValue: samara_errno()) }

/// Turns the -1 of a system call into a thrown `Errno`; errno is read before anything else can change it.
@inline(__always)
package func checked<Result: FixedWidthInteger & SignedInteger>(_ result: Result) throws(Errno) -> Result {
    if result < 0 { throw lastErrno() }
    return result
}

/// As `checked`, repeating the call while a signal interrupts it (EINTR).
@inline(__always)
package func retrying<Result: FixedWidthInteger & SignedInteger>(
    _ call: () -> Result
) throws(Errno) -> Result {
    while true {
        let result = call()
        if result >= 0 { return result }
        let error = lastErrno()
        if error != .interrupted { throw error }
    }
}

extension Errno {
    /// The kernel's text with the symbolic number's name where people search for it: "Permission denied".
    public var text: String { String(cString: strerror(rawValue)) }
}
