// SPDX-License-Identifier: Apache-2.0

/// The help of one command in podman's layout.
struct HelpText<Context> {
    let command: Command<Context>
    let declaration: CommandDeclaration<Context>
    /// The command's full name.
    let path: String
    /// The root has no `Description:` section and lists the `help` command.
    let isRoot: Bool

    func text() -> String {
        var sections: [String] = []
        if isRoot {
            sections.append(declaration.description.isEmpty ? command.summary : declaration.description)
        } else {
            let description = declaration.description.isEmpty ? command.summary : declaration.description
            sections.append(command.summary)
            sections.append(
                "Description:\n" + indented(description.split(separator: "\n", omittingEmptySubsequences: false)))
        }
        let suffix = declaration.subcommands.isEmpty ? "" : "[command]"
        let usage = [path, declaration.usage, suffix].filter { !$0.isEmpty }.joined(separator: " ")
        sections.append("Usage:\n  " + usage)
        if !command.aliases.isEmpty {
            sections.append("Aliases:\n  " + ([command.name] + command.aliases).joined(separator: ", "))
        }
        if !declaration.examples.isEmpty {
            sections.append("Examples:\n" + indented(declaration.examples.map { Substring($0) }))
        }
        if !declaration.subcommands.isEmpty { sections.append("Available Commands:\n" + commandTable()) }
        let flags = declaration.flags.filter { !$0.isHidden }
        if !flags.isEmpty { sections.append("Options:\n" + Self.flagTable(flags)) }
        // Podman's template ends every command but the root with an empty line where cobra would list inherited flags.
        return sections.joined(separator: "\n\n") + (isRoot ? "\n" : "\n\n")
    }

    private func indented(_ lines: [Substring]) -> String {
        lines.map { $0.isEmpty ? "" : "  \($0)" }.joined(separator: "\n")
    }

    private func commandTable() -> String {
        var rows = declaration.subcommands.filter { !$0.isHidden }.map { ($0.name, $0.summary) }
        if isRoot { rows.append(("help", "Help about any command")) }
        rows.sort { $0.0 < $1.0 }
        let width = max(11, rows.map { $0.0.count }.max() ?? 0)
        return rows.map { "  \(padded($0.0, to: width)) \($0.1)" }.joined(separator: "\n")
    }

    /// One line per flag: letter, name and placeholder padded to one width, then the help text and the default.
    static func flagTable(_ flags: [Flag]) -> String {
        let rows = flags.sorted { $0.name < $1.name }.map { (left: leftColumn($0), right: $0.help + defaultNote($0)) }
        let width = (rows.map { $0.left.count }.max() ?? 0) + 3
        let lines = rows.map { row in
            // Lines after the first of a long help text align with it.
            let help = row.right.split(separator: "\n", omittingEmptySubsequences: false)
                .joined(separator: "\n" + String(repeating: " ", count: width))
            return padded(row.left, to: width) + help
        }
        var table = Substring(lines.joined(separator: "\n"))
        while table.last?.isWhitespace == true { table.removeLast() }
        return String(table)
    }

    private static func leftColumn(_ flag: Flag) -> String {
        var text = flag.short.map { "  -\($0), " } ?? "      "
        text += "--\(flag.name)"
        if !flag.placeholder.isEmpty { text += " \(flag.placeholder)" }
        switch (flag.kind, flag.impliedValue) {
        case (.bool, "true"?), (.count, "+1"?), (_, nil): break
        case (.string, let value?): text += "[=\"\(value)\"]"
        case (_, let value?): text += "[=\(value)]"
        }
        return text
    }

    /// ` (default X)` unless the default is the kind's zero value.
    private static func defaultNote(_ flag: Flag) -> String {
        if let text = flag.defaultText { return text.isEmpty ? "" : " (default \(text))" }
        switch flag.kind {
        case .string: return flag.defaultValue.isEmpty ? "" : " (default \(quoted(flag.defaultValue)))"
        case .strings, .stringArray: return flag.defaultValue.isEmpty ? "" : " (default [\(flag.defaultValue)])"
        default:
            return ["", "0", "0s", "false"].contains(flag.defaultValue) ? "" : " (default \(flag.defaultValue))"
        }
    }
}

private func padded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}
