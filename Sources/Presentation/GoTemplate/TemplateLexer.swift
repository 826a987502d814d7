// SPDX-License-Identifier: Apache-2.0

/// A lexical element of a template with its place in the source.
struct TemplateToken: Equatable {
    enum Kind: Equatable {
        /// Literal text between actions.
        case text
        case leftDelimiter, rightDelimiter
        /// A function name or a keyword.
        case identifier
        /// `.Name`, with the dot.
        case field
        /// `$` or `$name`.
        case variable
        case dot
        case string(String)
        case character(Int64)
        case number
        case pipe, declare, assign, comma, leftParenthesis, rightParenthesis
        case end
    }

    let kind: Kind
    /// Byte range in the source.
    let range: Range<Int>
    let text: String
    /// Whether white space comes before; `.A.B` is one chain, `.A .B` are two operands.
    let isSpaced: Bool
}

/// Splits a template into tokens, resolving trim markers and dropping comments.
struct TemplateLexer {
    private let name: String
    private let source: [UInt8]
    private var position = 0
    private var tokens: [TemplateToken] = []

    private static let leftDelimiter = Array("{{".utf8)
    private static let rightDelimiter = Array("}}".utf8)

    static func tokens(of source: [UInt8], name: String) throws(TemplateError) -> [TemplateToken] {
        var lexer = TemplateLexer(name: name, source: source)
        try lexer.run()
        return lexer.tokens
    }

    private init(name: String, source: [UInt8]) {
        self.name = name
        self.source = source
    }

    private mutating func run() throws(TemplateError) {
        var trimsLeading = false
        while position < source.count {
            var textEnd = position
            while textEnd < source.count, !source[textEnd...].starts(with: Self.leftDelimiter) { textEnd += 1 }
            appendText(position..<textEnd, trimsLeading: trimsLeading, trimsTrailing: hasLeftTrimMarker(textEnd))
            position = textEnd
            guard position < source.count else { break }
            trimsLeading = try lexAction()
        }
        append(.end, from: source.count)
    }

    private func hasLeftTrimMarker(_ delimiter: Int) -> Bool {
        delimiter + 3 < source.count && source[delimiter + 2] == UInt8(ascii: "-") && isSpace(source[delimiter + 3])
    }

    /// Whether `-}}` with white space before it begins here.
    private func hasRightTrimMarker(_ index: Int) -> Bool {
        index > 0 && isSpace(source[index - 1]) && source[index...].starts(with: [UInt8(ascii: "-")])
            && source[(index + 1)...].starts(with: Self.rightDelimiter)
    }

    private mutating func appendText(_ range: Range<Int>, trimsLeading: Bool, trimsTrailing: Bool) {
        var range = range
        if trimsLeading { while let first = range.first, isSpace(source[first]) { range.removeFirst() } }
        if trimsTrailing { while let last = range.last, isSpace(source[last]) { range.removeLast() } }
        if !range.isEmpty { append(.text, from: range.lowerBound, to: range.upperBound) }
    }

    /// Reads one action; returns whether it trims the text behind it.
    private mutating func lexAction() throws(TemplateError) -> Bool {
        let start = position
        position += 2
        if hasLeftTrimMarker(start) { position += 2 }
        if source[position...].starts(with: Array("/*".utf8)) { return try lexComment() }
        append(.leftDelimiter, from: start)
        var isSpaced = false
        while true {
            guard position < source.count else { throw failure("unclosed action", at: start) }
            if source[position...].starts(with: Self.rightDelimiter) || hasRightTrimMarker(position) {
                let trims = hasRightTrimMarker(position)
                let tokenStart = position
                position += trims ? 3 : 2
                append(.rightDelimiter, from: tokenStart)
                return trims
            }
            if isSpace(source[position]) {
                position += 1
                isSpaced = true
                continue
            }
            try lexToken(isSpaced: isSpaced)
            isSpaced = false
        }
    }

    private mutating func lexComment() throws(TemplateError) -> Bool {
        let start = position
        while position < source.count, !source[position...].starts(with: Array("*/".utf8)) { position += 1 }
        guard position < source.count else { throw failure("unclosed comment", at: start) }
        position += 2
        if source[position...].starts(with: Self.rightDelimiter) {
            position += 2
            return false
        }
        while position < source.count, isSpace(source[position]) { position += 1 }
        guard hasRightTrimMarker(position) else { throw failure("comment ends before closing delimiter", at: start) }
        position += 3
        return true
    }

    // MARK: Inside an action

    private mutating func lexToken(isSpaced: Bool) throws(TemplateError) {
        let start = position
        let byte = source[position]
        let next = position + 1 < source.count ? source[position + 1] : 0
        switch byte {
        case UInt8(ascii: "|"): appendShort(.pipe, 1, isSpaced)
        case UInt8(ascii: ","): appendShort(.comma, 1, isSpaced)
        case UInt8(ascii: "("): appendShort(.leftParenthesis, 1, isSpaced)
        case UInt8(ascii: ")"): appendShort(.rightParenthesis, 1, isSpaced)
        case UInt8(ascii: "="): appendShort(.assign, 1, isSpaced)
        case UInt8(ascii: ":"):
            guard next == UInt8(ascii: "=") else { throw failure("expected :=", at: start) }
            appendShort(.declare, 2, isSpaced)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): try lexQuoted(byte, isSpaced)
        case UInt8(ascii: "`"): try lexRaw(isSpaced)
        case UInt8(ascii: "."):
            if isDigit(next) { return lexWord(.number, isSpaced) }
            guard isWordByte(next) else { return appendShort(.dot, 1, isSpaced) }
            position += 1
            skipWord()
            append(.field, from: start, isSpaced: isSpaced)
        case UInt8(ascii: "$"):
            position += 1
            skipWord()
            append(.variable, from: start, isSpaced: isSpaced)
        case UInt8(ascii: "+"), UInt8(ascii: "-"): lexWord(.number, isSpaced)
        case _ where isDigit(byte): lexWord(.number, isSpaced)
        case _ where isWordByte(byte):
            skipWord()
            append(.identifier, from: start, isSpaced: isSpaced)
        default:
            throw failure("unrecognized character in action: \(GoFormat.codePoint(byte))", at: start)
        }
    }

    private mutating func appendShort(_ kind: TemplateToken.Kind, _ length: Int, _ isSpaced: Bool) {
        position += length
        append(kind, from: position - length, isSpaced: isSpaced)
    }

    /// A number takes everything that could belong to one; the parser judges it.
    private mutating func lexWord(_ kind: TemplateToken.Kind, _ isSpaced: Bool) {
        let start = position
        position += 1
        while position < source.count {
            let byte = source[position]
            let isExponentSign =
                (byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-"))
                && (source[position - 1] | 0x20) == UInt8(ascii: "e")
                && !source[start..<position].contains { $0 | 0x20 == UInt8(ascii: "x") }
            guard isWordByte(byte) || byte == UInt8(ascii: ".") || isExponentSign else { break }
            position += 1
        }
        append(kind, from: start, isSpaced: isSpaced)
    }

    private mutating func lexRaw(_ isSpaced: Bool) throws(TemplateError) {
        let start = position
        position += 1
        while position < source.count, source[position] != UInt8(ascii: "`") { position += 1 }
        guard position < source.count else { throw failure("unterminated raw quoted string", at: start) }
        position += 1
        append(
            .string(String(decoding: source[(start + 1)..<(position - 1)], as: UTF8.self)), from: start,
            isSpaced: isSpaced)
    }

    private mutating func lexQuoted(_ quote: UInt8, _ isSpaced: Bool) throws(TemplateError) {
        let start = position
        let isCharacter = quote == UInt8(ascii: "'")
        position += 1
        while position < source.count, source[position] != quote, source[position] != 0x0A {
            position += source[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard position < source.count, source[position] == quote else {
            throw failure(isCharacter ? "unterminated character constant" : "unterminated quoted string", at: start)
        }
        guard let content = TemplateEscapes.decode(source[(start + 1)..<position], quote: quote) else {
            throw failure("invalid syntax", at: start)
        }
        position += 1
        guard isCharacter else { return append(.string(content), from: start, isSpaced: isSpaced) }
        guard let scalar = content.unicodeScalars.first, content.unicodeScalars.count == 1 else {
            throw failure("malformed character constant: \(text(start..<position))", at: start)
        }
        append(.character(Int64(scalar.value)), from: start, isSpaced: isSpaced)
    }

    // MARK: Bytes

    private mutating func skipWord() {
        while position < source.count, isWordByte(source[position]) { position += 1 }
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// Letters, digits and underscore; every byte beyond ASCII counts as a letter.
    private func isWordByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: source[range], as: UTF8.self) }

    private mutating func append(
        _ kind: TemplateToken.Kind, from start: Int, to end: Int? = nil, isSpaced: Bool = false
    ) {
        let range = start..<(end ?? position)
        tokens.append(TemplateToken(kind: kind, range: range, text: text(range), isSpaced: isSpaced))
    }

    private func failure(_ reason: String, at offset: Int) -> TemplateError {
        TemplateError.parsing(name, source: source, offset: offset, reason)
    }
}
