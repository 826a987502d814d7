// SPDX-License-Identifier: Apache-2.0

/// The argument of `--format` of a listing or of `inspect`.
///
/// As podman reads it: `\t` and `\n` outside of actions are escapes, a line feed is added when the format does not
/// end in one, the format applies to every row in turn unless it starts with `{{range .}}`, and behind `table ` spaces
/// outside of actions separate columns and a header line comes first.
public struct ReportFormat: Sendable {
    /// What the format is applied to.
    public enum Scope: Sendable {
        /// Each row of a listing.
        case rows
        /// One value, as in `info` and `version`.
        case value
    }

    /// Whether the format starts with `table `.
    public let isTable: Bool
    private let template: GoTemplate
    private let scope: Scope

    /// - Parameters:
    ///   - format: as given on the command line.
    ///   - name: what error messages call the template; podman uses the command's name.
    public init(_ format: String, name: String, scope: Scope = .rows) throws(TemplateError) {
        isTable = format.hasPrefix("table ")
        self.scope = scope
        var text = Self.unescape(isTable ? format.dropFirst("table ".count) : format[...], isTable: isTable)
        if !text.hasSuffix("\n") { text += "\n" }
        if scope == .rows, !Self.rangesOverRows(text) { text = "{{range .}}" + text + "{{end -}}" }
        template = try GoTemplate(parsing: text, name: name)
    }

    /// Whether the format asks for JSON: `json` or `{{json .}}`.
    public static func isJSON(_ format: String) -> Bool {
        let words = format.filter { !$0.isWhitespace }
        return words == "json" || words == "{{json}}" || words == "{{json.}}"
    }

    /// Column titles by field: the field's words in capitals (`PodName` is `POD NAME`).
    public static func headers(for fields: [String], overriding titles: [String: String] = [:]) -> [String: String] {
        var headers = titles
        for field in fields where headers[field] == nil { headers[field] = title(of: field) }
        return headers
    }

    /// Renders a listing; for a table with aligned columns and, if asked for, the header.
    ///
    /// - Parameter headers: column titles by field, for `table`.
    public func render(
        rows: [TemplateValue], headers: [String: String] = [:], showsHeader: Bool = true
    ) throws(TemplateError) -> String {
        var output = ""
        try render(rows: rows, headers: headers, showsHeader: showsHeader, into: &output)
        return output
    }

    /// Appends the output, also what was produced before an error.
    public func render(
        rows: [TemplateValue], headers: [String: String] = [:], showsHeader: Bool = true, into output: inout String
    ) throws(TemplateError) {
        precondition(scope == .rows, "this format was made for one value")
        guard isTable else { return try template.render(.list(rows), into: &output) }
        var text = ""
        defer { output += ColumnLayout.text(aligning: text) }
        if showsHeader { try template.render(.list([Self.headerRow(headers)]), into: &text) }
        try template.render(.list(rows), into: &text)
    }

    /// Renders one value with a format of scope `value`, appending also what was produced before an error.
    public func render(_ value: TemplateValue, into output: inout String) throws(TemplateError) {
        precondition(scope == .value, "this format was made for rows")
        try template.render(value, into: &output)
    }

    /// Whether the format starts with `{{range .}}`; `{{range .Mounts}}` is about each row.
    private static func rangesOverRows(_ format: String) -> Bool {
        guard format.hasPrefix("{{") else { return false }
        let action = format.dropFirst(2).prefix { $0 != "}" }
        return action.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "-" }) == ["range", "."]
    }

    /// The header is the template applied to the titles; methods such as `.Label "key"` yield their title, too.
    private static func headerRow(_ headers: [String: String]) -> TemplateValue {
        .structure(
            TemplateStructure(
                typeName: "header", fieldNames: headers.keys.sorted(),
                findMethod: { name in
                    guard let title = headers[name] else { return nil }
                    return { (_) throws(TemplateError) in .string(title) }
                },
                readField: { _ in .missing }))
    }

    /// Resolves the escapes of the text around actions; inside, they are Go's own.
    private static func unescape(_ format: Substring, isTable: Bool) -> String {
        var text = ""
        var rest = format
        while let character = rest.first {
            if rest.hasPrefix("{{") {
                let action = actionLength(rest)
                text += rest.prefix(action)
                rest.removeFirst(action)
            } else if rest.hasPrefix("\\t") || rest.hasPrefix("\\n") {
                text += rest.hasPrefix("\\t") ? "\t" : "\n"
                rest.removeFirst(2)
            } else {
                text.append(isTable && character == " " ? "\t" : character)
                rest.removeFirst()
            }
        }
        return text
    }

    /// Characters up to and including the first `}}`, or all of them.
    private static func actionLength(_ action: Substring) -> Int {
        var length = 0
        var previous: Character?
        for character in action {
            length += 1
            if character == "}", previous == "}" { return length }
            previous = character
        }
        return length
    }

    /// Splits at the start of each capitalised word: `ImageID` into IMAGE ID, `CPUPerc` into CPU PERC.
    private static func title(of field: String) -> String {
        let letters = Array(field)
        var title = ""
        for (position, letter) in letters.enumerated() {
            let previous = position > 0 ? letters[position - 1] : nil
            let next = position + 1 < letters.count ? letters[position + 1] : nil
            let startsWord =
                letter.isUppercase && previous != nil
                && (previous?.isUppercase == false || next?.isLowercase == true)
            title += (startsWord ? " " : "") + letter.uppercased()
        }
        return title
    }
}
