// SPDX-License-Identifier: Apache-2.0

import JSON

/// A value a template can see.
public enum TemplateValue: Sendable {
    /// Go's nil; prints as `<nil>`.
    case null
    /// What looking up an absent map key yields; prints as `<no value>`.
    case missing
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case list([TemplateValue])
    /// A map: an absent key is `missing`.
    case map([String: TemplateValue])
    /// A struct: an absent field is an error.
    case structure(TemplateStructure)
}

/// A struct: named fields in order, and methods that take arguments.
public struct TemplateStructure: Sendable {
    /// A method such as `.Label "key"`; a thrown message is reported as `error calling NAME: MESSAGE`.
    public typealias Method = @Sendable ([TemplateValue]) throws(TemplateError) -> TemplateValue

    /// What error messages call the type, e.g. `define.InspectPodData`.
    public let typeName: String
    /// The fields in the order in which the whole struct prints.
    public let fieldNames: [String]
    private let readField: @Sendable (String) -> TemplateValue?
    private let findMethod: @Sendable (String) -> Method?

    /// A struct whose fields are computed when a template asks for them.
    ///
    /// - Parameters:
    ///   - field: the value of a field, nil for an unknown one; may know more names than `fieldNames` (aliases).
    ///   - methods: take precedence over fields of the same name.
    public init(
        typeName: String, fieldNames: [String], methods: [String: Method] = [:],
        field: @escaping @Sendable (String) -> TemplateValue?
    ) {
        self.init(typeName: typeName, fieldNames: fieldNames, findMethod: { methods[$0] }, readField: field)
    }

    /// A struct of given values.
    ///
    /// - Parameter aliases: other spellings of field names.
    public init(
        typeName: String, fields: [(name: String, value: TemplateValue)], aliases: [String: String] = [:],
        methods: [String: Method] = [:]
    ) {
        let values = Dictionary(fields.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        self.init(
            typeName: typeName, fieldNames: fields.map { $0.name }, findMethod: { methods[$0] },
            readField: { values[$0] ?? aliases[$0].flatMap { values[$0] } })
    }

    init(
        typeName: String, fieldNames: [String], findMethod: @escaping @Sendable (String) -> Method?,
        readField: @escaping @Sendable (String) -> TemplateValue?
    ) {
        self.typeName = typeName
        self.fieldNames = fieldNames
        self.findMethod = findMethod
        self.readField = readField
    }

    func field(_ name: String) -> TemplateValue? { readField(name) }
    func method(_ name: String) -> Method? { findMethod(name) }
}

// MARK: JSON

extension TemplateValue {
    /// The JSON value with its objects as maps.
    public init(_ json: JSON) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .string(let value): self = .string(value)
        case .array(let elements): self = .list(elements.map { TemplateValue($0) })
        case .object(let object):
            self = .map(Dictionary(object.map { ($0.key, TemplateValue($0.value)) }, uniquingKeysWith: { $1 }))
        }
    }

    /// The JSON value with its objects as structs, so that a misspelt field is an error.
    ///
    /// - Parameters:
    ///   - typeName: the type in error messages, also of nested structs.
    ///   - maps: members whose objects have arbitrary keys at their first level, e.g. `Labels`, `Networks`.
    ///   - aliases: other spellings of members at every level, e.g. `["ID": "Id"]`.
    ///   - methods: of the outermost struct.
    public init(
        _ json: JSON, typeName: String, maps: Set<String> = [], aliases: [String: String] = [:],
        methods: [String: TemplateStructure.Method] = [:]
    ) {
        func convert(_ json: JSON, isMap: Bool, _ methods: [String: TemplateStructure.Method]) -> TemplateValue {
            switch json {
            case .array(let elements): return .list(elements.map { convert($0, isMap: isMap, [:]) })
            case .object(let object) where isMap:
                let pairs = object.map { ($0.key, convert($0.value, isMap: false, [:])) }
                return .map(Dictionary(pairs, uniquingKeysWith: { $1 }))
            case .object(let object):
                let fields = object.map { (name: $0.key, value: convert($0.value, isMap: maps.contains($0.key), [:])) }
                return .structure(
                    TemplateStructure(typeName: typeName, fields: fields, aliases: aliases, methods: methods))
            default: return TemplateValue(json)
            }
        }
        self = convert(json, isMap: false, methods)
    }

    /// The value as JSON: maps with sorted keys, structs in field order.
    public var json: JSON {
        switch self {
        case .null, .missing: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(value)
        case .double(let value): return .double(value)
        case .string(let value): return .string(value)
        case .list(let elements): return .array(elements.map { $0.json })
        case .map(let members):
            return .object(JSONObject(members.keys.sorted().map { (key: $0, value: members[$0]?.json ?? .null) }))
        case .structure(let structure):
            return .object(
                JSONObject(structure.fieldNames.map { (key: $0, value: structure.field($0)?.json ?? .null) }))
        }
    }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: TemplateValue...) { self = .list(elements) }
    public init(nilLiteral: ()) { self = .null }

    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        self = .map(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}

extension TemplateValue {
    /// Go's notion of truth: not the zero value, not empty.
    var isTrue: Bool {
        switch self {
        case .null, .missing: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let value): !value.isEmpty
        case .list(let elements): !elements.isEmpty
        case .map(let members): !members.isEmpty
        case .structure: true
        }
    }

    /// What messages call the type.
    var typeName: String {
        switch self {
        case .null, .missing: "interface {}"
        case .bool: "bool"
        case .int: "int"
        case .double: "float64"
        case .string: "string"
        case .list: "[]interface {}"
        case .map: "map[string]interface {}"
        case .structure(let structure): structure.typeName
        }
    }
}
