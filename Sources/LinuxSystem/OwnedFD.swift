// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Owns one open file description reference; it is closed exactly once.
///
/// Every descriptor made by this module is close-on-exec. Borrow to use it, consume to hand it over.
public struct OwnedFD: ~Copyable {
    public let raw: Int32

    /// Takes ownership of `raw`, which must be open.
    public init(_ raw: Int32) {
        precondition(raw >= 0, "a descriptor is never negative")
        self.raw = raw
    }

    // close(2), NOTES: the descriptor is gone even on EINTR, so a retry could close a stranger's.
    deinit { _ = CLinux.close(raw) }

    /// Closes and reports what a written file's last error was: `close(2)`.
    public consuming func close() throws(Errno) {
        let descriptor = raw
        discard self
        if CLinux.close(descriptor) != 0 { throw lastErrno() }
    }

    /// Gives up ownership without closing.
    public consuming func release() -> Int32 {
        let descriptor = raw
        discard self
        return descriptor
    }

    /// A second descriptor for the same open file description: `fcntl(2)` F_DUPFD_CLOEXEC.
    public func duplicate(atLeast minimum: Int32 = 3) throws(Errno) -> OwnedFD {
        OwnedFD(try checked(samara_fcntl(raw, F_DUPFD_CLOEXEC, Int(minimum))))
    }
}
