// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// A pseudo-terminal made in the container's own devpts: pty(7).
enum ContainerTerminal {
    /// Makes it the controlling terminal and the standard streams of this process, which leads its session.
    ///
    /// - Parameter bindsConsole: also put it on /dev/console; false for a further process.
    /// - Returns: the master.
    static func open(_ process: RuntimeProcess, bindsConsole: Bool) throws(RuntimeError) -> OwnedFD {
        try describing("open a terminal in", "/dev/pts") { () throws(Errno) in
            let master = try File.open("/dev/pts/ptmx", O_RDWR | O_NOCTTY)
            var unlocked: Int32 = 0
            _ = try checked(samara_ioctl_pointer(master.raw, UInt(TIOCSPTLCK_VALUE), &unlocked))
            // The peer by descriptor, not by the name /dev/pts/N, which an image could have replaced (CVE-2025-52565).
            let slave = OwnedFD(
                try checked(
                    samara_ioctl_value(master.raw, UInt(TIOCGPTPEER_VALUE), UInt(O_RDWR | O_NOCTTY | O_CLOEXEC))))
            var status = statfs()
            _ = try checked(fstatfs(slave.raw, &status))
            // DEVPTS_SUPER_MAGIC
            guard UInt32(truncatingIfNeeded: status.f_type) == 0x1cd1 else { throw Errno(rawValue: ENOTTY) }
            if let size = process.consoleSize, size.rows > 0, size.columns > 0 {
                var window = winsize(ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0)
                _ = try checked(samara_ioctl_pointer(slave.raw, UInt(TIOCSWINSZ), &window))
            }
            if bindsConsole { try bindConsole(slave) }
            _ = fchown(slave.raw, process.user, .max)
            _ = try checked(samara_ioctl_value(slave.raw, UInt(TIOCSCTTY_VALUE), 0))
            for number: Int32 in 0..<3 { _ = try checked(dup2(slave.raw, number)) }
            return master
        }
    }

    private static func bindConsole(_ slave: borrowing OwnedFD) throws(Errno) {
        // Never through a link of the image, and never opening a device that it has there.
        do {
            _ = try File.open("/dev/console", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        } catch .fileExists {}
        let target = try File.open("/dev/console", O_PATH | O_NOFOLLOW)
        if try File.status(target).isSymbolicLink { throw .tooManySymbolicLinkLevels }
        let tree = try DetachedMount.copy("", at: slave.raw, recursive: false)
        try DetachedMount.attach(tree, on: target)
    }
}
