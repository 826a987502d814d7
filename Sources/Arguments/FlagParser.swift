// SPDX-License-Identifier: Apache-2.0

/// Reads flags off the front of a list of arguments, as pflag's `FlagSet.Parse` does.
struct FlagParser {
    /// Arguments not yet read.
    private(set) var rest: ArraySlice<String>
    /// Where values and words go.
    private(set) var parsed: ParsedArguments
    /// `--help` was given, or `-h` where that letter is not declared.
    private(set) var wantsHelp: Bool

    init(_ arguments: ArraySlice<String>, into parsed: ParsedArguments, wantsHelp: Bool) {
        rest = arguments
        self.parsed = parsed
        self.wantsHelp = wantsHelp
    }

    /// Reads flags until the first word, leaving it in `rest`. `--` counts as a flag that ends the flags.
    ///
    /// - Returns: whether `--` was read, behind which nothing is a flag.
    @discardableResult
    mutating func parseFlags() throws(ArgumentError) -> Bool {
        while let argument = rest.first, argument.hasPrefix("-"), argument != "-" {
            rest.removeFirst()
            if argument == "--" { return true }
            if argument.hasPrefix("--") {
                try parseLong(argument)
            } else {
                try parseShorts(argument.dropFirst())
            }
            if isCutShort { return false }
        }
        return false
    }

    /// Reads everything. Interspersed, flags may follow words; otherwise the first word ends them.
    mutating func parseAll(isInterspersed: Bool) throws(ArgumentError) {
        while true {
            let sawTerminator = try parseFlags()
            if isCutShort { return }
            if sawTerminator || !isInterspersed {
                parsed.positional += rest
                rest = []
                return
            }
            guard let word = rest.popFirst() else { return }
            parsed.positional.append(word)
        }
    }

    /// An undeclared `-h` stops parsing where it stands, so later mistakes do not hide the help asked for.
    private var isCutShort = false

    private mutating func parseLong(_ argument: String) throws(ArgumentError) {
        let body = argument.dropFirst(2)
        guard let first = body.first, first != "-", first != "=" else {
            throw ArgumentError("bad flag syntax: \(argument)")
        }
        let (name, attached) = Self.split(body)
        guard let position = parsed.position(ofLong: name) else {
            guard name == "help" else { throw ArgumentError("unknown flag: --\(name)") }
            let value = attached ?? "true"
            guard let isWanted = FlagGrammar.bool(value) else {
                throw .invalidValue(value, for: .bool("help", help: ""), reason: Self.notABool(value))
            }
            wantsHelp = isWanted
            return
        }
        let flag = parsed.flag(at: position)
        if let value = attached ?? flag.impliedValue {
            try parsed.set(position, to: value)
        } else if let value = rest.popFirst() {
            try parsed.set(position, to: value)
        } else {
            throw ArgumentError("flag needs an argument: \(argument)")
        }
        if flag.name == "help" { wantsHelp = parsed.bool("help") }
    }

    private static func notABool(_ value: String) -> String {
        FlagGrammar.problem(with: value, as: .bool) ?? ""
    }

    private static func split(_ body: Substring) -> (name: String, value: String?) {
        guard let equals = body.firstIndex(of: "=") else { return (String(body), nil) }
        return (String(body[..<equals]), String(body[body.index(after: equals)...]))
    }

    /// Reads `-abc`: letters without values may be bundled, the first with one takes the remainder or the next
    /// argument.
    private mutating func parseShorts(_ bundle: Substring) throws(ArgumentError) {
        var letters = bundle
        while let letter = letters.first {
            let remainder = letters.dropFirst()
            guard let position = parsed.position(ofShort: letter) else {
                guard letter == "h" else {
                    throw ArgumentError("unknown shorthand flag: '\(letter)' in -\(letters)")
                }
                wantsHelp = true
                isCutShort = true
                return
            }
            if remainder.first == "=", remainder.count > 1 {
                return try parsed.set(position, to: String(remainder.dropFirst()))
            }
            if let implied = parsed.flag(at: position).impliedValue {
                try parsed.set(position, to: implied)
                letters = remainder
                continue
            }
            if !remainder.isEmpty { return try parsed.set(position, to: String(remainder)) }
            guard let value = rest.popFirst() else {
                throw ArgumentError("flag needs an argument: '\(letter)' in -\(letters)")
            }
            return try parsed.set(position, to: value)
        }
    }
}
