// SPDX-License-Identifier: Apache-2.0

/// The tree of a parsed template.
indirect enum TemplateNode: Sendable {
    case text(String)
    case action(TemplatePipeline)
    case conditional(TemplateBranch)
    /// `with`: the branch's value becomes the dot.
    case scope(TemplateBranch)
    case loop(TemplateBranch)
    case breakLoop
    case continueLoop
}

/// `{{if PIPELINE}} body {{else}} otherwise {{end}}`, and likewise for `with` and `range`.
struct TemplateBranch: Sendable {
    let pipeline: TemplatePipeline
    let body: [TemplateNode]
    let otherwise: [TemplateNode]
}

/// `$x := command | command`.
struct TemplatePipeline: Sendable {
    let place: TemplatePlace
    /// Names with the dollar sign; two only in `range $index, $element := `.
    var variables: [String] = []
    /// `=` rather than `:=`.
    var isAssignment = false
    var commands: [TemplateCommand] = []
}

/// Operands in a row: a value, or a function or method with its arguments.
struct TemplateCommand: Sendable {
    let place: TemplatePlace
    let operands: [TemplateOperand]
}

struct TemplateOperand: Sendable {
    indirect enum Kind: Sendable {
        case dot
        case null
        case literal(TemplateValue)
        /// `.A.B`.
        case field([String])
        /// `$x.A.B`; the name has its dollar sign.
        case variable(String, [String])
        case function(String)
        /// `(pipeline)`.
        case pipeline(TemplatePipeline)
        /// `(pipeline).A.B`.
        case chain(TemplateOperand, [String])
    }

    let kind: Kind
    let place: TemplatePlace
}

/// Where something is in the source, for messages.
struct TemplatePlace: Sendable {
    /// Byte offset that messages report.
    let offset: Int
    /// The source text that messages quote.
    let text: String
}
