// SPDX-License-Identifier: Apache-2.0

/// One node of the command tree: what a parent needs to list and find it, and how to get the rest.
///
///     let root = Command<Engine>("samara", summary: "Manage pods, containers and images") {
///         .group(flags: [.string("root", help: "Storage root").inherited()], version: "1.0.0") { [
///             Command("ps", aliases: ["ls"], summary: "List containers") {
///                 .init(
///                     usage: "[options]", flags: [.bool("all", short: "a", help: "Show all")], positional: .none,
///                     run: { engine, arguments in listContainers(engine, all: arguments.bool("all")) })
///             },
///         ] }
///     }
public struct Command<Context>: Sendable {
    public let name: String
    public let aliases: [String]
    /// One line without a full stop.
    public let summary: String
    public let isHidden: Bool
    private let makeDeclaration: @Sendable () -> CommandDeclaration<Context>

    /// - Parameter declaration: evaluated when the command is selected, a command below it is, or its help is
    ///   printed.
    public init(
        _ name: String, aliases: [String] = [], summary: String, isHidden: Bool = false,
        declaration: @escaping @Sendable () -> CommandDeclaration<Context>
    ) {
        self.name = name
        self.aliases = aliases
        self.summary = summary
        self.isHidden = isHidden
        makeDeclaration = declaration
    }

    func declaration() -> CommandDeclaration<Context> { makeDeclaration() }

    func answers(to word: String) -> Bool { name == word || aliases.contains(word) }
}

/// What a command accepts and does.
public struct CommandDeclaration<Context>: Sendable {
    /// The work, given what was parsed; returns the exit status.
    public typealias Run = @Sendable (Context, ParsedArguments) throws -> Int32
    /// The part of the work that needs what was parsed; returns the rest of it.
    public typealias Prepare = @Sendable (Context, ParsedArguments) throws -> () throws -> Int32

    let description: String
    let usage: String
    let examples: [String]
    let flags: [Flag]
    let positional: PositionalLimit
    let isInterspersed: Bool
    let version: String?
    let subcommands: [Command<Context>]
    let prepare: Prepare?

    /// A command that does something.
    ///
    /// - Parameters:
    ///   - description: paragraphs for help, not indented; the summary when empty.
    ///   - usage: what follows the command's name in help, e.g. `[options] CONTAINER [CONTAINER...]`.
    ///   - examples: whole command lines.
    ///   - isInterspersed: false where flags end at the first word because what follows is another command's line.
    public init(
        description: String = "", usage: String = "", examples: [String] = [], flags: [Flag] = [],
        positional: PositionalLimit = .any, isInterspersed: Bool = true, run: @escaping Run
    ) {
        self.init(
            description: description, usage: usage, examples: examples, flags: flags, positional: positional,
            isInterspersed: isInterspersed, prepare: { context, arguments in { try run(context, arguments) } })
    }

    /// A command that leaves processes behind, which would keep the memory of its flags as long as they live.
    public init(
        description: String = "", usage: String = "", examples: [String] = [], flags: [Flag] = [],
        positional: PositionalLimit = .any, isInterspersed: Bool = true, prepare: @escaping Prepare
    ) {
        self.description = description
        self.usage = usage
        self.examples = examples
        self.flags = flags
        self.positional = positional
        self.isInterspersed = isInterspersed
        self.version = nil
        self.subcommands = []
        self.prepare = prepare
    }

    /// A command that only groups others.
    ///
    /// - Parameters:
    ///   - version: for the root, what `-v` and `--version` print behind the name and the word `version`.
    ///   - subcommands: in any order; help sorts them.
    public static func group(
        description: String = "", usage: String = "", examples: [String] = [], flags: [Flag] = [],
        version: String? = nil, subcommands: () -> [Command<Context>]
    ) -> CommandDeclaration {
        CommandDeclaration(
            group: description, usage: usage, examples: examples, flags: flags, version: version,
            subcommands: subcommands())
    }

    private init(
        group description: String, usage: String, examples: [String], flags: [Flag], version: String?,
        subcommands: [Command<Context>]
    ) {
        self.description = description
        self.usage = usage
        self.examples = examples
        let versionFlags: [Flag] = version == nil ? [] : [.bool("version", short: "v", help: "Print the version")]
        self.flags = flags + versionFlags
        self.positional = .any
        self.isInterspersed = true
        self.version = version
        self.subcommands = subcommands
        self.prepare = nil
    }
}

/// How many words a command takes, with the messages of cobra and podman.
public enum PositionalLimit: Sendable {
    case any
    case none
    case exactly(Int)
    case atLeast(Int)
    case atMost(Int)
    case between(Int, Int)
    /// Returns the message for what is wrong, nil when nothing is; sees the flags as well.
    case check(@Sendable (ParsedArguments) -> String?)

    func problem(with arguments: ParsedArguments) -> String? {
        let count = arguments.positional.count
        switch self {
        case .any: return nil
        case .none: return count == 0 ? nil : "`\(arguments.commandPath)` takes no arguments"
        case .exactly(let wanted): return count == wanted ? nil : "accepts \(wanted) arg(s), received \(count)"
        case .atLeast(let least):
            return count >= least ? nil : "requires at least \(least) arg(s), only received \(count)"
        case .atMost(let most): return count <= most ? nil : "accepts at most \(most) arg(s), received \(count)"
        case .between(let least, let most):
            let fits = least <= count && count <= most
            return fits ? nil : "accepts between \(least) and \(most) arg(s), received \(count)"
        case .check(let check): return check(arguments)
        }
    }
}
