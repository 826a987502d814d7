// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Descriptors and time, where an `Epoll` would be too much.
public enum Waiting {
    /// Whether `fd` is readable, or at its end, within `timeoutMilliseconds` (-1: no limit): `poll(2)`.
    public static func isReadable(_ fd: Int32, timeoutMilliseconds: Int32) throws(Errno) -> Bool {
        try retrying { samara_poll_readable(fd, timeoutMilliseconds) } > 0
    }

    /// Makes reads and writes of the open file fail with EAGAIN instead of waiting: `fcntl(2)` F_SETFL.
    public static func setNonBlocking(_ fd: Int32) throws(Errno) {
        let flags = try checked(samara_fcntl(fd, F_GETFL, 0))
        _ = try checked(samara_fcntl(fd, F_SETFL, Int(flags | O_NONBLOCK)))
    }
}
