// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem
import Presentation
import SystemPackage

/// What a command is given: the way to the engine and to the terminal.
struct Session: Sendable {
    /// The whole command line, program first: what `CreateCommand` records.
    let commandLine: [String]

    /// The engine that the global flags select.
    func engine(_ arguments: ParsedArguments) throws(EngineError) -> Engine {
        let level = LogLevel(rawValue: arguments.string("log-level")) ?? .warn
        return try Engine(
            root: arguments.stringIfSet("root"), run: arguments.stringIfSet("runroot"),
            warn: { message in if level.showsWarnings { Session.warn(message) } })
    }

    /// Writes to standard output.
    func print(_ text: String) throws(Failure) {
        if text.isEmpty { return }
        do { try File.writeAll(1, Array(text.utf8)) } catch {
            throw Failure("write to standard output: \(error.text)")
        }
    }

    /// Asks for a yes on standard input; anything else, also its end, is no.
    func confirm() throws(Failure) -> Bool {
        try print("Are you sure you want to continue? [y/N] ")
        var line: [UInt8] = []
        // Byte by byte: what follows the line belongs to whoever reads next.
        while line.count < 64, let byte = Session.readByte(), byte != UInt8(ascii: "\n") { line.append(byte) }
        return line.first == UInt8(ascii: "y") || line.first == UInt8(ascii: "Y")
    }

    private static func readByte() -> UInt8? {
        var byte: UInt8 = 0
        let result = withUnsafeMutableBytes(of: &byte) { NonBlockingIO.read(0, into: $0) }
        if case .bytes = result { return byte }
        return nil
    }

    /// Writes one line to standard error. Nobody could be told about a failure of this, so none is reported.
    func complain(_ line: String) { Session.writeError(line) }

    /// A warning in the form of Podman's log lines.
    static func warn(_ message: String) {
        let now = Moment.now.rfc3339()
        writeError("time=\"\(now)\" level=warning msg=\(quotedForLog(message))")
    }

    private static func writeError(_ line: String) { try? File.writeAll(2, Array((line + "\n").utf8)) }

    /// logrus' quoting: Go's %q for double quotes, backslashes and control characters.
    private static func quotedForLog(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// --log-level: which messages are shown. The engine has warnings and errors; errors are always shown.
enum LogLevel: String, CaseIterable {
    case trace, debug, info, warn, warning, error, fatal, panic

    var showsWarnings: Bool {
        switch self {
        case .trace, .debug, .info, .warn, .warning: true
        case .error, .fatal, .panic: false
        }
    }

    static func problem(with text: String) -> String? {
        if LogLevel(rawValue: text.lowercased()) != nil { return nil }
        let choices = allCases.map(\.rawValue).joined(separator: ", ")
        return "Log Level \"\(text)\" is not supported, choose from: \(choices)"
    }
}

/// A point in time for printing.
typealias Moment = Presentation.Timestamp

extension Moment {
    static var now: Moment { Moment(LinuxSystem.Timestamp.now) }

    init(_ record: LinuxSystem.Timestamp) {
        self.init(seconds: record.seconds, nanoseconds: Int64(record.nanoseconds))
    }

    /// Whole seconds from `self` to `later`, never negative: a clock may have been set back.
    func seconds(until later: Moment) -> Int64 {
        let whole = later.seconds - seconds - (later.nanoseconds < nanoseconds ? 1 : 0)
        return max(0, whole)
    }
}
