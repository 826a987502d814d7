// SPDX-License-Identifier: Apache-2.0
import JSON

/// A namespace to create, or to join by the path of its file: config-linux.md, "Namespaces".
package struct RuntimeNamespace: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case pid, network, mount, ipc, uts, user, cgroup, time

        /// The CLONE_NEW* flag: namespaces(7).
        package var flag: UInt64 {
            switch self {
            case .pid: 0x2000_0000
            case .network: 0x4000_0000
            case .mount: 0x0002_0000
            case .ipc: 0x0800_0000
            case .uts: 0x0400_0000
            case .user: 0x1000_0000
            case .cgroup: 0x0200_0000
            case .time: 0x0000_0080
            }
        }
    }
    package var kind: Kind
    package var path: String?
}

/// One line of an id map: config-linux.md, "User namespace mappings".
package struct RuntimeIDMapping: Sendable, Equatable {
    package var containerID: UInt32
    package var hostID: UInt32
    package var size: UInt32

    static func list(_ fields: RuntimeFields, _ key: String) throws(RuntimeSpecError) -> [RuntimeIDMapping] {
        var result: [RuntimeIDMapping] = []
        for mapping in try fields.objects(key) {
            guard let container: UInt32 = try mapping.integer("containerID"),
                let host: UInt32 = try mapping.integer("hostID"), let size: UInt32 = try mapping.integer("size"),
                size > 0,
                !container.addingReportingOverflow(size).overflow, !host.addingReportingOverflow(size).overflow
            else { throw RuntimeSpecError("\(mapping.path): needs containerID, hostID and a size that fit 32 bits") }
            result.append(RuntimeIDMapping(containerID: container, hostID: host, size: size))
        }
        return result
    }
}

/// A device node: config-linux.md, "Devices".
package struct RuntimeDevice: Sendable {
    package enum Kind: String, Sendable { case character = "c", unbufferedCharacter = "u", block = "b", fifo = "p" }
    package var path: String
    package var kind: Kind
    package var major: UInt32
    package var minor: UInt32
    package var mode: UInt32
    package var user: UInt32
    package var group: UInt32

    package init(path: String, kind: Kind, major: UInt32, minor: UInt32, mode: UInt32, user: UInt32, group: UInt32) {
        self.path = path
        self.kind = kind
        self.major = major
        self.minor = minor
        self.mode = mode
        self.user = user
        self.group = group
    }
}

/// The `linux` section: config-linux.md.
package struct RuntimeLinux: Sendable {
    package var namespaces: [RuntimeNamespace] = []
    package var userMappings: [RuntimeIDMapping]
    package var groupMappings: [RuntimeIDMapping]
    /// Seconds and nanoseconds by clock name (`boottime`, `monotonic`).
    package var timeOffsets: [(clock: String, seconds: Int64, nanoseconds: UInt32)] = []
    package var devices: [RuntimeDevice] = []
    package var cgroupsPath: String?
    package var resources: RuntimeResources
    /// MS_* and whether recursive; nil when not given.
    package var rootPropagation: (flag: UInt64, isRecursive: Bool)?
    package var maskedPaths: [String]
    package var readOnlyPaths: [String]
    package var sysctls: [(name: String, value: String)]
    package var seccomp: RuntimeSeccompSection?
    /// personality(2): `LINUX` or `LINUX32`.
    package var personality: String?

    package func has(_ kind: RuntimeNamespace.Kind) -> Bool { namespaces.contains { $0.kind == kind } }
    package func isNew(_ kind: RuntimeNamespace.Kind) -> Bool {
        namespaces.contains { $0.kind == kind && $0.path == nil }
    }

    package var joinsNamespaces: Bool { namespaces.contains { $0.path != nil } }

    init(_ fields: RuntimeFields) throws(RuntimeSpecError) {
        userMappings = try RuntimeIDMapping.list(fields, "uidMappings")
        groupMappings = try RuntimeIDMapping.list(fields, "gidMappings")
        cgroupsPath = try fields.string("cgroupsPath").flatMap { $0.isEmpty ? nil : $0 }
        resources = try RuntimeResources(try fields.fields("resources"))
        maskedPaths = try fields.absolutePaths("maskedPaths")
        readOnlyPaths = try fields.absolutePaths("readonlyPaths")
        sysctls = try fields.stringMap("sysctl")
        seccomp = try fields.fields("seccomp").map { (fields) throws(RuntimeSpecError) in
            RuntimeSeccompSection(source: JSON.object(fields.object).serialized())
        }
        for namespace in try fields.objects("namespaces") {
            let type = try namespace.required("type")
            guard let kind = RuntimeNamespace.Kind(rawValue: type) else {
                throw namespace.failure("type", "`\(type)` is not a namespace")
            }
            if has(kind) { throw namespace.failure("type", "`\(type)` is given twice") }
            let path = try namespace.string("path").flatMap { $0.isEmpty ? nil : $0 }
            if let path, !path.hasPrefix("/") { throw namespace.failure("path", "must be an absolute path") }
            namespaces.append(RuntimeNamespace(kind: kind, path: path))
        }
        if let offsets = try fields.fields("timeOffsets") {
            for (clock, value) in offsets.object {
                guard ["boottime", "monotonic"].contains(clock) else {
                    throw offsets.failure(clock, "is not a clock that a time namespace shifts")
                }
                let offset = try RuntimeFields(value, path: offsets.name(clock))
                timeOffsets.append((clock, try offset.integer("secs") ?? 0, try offset.integer("nanosecs") ?? 0))
            }
            if !timeOffsets.isEmpty, !isNew(.time) {
                throw fields.failure("timeOffsets", "needs a new time namespace in linux.namespaces")
            }
        }
        for device in try fields.objects("devices") { devices.append(try RuntimeLinux.device(device)) }
        if let word = try fields.string("rootfsPropagation"), !word.isEmpty {
            if let flag = MountWords.propagation[word] {
                rootPropagation = (flag, false)
            } else if word.hasPrefix("r"), let flag = MountWords.propagation[String(word.dropFirst())] {
                rootPropagation = (flag, true)
            } else {
                throw fields.failure("rootfsPropagation", "`\(word)` is not a propagation type")
            }
        }
        if let section = try fields.fields("personality") {
            let domain = try section.required("domain")
            guard ["LINUX", "LINUX32"].contains(domain) else {
                throw section.failure("domain", "`\(domain)` must be LINUX or LINUX32")
            }
            if !(try section.strings("flags")).isEmpty { throw section.failure("flags", "none are defined") }
            personality = domain
        }
        for unsupported in ["intelRdt", "netDevices", "memoryPolicy"] {
            if let value = fields.value(unsupported), value.objectValue?.isEmpty != true {
                throw fields.failure(unsupported, "is not supported")
            }
        }
        if let label = try fields.string("mountLabel"), !label.isEmpty {
            throw fields.failure("mountLabel", "SELinux mount labels are not supported")
        }
    }

    private static func device(_ fields: RuntimeFields) throws(RuntimeSpecError) -> RuntimeDevice {
        let path = try fields.required("path")
        let type = try fields.required("type")
        guard let kind = RuntimeDevice.Kind(rawValue: type) else {
            throw fields.failure("type", "`\(type)` is not c, b, u or p")
        }
        guard path.hasPrefix("/"), !path.split(separator: "/").contains(".."), path.split(separator: "/").count > 0
        else {
            throw fields.failure("path", "`\(path)` must be absolute and without `..`")
        }
        let major: UInt32? = try fields.integer("major")
        let minor: UInt32? = try fields.integer("minor")
        if kind != .fifo, major == nil || minor == nil { throw fields.failure("major", "major and minor are required") }
        return RuntimeDevice(
            path: path, kind: kind, major: major ?? 0, minor: minor ?? 0,
            mode: (try fields.integer("fileMode") ?? 0o666) & 0o7777,
            user: try fields.integer("uid") ?? 0, group: try fields.integer("gid") ?? 0)
    }
}

/// Which kernel parameters belong to a namespace and so may be set for a container: config-linux.md, "Sysctl".
package enum RuntimeSysctl {
    private static let ipc: Set<String> = [
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
        "kernel.shmmni", "kernel.shm_rmid_forced",
    ]

    static func check(_ name: String, _ namespaces: [RuntimeNamespace]) throws(RuntimeSpecError) {
        func needs(_ kind: RuntimeNamespace.Kind) throws(RuntimeSpecError) {
            guard namespaces.contains(where: { $0.kind == kind }) else {
                throw RuntimeSpecError("linux.sysctl.\(name): needs its own \(kind.rawValue) namespace")
            }
        }
        let parts = components(name)
        if parts.isEmpty || parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." || $0.contains("/") }) {
            throw RuntimeSpecError("linux.sysctl.\(name): is not the name of a kernel parameter")
        }
        let dotted = parts.joined(separator: ".")
        if ipc.contains(dotted) || dotted.hasPrefix("fs.mqueue.") { return try needs(.ipc) }
        if dotted.hasPrefix("net.") { return try needs(.network) }
        if dotted == "kernel.domainname" || dotted == "kernel.hostname" { return try needs(.uts) }
        if dotted.hasPrefix("user.") { return try needs(.user) }
        throw RuntimeSpecError("linux.sysctl.\(name): is not in a separate kernel namespace")
    }

    /// The path below /proc/sys: the first separator decides which of `.` and `/` separates (sysctl(8)).
    package static func components(_ name: String) -> [String] {
        let separator = name.first { $0 == "." || $0 == "/" } ?? "."
        return name.split(separator: separator, omittingEmptySubsequences: false).map {
            separator == "/" ? String($0) : String($0.map { $0 == "/" ? "." : $0 })
        }
    }
}
