// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A command on a terminal of its own, driven as a person would: wait for a prompt, type, wait again.
///
/// Waiting for a prompt before typing matters: a program that switches the terminal to raw mode may throw
/// typed-ahead input away.
final class Terminal {
    private let master: Int32
    private let child: ChildProcess
    private let command: String
    private var hasEnded = false
    /// Everything the terminal has shown.
    private(set) var screen = ""
    /// What it has shown since the last `type` or `resize`.
    private var unread = ""

    init(_ command: [String], environment: [String: String], rows: UInt16 = 24, columns: UInt16 = 80) throws {
        self.command = command.joined(separator: " ")
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard master >= 0, grantpt(master) == 0, unlockpt(master) == 0, let name = ptsname(master) else {
            throw HarnessError("cannot make a terminal: errno \(errno)")
        }
        let path = String(cString: name)
        Self.setSize(master, rows, columns)
        // Kept open until the child has its own, or the master would read EIO before that.
        let slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        defer { close(slave) }
        child = try ChildProcess(command, environment: environment, terminal: path)
    }

    deinit {
        close(master)
        if !hasEnded { child.killAndReap() }
    }

    private static func setSize(_ descriptor: Int32, _ rows: UInt16, _ columns: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(descriptor, UInt(TIOCSWINSZ), &size)
    }

    func resize(rows: UInt16, columns: UInt16) {
        unread = ""
        Self.setSize(master, rows, columns)
    }

    /// Types text as it is; a line needs its "\r".
    func type(_ text: String) {
        unread = ""
        let bytes = Array(text.utf8)
        _ = write(master, bytes, bytes.count)
    }

    /// Waits until the text since the last input matches.
    ///
    /// - Returns: that text.
    /// - Throws: `HarnessError` with what was seen instead.
    @discardableResult
    func expect(_ pattern: String, timeout: Duration = .seconds(10)) throws -> String {
        let deadline = ContinuousClock.now + timeout
        while unread.range(of: pattern, options: .regularExpression) == nil {
            let open = readSome(until: deadline)
            if unread.range(of: pattern, options: .regularExpression) != nil { break }
            guard open else { throw HarnessError("`\(command)` closed its terminal; no /\(pattern)/ in: \(screen)") }
            guard ContinuousClock.now < deadline else {
                throw HarnessError("`\(command)`: no /\(pattern)/ within \(timeout) in: \(unread)")
            }
        }
        return unread
    }

    /// Reads to the end and waits for the exit.
    ///
    /// - Returns: the exit code, or 128 + N after signal N.
    func waitForExit(timeout: Duration = .seconds(10)) throws -> Int32 {
        let deadline = ContinuousClock.now + timeout
        while true {
            // Neither silence nor an end of the terminal is the end of the command.
            if !readSome(until: min(deadline, .now + .milliseconds(5))) { usleep(500) }
            if let status = child.ended() {
                hasEnded = true
                while readSome(until: .now) {}
                return status
            }
            guard ContinuousClock.now < deadline else {
                child.killAndReap()
                hasEnded = true
                throw HarnessError("`\(command)` did not end within \(timeout); it had shown: \(screen)")
            }
        }
    }

    /// - Returns: false when there is nothing to read at the deadline or, with nothing new, at the end.
    private func readSome(until deadline: ContinuousClock.Instant) -> Bool {
        let left = max(.zero, deadline - .now)
        let milliseconds = Int32(left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000)
        var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, milliseconds) > 0 else { return deadline > .now }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(master, &buffer, buffer.count)
        guard count > 0 else { return false }
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        screen += text
        unread += text
        return true
    }
}
