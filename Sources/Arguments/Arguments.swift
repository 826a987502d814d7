// SPDX-License-Identifier: Apache-2.0

// Theory of operation
//
// A command line is resolved against a tree of `Command`s into one `Invocation` or one text to print. The grammar,
// the messages and the help layout are those of Go's pflag and cobra as podman configures them, because scripts
// written for podman are this program's users.
//
//   arguments -> Command.resolve -> level by level: flags up to the next word, then the subcommand of that name
//                                -> last level: FlagParser over the rest, then the positional limits
//                                -> Resolution.invocation(path, ParsedArguments) or Resolution.text(help, version)
//
// - A `Command` is a name, a summary and a closure; only the closures on the path from the root to the selected
//   command are evaluated, so start-up does not pay for the flags of commands nobody asked for.
// - Values are checked while parsing, so the accessors of `ParsedArguments` cannot fail. Asking for a flag that was
//   not declared is a programmer error and traps.
// - Everything here is a pure function of the arguments: no environment, no terminal, no output.

/// What is wrong with a command line.
public struct ArgumentError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text to print behind `Error: `, possibly of several lines.
    public let message: String
    /// Help to print on standard output before the message; set when a command group is given no command.
    public let helpText: String?

    public init(_ message: String, helpText: String? = nil) {
        self.message = message
        self.helpText = helpText
    }

    /// The error for a value that is well formed but means nothing to the command, in the words used for malformed
    /// values: `invalid argument "x" for "-t, --time" flag: REASON`.
    public static func invalidValue(_ value: String, for flag: Flag, reason: String) -> ArgumentError {
        ArgumentError("invalid argument \(quoted(value)) for \(quoted(flag.spelling)) flag: \(reason)")
    }

    public var description: String { message }
}

/// Go's `%q`: double quotes, backslash escapes for what is not printable ASCII text or a letter beyond it.
func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case _ where scalar.value < 0x20 || scalar.value == 0x7F:
            result += (scalar.value < 0x10 ? "\\x0" : "\\x") + String(scalar.value, radix: 16)
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
