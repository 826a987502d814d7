// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Rules of the kernel's Landlock module for this process: landlock(7).
public enum Landlock {
    /// The version of the kernel's interface, from 1 (Linux 5.13); 0 where the kernel has no Landlock, or has it
    /// switched off.
    public static var version: Int32 {
        max(0, samara_landlock_create_ruleset(nil, 0, 1))  // LANDLOCK_CREATE_RULESET_VERSION
    }

    /// Denies every access to files by path, and signals and abstract unix sockets beyond this process, as far as the
    /// kernel's version goes; without Landlock it does nothing. Needs no_new_privs.
    public static func denyAll() throws(Errno) {
        let version = version
        if version == 0 { return }
        // struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped.
        var attributes: (files: UInt64, network: UInt64, scoped: UInt64) = (fileRights(version), 0, 0)
        // TCP ports stay open: that is what this process is for.
        if version >= 6 { attributes.scoped = 0b11 }  // abstract unix sockets, signals
        let size = version >= 6 ? 24 : version >= 4 ? 16 : 8
        let ruleset = OwnedFD(try checked(samara_landlock_create_ruleset(&attributes, size, 0)))
        _ = try checked(samara_landlock_restrict_self(ruleset.raw, 0))
    }

    /// LANDLOCK_ACCESS_FS_* that the version knows: 13 at first, then REFER, TRUNCATE and IOCTL_DEV.
    private static func fileRights(_ version: Int32) -> UInt64 {
        let count = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13
        return (1 << UInt64(count)) - 1
    }
}
