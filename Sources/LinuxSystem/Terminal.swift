// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// The size of a terminal in character cells; the pixel fields are 0 where unknown: `ioctl_tty(2)` TIOCGWINSZ.
public struct WindowSize: Equatable, Sendable {
    public var rows: UInt16
    public var columns: UInt16
    public var pixelWidth: UInt16
    public var pixelHeight: UInt16

    public init(rows: UInt16, columns: UInt16, pixelWidth: UInt16 = 0, pixelHeight: UInt16 = 0) {
        self.rows = rows
        self.columns = columns
        self.pixelWidth = pixelWidth
        self.pixelHeight = pixelHeight
    }
}

/// The line settings of a terminal: `termios(3)`.
public struct TerminalAttributes {
    fileprivate var value = termios()

    /// As `cfmakeraw(3)`: every byte passes unchanged, no echo, no signals from keys.
    public var raw: TerminalAttributes {
        var copy = self
        cfmakeraw(&copy.value)
        return copy
    }

    /// The same, but what is typed does not appear; the end of the line does not either.
    public var withoutEcho: TerminalAttributes {
        var copy = self
        copy.value.c_lflag &= ~tcflag_t(ECHO)
        return copy
    }

    /// Whether keys such as ctrl-c make signals (ISIG).
    public var makesSignals: Bool { value.c_lflag & tcflag_t(ISIG) != 0 }

    /// The byte that ends the input of a terminal in canonical mode (VEOF); nil in any other mode.
    public var endOfFile: UInt8? {
        guard value.c_lflag & tcflag_t(ICANON) != 0 else { return nil }
        let byte = withUnsafeBytes(of: value.c_cc) { $0[Int(VEOF)] }
        return byte == 0 ? nil : byte
    }
}

/// Terminals and pseudo-terminals: `tty(4)`, `pty(7)`.
public enum Terminal {
    /// `isatty(3)`.
    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// `ioctl_tty(2)` TIOCGWINSZ.
    public static func windowSize(_ descriptor: Int32) throws(Errno) -> WindowSize {
        var size = winsize()
        _ = try checked(samara_ioctl_pointer(descriptor, samara_tiocgwinsz(), &size))
        return WindowSize(
            rows: size.ws_row, columns: size.ws_col, pixelWidth: size.ws_xpixel, pixelHeight: size.ws_ypixel)
    }

    /// `ioctl_tty(2)` TIOCSWINSZ; the kernel sends SIGWINCH to the foreground process group if the size changed.
    public static func setWindowSize(_ descriptor: Int32, _ size: WindowSize) throws(Errno) {
        var raw = winsize(
            ws_row: size.rows, ws_col: size.columns, ws_xpixel: size.pixelWidth, ws_ypixel: size.pixelHeight)
        _ = try checked(samara_ioctl_pointer(descriptor, samara_tiocswinsz(), &raw))
    }

    /// `tcgetattr(3)`; on a pseudo-terminal's master, the settings of its slave.
    public static func attributes(_ descriptor: Int32) throws(Errno) -> TerminalAttributes {
        var attributes = TerminalAttributes()
        _ = try checked(tcgetattr(descriptor, &attributes.value))
        return attributes
    }

    /// `tcsetattr(3)` at once (TCSANOW): waiting for output to drain would hang on a terminal that nobody reads.
    public static func setAttributes(_ descriptor: Int32, _ attributes: TerminalAttributes) throws(Errno) {
        var value = attributes.value
        _ = try retrying { tcsetattr(descriptor, TCSANOW, &value) }
    }
}
