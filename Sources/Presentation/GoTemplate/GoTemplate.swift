// SPDX-License-Identifier: Apache-2.0

/// A template in the language of Go's text/template.
///
/// Available: text, comments, trim markers, fields, methods, variables, pipelines, parentheses, literals, `if`,
/// `with`, `range` with `else`, `break` and `continue`, and the functions of `TemplateFunctions`. Not available:
/// `define`, `template` and `block`, which a one-line format has no use for; they are parse errors.
public struct GoTemplate: Sendable {
    private let name: String
    private let source: [UInt8]
    private let nodes: [TemplateNode]

    /// - Parameters:
    ///   - text: the template as Go would see it; `ReportFormat` handles what the command line adds.
    ///   - name: what error messages call the template.
    public init(parsing text: String, name: String) throws(TemplateError) {
        self.name = name
        source = Array(text.utf8)
        nodes = try TemplateParser.parse(source, name: name)
    }

    public func render(_ value: TemplateValue) throws(TemplateError) -> String {
        var output = ""
        try render(value, into: &output)
        return output
    }

    /// Appends the output, also what was produced before an error, which podman prints as well.
    public func render(_ value: TemplateValue, into output: inout String) throws(TemplateError) {
        var evaluator = TemplateEvaluator(name: name, source: source, root: value)
        do {
            try evaluator.run(nodes, root: value)
        } catch {
            output += evaluator.output
            throw error
        }
        output += evaluator.output
    }
}

/// What is wrong with a template or with running it, in Go's words.
public struct TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// E.g. `template: inspect:1:68: executing "inspect" at <.X>: can't evaluate field X in type T`; the reason only,
    /// when a method throws it.
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var description: String { message }

    static func parsing(_ name: String, source: [UInt8], offset: Int, _ reason: String) -> TemplateError {
        TemplateError("template: \(name):\(line(offset, source)): \(reason)")
    }

    static func executing(
        _ name: String, source: [UInt8], place: TemplatePlace, _ reason: String
    ) -> TemplateError {
        let lineStart = source[..<place.offset].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        // Go quotes at most twenty bytes of the place.
        let context = place.text.utf8.count > 20 ? "\(place.text.prefix(20))..." : place.text
        return TemplateError(
            "template: \(name):\(line(place.offset, source)):\(place.offset - lineStart): "
                + "executing \(GoFormat.quoted(name)) at <\(context)>: \(reason)")
    }

    private static func line(_ offset: Int, _ source: [UInt8]) -> Int {
        1 + source[..<offset].count { $0 == 0x0A }
    }
}
