// SPDX-License-Identifier: Apache-2.0
import JSON

/// The program and its attributes: config.md, "Process". Also the content of `exec --process`.
package struct RuntimeProcess: Sendable {
    package struct Limit: Sendable, Equatable {
        /// `RLIMIT_NOFILE`
        package var name: String
        package var soft: UInt64
        package var hard: UInt64
    }

    /// The five sets of capabilities(7) by name; nil leaves a set empty.
    package struct Capabilities: Sendable, Equatable {
        package var bounding: [String] = []
        package var effective: [String] = []
        package var inheritable: [String] = []
        package var permitted: [String] = []
        package var ambient: [String] = []
        package init() {}
    }

    package struct Scheduler: Sendable, Equatable {
        package var policy: String
        package var nice: Int32
        package var priority: UInt32
        package var flags: [String]
        package var runtime: UInt64
        package var deadline: UInt64
        package var period: UInt64
    }

    package var hasTerminal: Bool
    /// Character cells; nil when not given.
    package var consoleSize: (rows: UInt16, columns: UInt16)?
    package var user: UInt32
    package var group: UInt32
    package var additionalGroups: [UInt32]
    package var umask: UInt32?
    package var arguments: [String]
    package var environment: [String]
    package var workingDirectory: String
    package var capabilities: Capabilities?
    package var limits: [Limit]
    package var noNewPrivileges: Bool
    package var oomScoreAdjustment: Int?
    package var apparmorProfile: String?
    package var selinuxLabel: String?
    package var scheduler: Scheduler?
    /// `IOPRIO_CLASS_BE` and 0…7.
    package var ioPriority: (className: String, priority: UInt32)?

    package init(bytes: [UInt8]) throws(RuntimeSpecError) {
        let json: JSON
        do { json = try JSON.parse(bytes) } catch { throw RuntimeSpecError("process: \(error.description)") }
        try self.init(try RuntimeFields(json, path: "process"))
    }

    package init(_ fields: RuntimeFields) throws(RuntimeSpecError) {
        hasTerminal = try fields.bool("terminal")
        if let size = try fields.fields("consoleSize") {
            consoleSize = (try size.integer("height") ?? 0, try size.integer("width") ?? 0)
        }
        let userFields = try fields.fields("user")
        // 2^32 - 1 means "no change" to setresuid(2), so it is no id.
        func id(_ key: String) throws(RuntimeSpecError) -> UInt32 {
            guard let userFields, let number: UInt32 = try userFields.integer(key) else { return 0 }
            if number == .max { throw userFields.failure(key, "4294967295 is not an id") }
            return number
        }
        user = try id("uid")
        group = try id("gid")
        additionalGroups = []
        for (index, item) in (try userFields?.array("additionalGids") ?? []).enumerated() {
            guard let number = item.intValue, let gid = UInt32(exactly: number), gid != .max else {
                throw RuntimeSpecError("process.user.additionalGids[\(index)]: is not an id")
            }
            additionalGroups.append(gid)
        }
        umask = try userFields?.integer("umask", UInt32.self)
        if let umask, umask > 0o777 { throw RuntimeSpecError("process.user.umask: must be at most 0777") }
        arguments = try fields.strings("args")
        if arguments.isEmpty { throw fields.failure("args", "must not be empty") }
        environment = try fields.strings("env")
        workingDirectory = try fields.required("cwd")
        guard workingDirectory.hasPrefix("/") else { throw fields.failure("cwd", "must be an absolute path") }
        capabilities = try fields.fields("capabilities").map { (fields) throws(RuntimeSpecError) in
            var sets = Capabilities()
            sets.bounding = try fields.strings("bounding")
            sets.effective = try fields.strings("effective")
            sets.inheritable = try fields.strings("inheritable")
            sets.permitted = try fields.strings("permitted")
            sets.ambient = try fields.strings("ambient")
            return sets
        }
        limits = []
        for limit in try fields.objects("rlimits") {
            let name = try limit.required("type")
            if limits.contains(where: { $0.name == name }) { throw limit.failure("type", "`\(name)` is given twice") }
            guard let soft: UInt64 = try limit.integer("soft"), let hard: UInt64 = try limit.integer("hard") else {
                throw limit.failure("soft", "soft and hard are required")
            }
            if soft > hard { throw limit.failure("soft", "must not exceed hard") }
            limits.append(Limit(name: name, soft: soft, hard: hard))
        }
        noNewPrivileges = try fields.bool("noNewPrivileges")
        oomScoreAdjustment = try fields.integer("oomScoreAdj", Int.self)
        if let score = oomScoreAdjustment, score < -1000 || score > 1000 {
            throw fields.failure("oomScoreAdj", "must be from -1000 to 1000")
        }
        apparmorProfile = try fields.string("apparmorProfile").flatMap { $0.isEmpty ? nil : $0 }
        selinuxLabel = try fields.string("selinuxLabel").flatMap { $0.isEmpty ? nil : $0 }
        scheduler = try fields.fields("scheduler").map { (fields) throws(RuntimeSpecError) in
            Scheduler(
                policy: try fields.required("policy"), nice: try fields.integer("nice") ?? 0,
                priority: try fields.integer("priority") ?? 0, flags: try fields.strings("flags"),
                runtime: try fields.integer("runtime") ?? 0, deadline: try fields.integer("deadline") ?? 0,
                period: try fields.integer("period") ?? 0)
        }
        if let io = try fields.fields("ioPriority") {
            ioPriority = (try io.required("class"), try io.integer("priority") ?? 0)
        }
        if fields.value("execCPUAffinity") != nil { throw fields.failure("execCPUAffinity", "is not supported") }
    }
}
