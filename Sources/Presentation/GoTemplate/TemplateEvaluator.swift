// SPDX-License-Identifier: Apache-2.0

/// Runs a parsed template. The output grows as the template runs, so that what came before an error can be printed.
struct TemplateEvaluator {
    private let name: String
    private let source: [UInt8]
    private var variables: [(name: String, value: TemplateValue)]
    private(set) var output = ""

    private enum Flow {
        case next
        case breakLoop
        case continueLoop
    }

    init(name: String, source: [UInt8], root: TemplateValue) {
        self.name = name
        self.source = source
        variables = [("$", root)]
    }

    mutating func run(_ nodes: [TemplateNode], root: TemplateValue) throws(TemplateError) {
        _ = try walk(nodes, dot: root)
    }

    private func failure(_ place: TemplatePlace, _ reason: String) -> TemplateError {
        TemplateError.executing(name, source: source, place: place, reason)
    }

    // MARK: Nodes

    /// Variables declared in a block end with it.
    private mutating func walk(_ nodes: [TemplateNode], dot: TemplateValue) throws(TemplateError) -> Flow {
        let scope = variables.count
        defer { variables.removeLast(variables.count - scope) }
        for node in nodes {
            let flow = try walk(node, dot: dot)
            if flow != .next { return flow }
        }
        return .next
    }

    private mutating func walk(_ node: TemplateNode, dot: TemplateValue) throws(TemplateError) -> Flow {
        switch node {
        case .text(let text): output += text
        case .action(let pipeline):
            let value = try evaluate(pipeline, dot: dot)
            if pipeline.variables.isEmpty { output += GoFormat.text(value) }
        case .conditional(let branch): return try walkBranch(branch, dot: dot, scopesDot: false)
        case .scope(let branch): return try walkBranch(branch, dot: dot, scopesDot: true)
        case .loop(let branch): return try walkLoop(branch, dot: dot)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .next
    }

    private mutating func walkBranch(
        _ branch: TemplateBranch, dot: TemplateValue, scopesDot: Bool
    ) throws(TemplateError) -> Flow {
        let scope = variables.count
        defer { variables.removeLast(variables.count - scope) }
        let value = try evaluate(branch.pipeline, dot: dot)
        guard value.isTrue else { return try walk(branch.otherwise, dot: dot) }
        return try walk(branch.body, dot: scopesDot ? value : dot)
    }

    private mutating func walkLoop(_ branch: TemplateBranch, dot: TemplateValue) throws(TemplateError) -> Flow {
        let scope = variables.count
        defer { variables.removeLast(variables.count - scope) }
        var pipeline = branch.pipeline
        let names = pipeline.variables
        let isAssignment = pipeline.isAssignment
        pipeline.variables = []
        let value = try evaluate(pipeline, dot: dot)

        let elements: [(key: TemplateValue, value: TemplateValue)]
        switch value {
        case .list(let list): elements = list.enumerated().map { (.int(Int64($0.offset)), $0.element) }
        case .map(let members): elements = members.keys.sorted().map { (.string($0), members[$0] ?? .null) }
        case .null, .missing: elements = []
        case .int(let count):
            guard count <= 1_000_000 else { throw failure(pipeline.place, "range over \(count) is too long") }
            elements = (0..<max(0, count)).map { (.int($0), .int($0)) }
        default: throw failure(pipeline.place, "range can't iterate over \(GoFormat.text(value))")
        }
        if elements.isEmpty { return try walk(branch.otherwise, dot: dot) }
        for element in elements {
            let iteration = variables.count
            defer { variables.removeLast(variables.count - iteration) }
            // One name gets the element; two get the key and the element.
            let values = names.count == 2 ? [element.key, element.value] : [element.value]
            for (name, value) in zip(names, values) {
                try bind(name, value, isAssignment: isAssignment, at: pipeline.place)
            }
            if try walk(branch.body, dot: element.value) == .breakLoop { break }
        }
        return .next
    }

    // MARK: Pipelines

    private mutating func bind(
        _ name: String, _ value: TemplateValue, isAssignment: Bool, at place: TemplatePlace
    ) throws(TemplateError) {
        guard isAssignment else { return variables.append((name, value)) }
        guard let position = variables.lastIndex(where: { $0.name == name }) else {
            throw failure(place, "undefined variable: \(name)")
        }
        variables[position].value = value
    }

    private mutating func evaluate(
        _ pipeline: TemplatePipeline, dot: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        var value: TemplateValue?
        for command in pipeline.commands { value = try evaluate(command, dot: dot, piped: value) }
        let result = value ?? .missing
        for name in pipeline.variables {
            try bind(name, result, isAssignment: pipeline.isAssignment, at: pipeline.place)
        }
        return result
    }

    /// - Parameter piped: the value of the command before, which becomes the last argument.
    private mutating func evaluate(
        _ command: TemplateCommand, dot: TemplateValue, piped: TemplateValue?
    ) throws(TemplateError) -> TemplateValue {
        let first = command.operands[0]
        let rest = command.operands.dropFirst()
        if case .function(let name) = first.kind, name == "and" || name == "or" {
            return try evaluateLogic(name, rest, dot: dot, piped: piped, at: command.place)
        }
        var arguments: [TemplateValue] = []
        for operand in rest { arguments.append(try evaluate(operand, dot: dot)) }
        if let piped { arguments.append(piped) }
        switch first.kind {
        case .function(let name):
            do {
                return try TemplateFunctions.call(name, arguments)
            } catch {
                throw failure(command.place, "error calling \(name): \(error.message)")
            }
        case .field, .variable, .chain: return try evaluate(first, dot: dot, arguments: arguments)
        case .null: throw failure(first.place, "nil is not a command")
        case .dot, .literal, .pipeline:
            guard arguments.isEmpty else {
                throw failure(first.place, "can't give argument to non-function \(first.place.text)")
            }
            return try evaluate(first, dot: dot)
        }
    }

    /// `and` is its first false argument or the last, `or` its first true one or the last; the others are not
    /// evaluated.
    private mutating func evaluateLogic(
        _ name: String, _ operands: ArraySlice<TemplateOperand>, dot: TemplateValue, piped: TemplateValue?,
        at place: TemplatePlace
    ) throws(TemplateError) -> TemplateValue {
        guard var result = operands.isEmpty ? piped : .missing else {
            throw failure(place, "wrong number of args for \(name): want at least 1 got 0")
        }
        for operand in operands {
            result = try evaluate(operand, dot: dot)
            if result.isTrue == (name == "or") { return result }
        }
        return piped ?? result
    }

    // MARK: Operands

    private mutating func evaluate(
        _ operand: TemplateOperand, dot: TemplateValue, arguments: [TemplateValue] = []
    ) throws(TemplateError) -> TemplateValue {
        switch operand.kind {
        case .dot: return dot
        case .null: return .null
        case .literal(let value): return value
        case .field(let names): return try fields(names, of: dot, arguments, at: operand.place)
        case .variable(let name, let names):
            guard let variable = variables.last(where: { $0.name == name }) else {
                throw failure(operand.place, "undefined variable: \(name)")
            }
            if names.isEmpty, !arguments.isEmpty {
                throw failure(operand.place, "can't give argument to non-function \(name)")
            }
            return try fields(names, of: variable.value, arguments, at: operand.place)
        case .pipeline(let pipeline): return try evaluate(pipeline, dot: dot)
        case .chain(let base, let names):
            return try fields(names, of: try evaluate(base, dot: dot), arguments, at: operand.place)
        case .function:
            return try evaluate(TemplateCommand(place: operand.place, operands: [operand]), dot: dot, piped: nil)
        }
    }

    /// Follows a chain of names; arguments go to the last.
    private func fields(
        _ names: [String], of value: TemplateValue, _ arguments: [TemplateValue], at place: TemplatePlace
    ) throws(TemplateError) -> TemplateValue {
        var value = value
        for (position, name) in names.enumerated() {
            value = try field(name, of: value, position == names.count - 1 ? arguments : [], at: place)
        }
        return value
    }

    private func field(
        _ name: String, of value: TemplateValue, _ arguments: [TemplateValue], at place: TemplatePlace
    ) throws(TemplateError) -> TemplateValue {
        switch value {
        case .missing: return .missing
        case .null: throw failure(place, "nil pointer evaluating interface {}.\(name)")
        case .map(let members):
            guard arguments.isEmpty else { throw failure(place, "\(name) is not a method but has arguments") }
            return members[name] ?? .missing
        case .structure(let structure):
            if let method = structure.method(name) {
                do {
                    return try method(arguments)
                } catch {
                    throw failure(place, "error calling \(name): \(error.message)")
                }
            }
            guard let field = structure.field(name) else { break }
            guard arguments.isEmpty else {
                throw failure(place, "\(name) has arguments but cannot be invoked as function")
            }
            return field
        default: break
        }
        throw failure(place, "can't evaluate field \(name) in type \(value.typeName)")
    }
}
