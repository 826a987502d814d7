// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Questions on the terminal.
enum Prompt {
    /// One line of standard input without its end.
    static func line(_ question: String) throws(CommandFailure) -> String {
        try? File.writeAll(2, Array(question.utf8))
        return try read()
    }

    /// As `line`, without echo.
    static func password(_ question: String = "Password: ") throws(CommandFailure) -> String {
        guard Terminal.isTerminal(0), let before = try? Terminal.attributes(0) else {
            throw CommandFailure("a password is needed and standard input is no terminal; use --password-stdin")
        }
        try? File.writeAll(2, Array(question.utf8))
        try? Terminal.setAttributes(0, before.withoutEcho)
        defer {
            try? Terminal.setAttributes(0, before)
            try? File.writeAll(2, Array("\n".utf8))
        }
        return try read()
    }

    static func read() throws(CommandFailure) -> String {
        var bytes: [UInt8] = []
        while bytes.count < 65536 {
            var byte: UInt8 = 0
            let count = withUnsafeMutableBytes(of: &byte) { CLinux.read(0, $0.baseAddress, 1) }
            if count <= 0 || byte == 10 { break }
            bytes.append(byte)
        }
        if bytes.last == 13 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
