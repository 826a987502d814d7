// SPDX-License-Identifier: Apache-2.0

/// Builds the tree of a template from its tokens.
struct TemplateParser {
    private let name: String
    private let source: [UInt8]
    private let tokens: [TemplateToken]
    private var index = 0
    /// Variables in scope, innermost last.
    private var variables = ["$"]
    private var loopDepth = 0
    /// Blocks and parentheses open at once; recursion is bounded by it.
    private var nesting = 0

    private static let nestingLimit = 200
    private static let keywords: Set<String> = [
        "if", "else", "end", "range", "with", "break", "continue", "define", "template", "block",
    ]

    static func parse(_ source: [UInt8], name: String) throws(TemplateError) -> [TemplateNode] {
        let tokens = try TemplateLexer.tokens(of: source, name: name)
        var parser = TemplateParser(name: name, source: source, tokens: tokens)
        let (nodes, terminator) = try parser.parseList()
        if let terminator { throw parser.failure("unexpected {{\(terminator)}}") }
        return nodes
    }

    private init(name: String, source: [UInt8], tokens: [TemplateToken]) {
        self.name = name
        self.source = source
        self.tokens = tokens
    }

    // MARK: Tokens

    /// The lexer ends every list with `.end`, which is never consumed, so this is always in range.
    private var current: TemplateToken { tokens[index] }

    private mutating func advance() {
        if current.kind != .end { index += 1 }
    }

    private mutating func expect(_ kind: TemplateToken.Kind, in context: String) throws(TemplateError) {
        guard current.kind == kind else { throw unexpected(in: context) }
        advance()
    }

    private func failure(_ reason: String) -> TemplateError {
        TemplateError.parsing(name, source: source, offset: current.range.lowerBound, reason)
    }

    private func unexpected(in context: String) -> TemplateError {
        switch current.kind {
        case .end: failure("unexpected EOF")
        case .rightDelimiter: failure("unexpected \"}}\" in \(context)")
        case .identifier where Self.keywords.contains(current.text):
            failure("unexpected <\(current.text)> in \(context)")
        default: failure("unexpected \(GoFormat.quoted(current.text)) in \(context)")
        }
    }

    private mutating func enter() throws(TemplateError) {
        guard nesting < Self.nestingLimit else { throw failure("nested more than \(Self.nestingLimit) deep") }
        nesting += 1
    }

    // MARK: Blocks

    /// Parses up to the end, or to the `else` or `end` that closes the block, which it returns consumed up to the
    /// keyword.
    private mutating func parseList() throws(TemplateError) -> (nodes: [TemplateNode], terminator: String?) {
        var nodes: [TemplateNode] = []
        while true {
            switch current.kind {
            case .end: return (nodes, nil)
            case .text:
                nodes.append(.text(current.text))
                advance()
            default:
                advance()
                guard current.kind == .identifier, Self.keywords.contains(current.text) else {
                    // What it declares stays visible until the enclosing block ends.
                    nodes.append(.action(try parsePipeline(in: "command", until: .rightDelimiter)))
                    continue
                }
                let keyword = current.text
                advance()
                switch keyword {
                case "else", "end": return (nodes, keyword)
                case "if": nodes.append(.conditional(try parseBranch("if")))
                case "with": nodes.append(.scope(try parseBranch("with")))
                case "range": nodes.append(.loop(try parseBranch("range")))
                case "break", "continue":
                    guard loopDepth > 0 else { throw failure("{{\(keyword)}} outside {{range}}") }
                    try expect(.rightDelimiter, in: "{{\(keyword)}}")
                    nodes.append(keyword == "break" ? .breakLoop : .continueLoop)
                default: throw failure("{{\(keyword)}} is not available in a format")
                }
            }
        }
    }

    private mutating func parseBranch(_ keyword: String) throws(TemplateError) -> TemplateBranch {
        try enter()
        let scope = variables.count
        defer {
            nesting -= 1
            variables.removeLast(variables.count - scope)
        }
        let pipeline = try parsePipeline(in: keyword, until: .rightDelimiter)
        let scopeOfPipeline = variables.count
        if keyword == "range" { loopDepth += 1 }
        var (body, terminator) = try parseList()
        if keyword == "range" { loopDepth -= 1 }
        variables.removeLast(variables.count - scopeOfPipeline)
        var otherwise: [TemplateNode] = []
        if terminator == "else" {
            // `{{else if X}}` is `{{else}}{{if X}}` with one `{{end}}` for both.
            if keyword != "range", current.kind == .identifier, current.text == keyword {
                advance()
                let nested = try parseBranch(keyword)
                let node: TemplateNode = keyword == "if" ? .conditional(nested) : .scope(nested)
                return TemplateBranch(pipeline: pipeline, body: body, otherwise: [node])
            }
            try expect(.rightDelimiter, in: "else")
            (otherwise, terminator) = try parseList()
            if terminator == "else" { throw failure("expected end; found {{else}}") }
        }
        guard terminator == "end" else { throw failure("unexpected EOF") }
        try expect(.rightDelimiter, in: "end")
        return TemplateBranch(pipeline: pipeline, body: body, otherwise: otherwise)
    }

    // MARK: Pipelines

    private mutating func parsePipeline(
        in context: String, until closing: TemplateToken.Kind
    ) throws(TemplateError) -> TemplatePipeline {
        try enter()
        defer { nesting -= 1 }
        let start = index
        let declared = try parseDeclaration(in: context)
        var commands: [TemplateCommand] = []
        while true {
            commands.append(try parseCommand(in: context))
            if current.kind == closing { break }
            guard current.kind == .pipe else { throw unexpected(in: context) }
            advance()
        }
        for (position, command) in commands.dropFirst().enumerated() {
            switch command.operands[0].kind {
            case .dot, .null, .literal: throw failure("non executable command in pipeline stage \(position + 2)")
            default: break
            }
        }
        let place = place(from: start)
        advance()
        // Names become visible behind their own declaration.
        if !declared.isAssignment { variables += declared.names }
        return TemplatePipeline(
            place: place, variables: declared.names, isAssignment: declared.isAssignment, commands: commands)
    }

    private mutating func parseDeclaration(
        in context: String
    ) throws(TemplateError) -> (names: [String], isAssignment: Bool) {
        guard current.kind == .variable else { return ([], false) }
        let start = index
        var names = [current.text]
        advance()
        if context == "range", current.kind == .comma {
            advance()
            guard current.kind == .variable else { throw unexpected(in: context) }
            names.append(current.text)
            advance()
        }
        guard current.kind == .declare || current.kind == .assign else {
            guard names.count == 1 else { throw failure("range can only initialize variables") }
            index = start
            return ([], false)
        }
        let isAssignment = current.kind == .assign
        if isAssignment { for name in names { try check(variable: name) } }
        advance()
        return (names, isAssignment)
    }

    private func check(variable name: String) throws(TemplateError) {
        guard variables.contains(name) else { throw failure("undefined variable \(GoFormat.quoted(name))") }
    }

    private mutating func parseCommand(in context: String) throws(TemplateError) -> TemplateCommand {
        let start = index
        var operands: [TemplateOperand] = []
        while true {
            switch current.kind {
            case .pipe, .rightDelimiter, .rightParenthesis, .end:
                guard !operands.isEmpty else {
                    if current.kind == .end { throw unexpected(in: context) }
                    throw failure("missing value for \(context)")
                }
                return TemplateCommand(place: place(from: start), operands: operands)
            default:
                if !operands.isEmpty, !current.isSpaced { throw unexpected(in: "operand") }
                operands.append(try parseOperand())
            }
        }
    }

    private mutating func parseOperand() throws(TemplateError) -> TemplateOperand {
        let start = index
        let token = current
        let base: TemplateOperand.Kind
        switch token.kind {
        case .dot: base = .dot
        case .field: base = .field([String(token.text.dropFirst())])
        case .variable:
            try check(variable: token.text)
            base = .variable(token.text, [])
        case .string(let value): base = .literal(.string(value))
        case .character(let value): base = .literal(.int(value))
        case .number:
            guard let value = TemplateNumber.value(of: token.text) else {
                throw failure("bad number syntax: \(GoFormat.quoted(token.text))")
            }
            base = .literal(value)
        case .identifier: base = try word(token.text)
        case .leftParenthesis:
            advance()
            let pipeline = try parsePipeline(in: "parenthesized pipeline", until: .rightParenthesis)
            return try parseChain(behind: .pipeline(pipeline), from: start)
        default: throw unexpected(in: "operand")
        }
        advance()
        return try parseChain(behind: base, from: start)
    }

    private func word(_ text: String) throws(TemplateError) -> TemplateOperand.Kind {
        switch text {
        case "true": return .literal(.bool(true))
        case "false": return .literal(.bool(false))
        case "nil": return .null
        case _ where Self.keywords.contains(text): throw unexpected(in: "operand")
        default:
            guard TemplateFunctions.names.contains(text) else {
                throw failure("function \(GoFormat.quoted(text)) not defined")
            }
            return .function(text)
        }
    }

    /// Fields written behind an operand without white space.
    private mutating func parseChain(
        behind base: TemplateOperand.Kind, from start: Int
    ) throws(TemplateError) -> TemplateOperand {
        // Go reports a chain at its second element.
        let offset = current.kind == .field && !current.isSpaced ? current.range.lowerBound : nil
        let basePlace = place(from: start)
        var names: [String] = []
        while current.kind == .field, !current.isSpaced {
            names.append(String(current.text.dropFirst()))
            advance()
        }
        let place = place(from: start, reportedAt: offset)
        guard !names.isEmpty else { return TemplateOperand(kind: base, place: place) }
        switch base {
        case .field(let first): return TemplateOperand(kind: .field(first + names), place: place)
        case .variable(let variable, _): return TemplateOperand(kind: .variable(variable, names), place: place)
        case .literal, .null, .dot: throw failure("unexpected . after term \(GoFormat.quoted(basePlace.text))")
        default:
            return TemplateOperand(kind: .chain(TemplateOperand(kind: base, place: basePlace), names), place: place)
        }
    }

    /// The source from the token at `start` to the one before the current.
    private func place(from start: Int, reportedAt offset: Int? = nil) -> TemplatePlace {
        let lower = tokens[start].range.lowerBound
        let upper = max(lower, index > start ? tokens[index - 1].range.upperBound : lower)
        return TemplatePlace(offset: offset ?? lower, text: String(decoding: source[lower..<upper], as: UTF8.self))
    }
}
