// SPDX-License-Identifier: Apache-2.0
import JSON

/// The `linux.seccomp` section as text. It is most of a usual config.json and is read only by who has to compile it.
package struct RuntimeSeccompSection: Sendable, Equatable {
    package var source: [UInt8]

    package init(source: [UInt8]) { self.source = source }

    package func parsed() throws(RuntimeSpecError) -> RuntimeSeccomp {
        let json: JSON
        do { json = try JSON.parse(source) } catch {
            throw RuntimeSpecError("linux.seccomp: \(error.description)")
        }
        return try RuntimeSeccomp(try RuntimeFields(json, path: "linux.seccomp"))
    }
}

/// The `linux.seccomp` section: config-linux.md, "Seccomp". Names are checked by who compiles it.
package struct RuntimeSeccomp: Sendable {
    package struct Argument: Sendable, Equatable {
        package var index: UInt32
        package var value: UInt64
        package var valueTwo: UInt64
        /// SCMP_CMP_EQ …
        package var comparison: String
    }

    package struct Rule: Sendable, Equatable {
        package var names: [String]
        package var action: String
        package var errno: UInt32?
        package var arguments: [Argument]
    }

    package var defaultAction: String
    package var defaultErrno: UInt32?
    package var architectures: [String]
    package var flags: [String]
    package var rules: [Rule] = []
    /// The socket of the agent that decides about calls with the action SCMP_ACT_NOTIFY.
    package var listenerPath: String?
    /// Passed on to the agent as it is.
    package var listenerMetadata: String

    init(_ fields: RuntimeFields) throws(RuntimeSpecError) {
        defaultAction = try fields.required("defaultAction")
        defaultErrno = try fields.integer("defaultErrnoRet")
        architectures = try fields.strings("architectures")
        flags = try fields.strings("flags")
        listenerPath = try fields.string("listenerPath").flatMap { $0.isEmpty ? nil : $0 }
        if let listenerPath, !listenerPath.hasPrefix("/") {
            throw fields.failure("listenerPath", "must be an absolute path")
        }
        listenerMetadata = try fields.string("listenerMetadata") ?? ""
        if !listenerMetadata.isEmpty, listenerPath == nil {
            throw fields.failure("listenerMetadata", "needs a listenerPath")
        }
        for rule in try fields.objects("syscalls") {
            let names = try rule.strings("names")
            if names.isEmpty { throw rule.failure("names", "must not be empty") }
            var arguments: [Argument] = []
            for argument in try rule.objects("args") {
                guard let index: UInt32 = try argument.integer("index"), index < 6,
                    let value: UInt64 = try argument.integer("value")
                else { throw RuntimeSpecError("\(argument.path): needs an index from 0 to 5 and a value") }
                arguments.append(
                    Argument(
                        index: index, value: value, valueTwo: try argument.integer("valueTwo") ?? 0,
                        comparison: try argument.required("op")))
            }
            rules.append(
                Rule(
                    names: names, action: try rule.required("action"), errno: try rule.integer("errnoRet"),
                    arguments: arguments))
        }
    }
}
