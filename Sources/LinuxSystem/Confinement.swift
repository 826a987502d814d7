// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// What a process gives up for good.
public enum Confinement {
    /// No program that it executes gains privileges: PR_SET_NO_NEW_PRIVS.
    public static func forbidNewPrivileges() throws(Errno) {
        _ = try checked(samara_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }

    /// Nobody of the same user may trace it or read its memory, and it leaves no core: PR_SET_DUMPABLE, RLIMIT_CORE.
    public static func forbidInspection() throws(Errno) {
        _ = try checked(samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        _ = try checked(samara_forbid_core_dumps())
    }

    /// Empties every capability set that an unprivileged process can empty: capabilities(7).
    public static func dropCapabilities() throws(Errno) {
        // Ambient first: it is cleared by itself with the inheritable set, but only on kernels that have it.
        _ = try checked(samara_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0))
        var header = __user_cap_header_struct(version: UInt32(_LINUX_CAPABILITY_VERSION_3), pid: 0)
        var none = (__user_cap_data_struct(), __user_cap_data_struct())
        let result = withUnsafeMutablePointer(to: &none) {
            $0.withMemoryRebound(to: __user_cap_data_struct.self, capacity: 2) { samara_capset(&header, $0) }
        }
        _ = try checked(result)
    }

    /// Closes every descriptor from `first` on: `close_range(2)`.
    public static func closeDescriptors(from first: Int32) throws(Errno) {
        _ = try checked(samara_close_range(UInt32(first), UInt32.max, 0))
    }

    /// Raises the soft RLIMIT_NOFILE to the hard one and returns it.
    public static func raiseDescriptorLimit() -> Int { Int(clamping: samara_raise_descriptor_limit()) }

    /// Writing to a closed connection becomes EPIPE, also where there is no flag for it (`splice(2)`).
    public static func ignoreBrokenPipes() throws(Errno) { _ = try checked(samara_ignore_signal(SIGPIPE)) }
}
