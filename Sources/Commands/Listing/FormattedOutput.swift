// SPDX-License-Identifier: Apache-2.0
import JSON
import Presentation

/// What `--format` makes of things that are shown: JSON, a template, or the command's own layout.
enum FormattedOutput {
    /// A listing by a template; `table` prints a header unless `noHeading`.
    static func rows(
        _ rows: [TemplateValue], format: String, name: String, fields: [String], titles: [String: String] = [:],
        noHeading: Bool = false, into session: Session
    ) throws {
        let report = try ReportFormat(format, name: name)
        try emit(session) { output throws(TemplateError) in
            try report.render(
                rows: rows, headers: ReportFormat.headers(for: fields, overriding: titles), showsHeader: !noHeading,
                into: &output)
        }
    }

    /// One value by a template.
    static func value(_ value: TemplateValue, format: String, name: String, into session: Session) throws {
        let report = try ReportFormat(format, name: name, scope: .value)
        try emit(session) { output throws(TemplateError) in try report.render(value, into: &output) }
    }

    /// Prints what a template produced before it failed too, as Go's writes it piece by piece.
    private static func emit(
        _ session: Session, _ render: (inout String) throws(TemplateError) -> Void
    ) throws {
        var output = ""
        do throws(TemplateError) { try render(&output) } catch {
            try session.print(output)
            throw error
        }
        try session.print(output)
    }

    /// An array with the indentation of `encoding/json` and a line feed.
    static func json(_ values: [JSON], indent: Int) -> String { json(.array(values), indent: indent) }

    static func json(_ value: JSON, indent: Int) -> String {
        String(decoding: value.serialized(indent: indent), as: UTF8.self) + "\n"
    }

    /// `inspect`: a JSON array, or the template applied to each object. `template` is asked only for the latter.
    static func inspection<Item>(
        of items: [Item], format: String, json: (Item) -> JSON, template: (Item) -> TemplateValue, into session: Session
    ) throws {
        if format.isEmpty || ReportFormat.isJSON(format) {
            try session.print(self.json(items.map(json), indent: 5))
        } else {
            try rows(items.map(template), format: format, name: "inspect", fields: [], into: session)
        }
    }
}

/// How a moment is written: RFC 3339 in JSON, Go's `time.Time` in templates.
enum MomentStyle {
    case json, template

    func text(_ moment: Moment) -> JSON {
        switch self {
        case .json: .string(moment.rfc3339Nano())
        case .template: .string(moment.goText())
        }
    }
}

extension JSON {
    static func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }

    /// Go's nil slice is null where an empty one is `[]`.
    static func stringsOrNull(_ values: [String]) -> JSON { values.isEmpty ? .null : .strings(values) }

    /// A map with sorted keys, as Go writes them.
    static func sortedMap(_ pairs: [(key: String, value: String)]) -> JSON {
        var object = JSONObject()
        for pair in pairs.sorted(by: { $0.key < $1.key }) { object[pair.key] = .string(pair.value) }
        return .object(object)
    }
}

extension TemplateValue {
    static func map(_ pairs: [(key: String, value: String)]) -> TemplateValue {
        var values: [String: TemplateValue] = [:]
        for pair in pairs { values[pair.key] = .string(pair.value) }
        return .map(values)
    }

    static func strings(_ values: [String]) -> TemplateValue { .list(values.map { .string($0) }) }

    /// `.Label "key"`: the value, "" when there is none.
    static func labelMethod(_ labels: [(key: String, value: String)]) -> TemplateStructure.Method {
        { (arguments) throws(TemplateError) in
            guard case .string(let key)? = arguments.first else { return .string("") }
            return .string(labels.first { $0.key == key }?.value ?? "")
        }
    }
}
