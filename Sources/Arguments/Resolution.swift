// SPDX-License-Identifier: Apache-2.0

/// What a command line asks for.
public enum Resolution<Context>: Sendable {
    /// Print this on standard output and succeed: help or the version.
    case text(String)
    case invocation(Invocation<Context>)
}

/// A selected command with its arguments.
public struct Invocation<Context>: Sendable {
    public let arguments: ParsedArguments
    private let work: CommandDeclaration<Context>.Prepare

    init(arguments: ParsedArguments, work: @escaping CommandDeclaration<Context>.Prepare) {
        self.arguments = arguments
        self.work = work
    }

    /// The command's full name, e.g. `samara pod create`.
    public var path: String { arguments.commandPath }

    public func run(_ context: Context) throws -> Int32 { try prepare(context)() }

    /// Does what needs the arguments and returns the rest, for a caller that lets go of this before.
    public func prepare(_ context: Context) throws -> () throws -> Int32 { try work(context, arguments) }
}

extension Command {
    /// Resolves a command line against the tree below this command.
    ///
    /// - Parameter arguments: without the program's name.
    /// - Throws: `ArgumentError` whose message is complete but for the `Error: ` in front.
    public func resolve(_ arguments: [String]) throws(ArgumentError) -> Resolution<Context> {
        try resolve(arguments[...], path: name, outer: nil, wantsHelp: false)
    }

    private func resolve(
        _ arguments: ArraySlice<String>, path: String, outer: ParsedArguments?, wantsHelp: Bool
    ) throws(ArgumentError) -> Resolution<Context> {
        let declaration = declaration()
        let accepted = ParsedArguments(commandPath: path, flags: declaration.flags, inheriting: outer)
        var parser = FlagParser(arguments, into: accepted, wantsHelp: wantsHelp)
        let help = HelpText(command: self, declaration: declaration, path: path, isRoot: outer == nil)

        guard let work = declaration.prepare else {
            try Self.addingHint(path) { () throws(ArgumentError) in _ = try parser.parseFlags() }
            if let word = parser.rest.first {
                // By index: iterating over an array of a generic type is looked up at run time.
                for index in 0..<declaration.subcommands.count where declaration.subcommands[index].answers(to: word) {
                    let child = declaration.subcommands[index]
                    return try child.resolve(
                        parser.rest.dropFirst(), path: "\(path) \(child.name)", outer: parser.parsed,
                        wantsHelp: parser.wantsHelp)
                }
                if word == "help", outer == nil {
                    return .text(try self.help(on: parser.rest.dropFirst(), path: path, outer: parser.parsed))
                }
                try Self.addingHint(path) { () throws(ArgumentError) in try parser.parseAll(isInterspersed: true) }
            }
            if parser.wantsHelp { return .text(help.text()) }
            if let version = declaration.version, parser.parsed.bool("version") {
                return .text("\(name) version \(version)\n")
            }
            guard let word = parser.parsed.positional.first else {
                throw ArgumentError("missing command '\(path) COMMAND'", helpText: help.text())
            }
            throw Self.unrecognized(word, path: path, among: declaration.subcommands)
        }

        try Self.addingHint(path) { () throws(ArgumentError) in
            try parser.parseAll(isInterspersed: declaration.isInterspersed)
        }
        if parser.wantsHelp { return .text(help.text()) }
        if let problem = declaration.positional.problem(with: parser.parsed) { throw ArgumentError(problem) }
        return .invocation(Invocation(arguments: parser.parsed, work: work))
    }

    /// Flag errors, unlike all others, point to the help of the command that was being parsed.
    private static func addingHint(_ path: String, _ body: () throws(ArgumentError) -> Void) throws(ArgumentError) {
        do {
            try body()
        } catch {
            throw ArgumentError("\(error.message)\nSee '\(path) --help'")
        }
    }

    /// `samara help pod create`.
    private func help(
        on words: ArraySlice<String>, path: String, outer: ParsedArguments
    ) throws(ArgumentError) -> String {
        var command = self
        var declaration = declaration()
        var path = path
        for word in words {
            guard let child = declaration.subcommands.first(where: { $0.answers(to: word) }) else {
                throw Self.unrecognized(word, path: path, among: declaration.subcommands)
            }
            command = child
            declaration = child.declaration()
            path += " \(child.name)"
        }
        return HelpText(command: command, declaration: declaration, path: path, isRoot: words.isEmpty).text()
    }

    private static func unrecognized(_ word: String, path: String, among commands: [Command]) -> ArgumentError {
        var message = "unrecognized command `\(path) \(word)`\n"
        let suggestions = commands.filter { !$0.isHidden && $0.resembles(word) }.map { $0.name }.sorted()
        if !suggestions.isEmpty {
            message += "\nDid you mean this?\n\t" + suggestions.joined(separator: "\n\t") + "\n\n"
        }
        return ArgumentError(message + "Try '\(path) --help' for more information")
    }

    /// Cobra's rule: two edits away at most, or an abbreviation.
    private func resembles(_ word: String) -> Bool {
        let (typed, known) = (word.lowercased(), name.lowercased())
        return known.hasPrefix(typed) || editDistance(typed, known) <= 2
    }
}

/// Levenshtein distance in Unicode scalars. O(length of one times length of the other).
private func editDistance(_ left: String, _ right: String) -> Int {
    let columns = Array(right.unicodeScalars)
    var previous = Array(0...columns.count)
    for (row, scalar) in left.unicodeScalars.enumerated() {
        var current = [row + 1]
        for (column, other) in columns.enumerated() {
            let substitution = previous[column] + (scalar == other ? 0 : 1)
            current.append(min(substitution, previous[column + 1] + 1, current[column] + 1))
        }
        previous = current
    }
    return previous[columns.count]
}
