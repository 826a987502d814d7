// SPDX-License-Identifier: Apache-2.0

/// The declaration of one flag. Make it with a factory named after the kind and refine it with the modifiers:
///
///     Flag.bool("tty", short: "t", help: "Allocate a pseudo-TTY for container")
///     Flag.stringArray("network", help: "Connect a container to a network").alias("net")
///     Flag.string("filename", help: "File name").hidden()
///
/// A scalar given twice keeps its last value; lists append, and the first occurrence replaces the default.
public struct Flag: Sendable {
    /// The grammar of the value. Each case names the pflag type it follows.
    public enum Kind: Sendable {
        /// `Bool`: a value only after `=`, one of 1 t T true TRUE True 0 f F false FALSE False.
        case bool
        /// `Count`: each occurrence adds one; `=N` sets the count.
        case count
        /// `String`: anything, also nothing.
        case string
        /// `Int64`: decimal, or with the prefix 0x, 0o, 0b or 0.
        case int
        /// `Uint64`: the same without a sign.
        case uint
        /// `Float64`.
        case float
        /// `StringSlice`: one line of comma-separated values (RFC 4180 section 2), appended item by item.
        case strings
        /// `StringArray`: each occurrence is one item, taken literally.
        case stringArray
        /// A scalar with its own grammar: `problem` returns why a value is not acceptable, nil when it is.
        case custom(typeName: String, problem: @Sendable (String) -> String?)
    }

    public let name: String
    public let short: Character?
    public let kind: Kind
    /// The word behind the name in help; empty for flags that take no value.
    public let placeholder: String
    /// The value when the flag is absent, in the flag's grammar (a list: comma-separated).
    public let defaultValue: String
    /// What help says the default is; nil derives it from `defaultValue`, empty says nothing.
    public private(set) var defaultText: String?
    public let help: String
    /// The value when the flag is given without one; nil when it must have one.
    public private(set) var impliedValue: String?
    public private(set) var aliases: [String] = []
    public private(set) var isHidden = false
    public private(set) var isInherited = false

    private init(
        _ name: String, _ short: Character?, _ kind: Kind, _ placeholder: String, _ defaultValue: String,
        _ help: String, impliedValue: String? = nil
    ) {
        self.name = name
        self.short = short
        self.kind = kind
        self.placeholder = placeholder
        self.defaultValue = defaultValue
        self.help = help
        self.impliedValue = impliedValue
    }

    /// How messages call the flag: `-t, --time` or `--time`.
    public var spelling: String {
        guard let short else { return "--\(name)" }
        return "-\(short), --\(name)"
    }

    var isList: Bool {
        switch kind {
        case .strings, .stringArray: true
        default: false
        }
    }
}

// MARK: Factories

extension Flag {
    public static func bool(
        _ name: String, short: Character? = nil, default value: Bool = false, help: String
    ) -> Flag {
        Flag(name, short, .bool, "", value ? "true" : "false", help, impliedValue: "true")
    }

    public static func count(_ name: String, short: Character? = nil, help: String) -> Flag {
        Flag(name, short, .count, "count", "0", help, impliedValue: "+1")
    }

    public static func string(
        _ name: String, short: Character? = nil, placeholder: String = "string", default value: String = "",
        help: String
    ) -> Flag {
        Flag(name, short, .string, placeholder, value, help)
    }

    public static func int(
        _ name: String, short: Character? = nil, placeholder: String = "int", default value: Int = 0, help: String
    ) -> Flag {
        Flag(name, short, .int, placeholder, String(value), help)
    }

    public static func uint(
        _ name: String, short: Character? = nil, placeholder: String = "uint", default value: UInt = 0, help: String
    ) -> Flag {
        Flag(name, short, .uint, placeholder, String(value), help)
    }

    /// - Parameter value: the default as help prints it, e.g. `1.5`.
    public static func float(
        _ name: String, short: Character? = nil, placeholder: String = "float", default value: String = "0",
        help: String
    ) -> Flag {
        Flag(name, short, .float, placeholder, value, help)
    }

    /// - Parameter value: the default, comma-separated.
    public static func strings(
        _ name: String, short: Character? = nil, placeholder: String = "strings", default value: String = "",
        help: String
    ) -> Flag {
        Flag(name, short, .strings, placeholder, value, help)
    }

    /// - Parameter value: the default, comma-separated.
    public static func stringArray(
        _ name: String, short: Character? = nil, placeholder: String = "stringArray", default value: String = "",
        help: String
    ) -> Flag {
        Flag(name, short, .stringArray, placeholder, value, help)
    }

    /// A flag with its own grammar, e.g. a duration or a choice.
    ///
    /// - Parameters:
    ///   - typeName: the placeholder.
    ///   - problem: why a given value is not acceptable, nil when it is; the default is not checked.
    public static func custom(
        _ name: String, short: Character? = nil, typeName: String, default value: String = "", help: String,
        problem: @escaping @Sendable (String) -> String?
    ) -> Flag {
        Flag(name, short, .custom(typeName: typeName, problem: problem), typeName, value, help)
    }
}

// MARK: Modifiers

extension Flag {
    /// Accepted, but not in help.
    public func hidden() -> Flag {
        var copy = self
        copy.isHidden = true
        return copy
    }

    /// Also accepted by, and readable from, every command below the one that declares it; listed only there.
    /// A command's own flag of the same name or letter takes precedence.
    public func inherited() -> Flag {
        var copy = self
        copy.isInherited = true
        return copy
    }

    /// Another long name, not in help.
    public func alias(_ name: String) -> Flag {
        var copy = self
        copy.aliases.append(name)
        return copy
    }

    /// The value may be left out, and then is this (pflag's `NoOptDefVal`); a value must follow `=`.
    public func implying(_ value: String) -> Flag {
        var copy = self
        copy.impliedValue = value
        return copy
    }

    /// Help shows ` (default TEXT)`, or nothing when empty, whatever the default is.
    public func showingDefault(_ text: String) -> Flag {
        var copy = self
        copy.defaultText = text
        return copy
    }
}
