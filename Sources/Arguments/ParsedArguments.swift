// SPDX-License-Identifier: Apache-2.0

/// The flags and words of one command line, checked against the declarations.
///
/// The accessors take a flag's long name, return the default when it was not given, and trap on a name or kind the
/// command did not declare.
public struct ParsedArguments: Sendable {
    /// The words that are not flags, without the command's own name.
    public internal(set) var positional: [String] = []
    /// The command's full name, e.g. `samara pod create`.
    public let commandPath: String

    private var flags: [Flag] = []
    /// Position in `flags` by long name and alias.
    private var index = FlagIndex()
    /// What was given, by position: one value for a scalar, the items of a list; nil for what was not.
    private var given: [[String]?] = []

    init(commandPath: String, flags: [Flag], inheriting outer: ParsedArguments? = nil) {
        self.commandPath = commandPath
        self.flags.reserveCapacity(flags.count + (outer?.flags.count ?? 0))
        for flag in flags { declare(flag) }
        guard let outer else { return }
        for position in outer.flags.indices where outer.flags[position].isInherited {
            let flag = outer.flags[position]
            if self.position(ofLong: flag.name) != nil { continue }
            declare(flag, given: outer.given[position])
        }
    }

    private mutating func declare(_ flag: Flag, given values: [String]? = nil) {
        flags.append(flag)
        given.append(values)
        index.insert(flag.name, flags.count - 1)
        for alias in flag.aliases { index.insert(alias, flags.count - 1) }
    }

    // MARK: Reading

    /// Whether the flag was given, with whatever value.
    public func isSet(_ name: String) -> Bool { given[position(of: name)] != nil }

    public func bool(_ name: String) -> Bool { FlagGrammar.bool(scalar(name)) ?? false }

    public func string(_ name: String) -> String { scalar(name) }

    /// The value, nil when the flag was not given.
    public func stringIfSet(_ name: String) -> String? { isSet(name) ? scalar(name) : nil }

    /// The value of an `int` or `count` flag.
    public func int(_ name: String) -> Int {
        guard case .value(let value) = FlagGrammar.integer(scalar(name), as: Int.self) else { return 0 }
        return value
    }

    public func intIfSet(_ name: String) -> Int? { isSet(name) ? int(name) : nil }

    public func uint(_ name: String) -> UInt {
        guard case .value(let value) = FlagGrammar.integer(scalar(name), as: UInt.self) else { return 0 }
        return value
    }

    public func uintIfSet(_ name: String) -> UInt? { isSet(name) ? uint(name) : nil }

    public func double(_ name: String) -> Double { Double(scalar(name)) ?? 0 }

    /// The items of a `strings` or `stringArray` flag in the order given.
    public func strings(_ name: String) -> [String] {
        let position = position(of: name)
        precondition(flags[position].isList, "flag --\(name) is not a list")
        if let items = given[position] { return items }
        return (try? FlagGrammar.commaSeparated(flags[position].defaultValue)) ?? []
    }

    /// The declaration, for `ArgumentError.invalidValue(_:for:reason:)`.
    public func flag(_ name: String) -> Flag { flags[position(of: name)] }

    private func scalar(_ name: String) -> String {
        let position = position(of: name)
        precondition(!flags[position].isList, "flag --\(name) is a list")
        return given[position]?.last ?? flags[position].defaultValue
    }

    private func position(of name: String) -> Int {
        guard let position = position(ofLong: name) else { preconditionFailure("flag --\(name) is not declared") }
        return position
    }

    // MARK: Writing

    func position(ofLong name: String) -> Int? {
        index.find(name) { position in flags[position].name == name || flags[position].aliases.contains(name) }
    }

    /// The command's own flags come before inherited ones, so they win a shared letter.
    func position(ofShort letter: Character) -> Int? { flags.firstIndex { $0.short == letter } }

    func flag(at position: Int) -> Flag { flags[position] }

    mutating func set(_ position: Int, to value: String) throws(ArgumentError) {
        let flag = flags[position]
        if let reason = FlagGrammar.problem(with: value, as: flag.kind) {
            throw .invalidValue(value, for: flag, reason: reason)
        }
        switch flag.kind {
        case .strings: given[position] = (given[position] ?? []) + (try FlagGrammar.commaSeparated(value))
        case .stringArray: given[position] = (given[position] ?? []) + [value]
        case .count where value == "+1": given[position] = [String(int(flag.name) + 1)]
        default: given[position] = [value]
        }
    }
}
