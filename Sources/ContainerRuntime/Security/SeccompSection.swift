// SPDX-License-Identifier: Apache-2.0
import CLinux
import CSeccomp
import LinuxSystem
import OCISpec
import SystemPackage

/// Compiles the `linux.seccomp` section of a config.json: seccomp(2), seccomp_rule_add(3).
enum SeccompSection {
    /// The filter and the SECCOMP_FILTER_FLAG_* it is loaded with.
    struct Filter: Sendable {
        var instructions: [UInt8]
        var flags: UInt32
        /// Who is told about calls with the action SCMP_ACT_NOTIFY.
        var listener: (path: String, metadata: String)?
    }

    private static let newListener: UInt32 = 8

    /// - Parameters:
    ///   - cache: a directory that only this user can write to, for compiled filters; nil compiles anew.
    ///   - warn: told about what the installed libseccomp does not know.
    static func compile(
        _ section: RuntimeSeccompSection, cache: String?, warn: (String) -> Void
    ) throws(RuntimeError) -> Filter {
        if let cache, let filter = SeccompCache.filter(for: section, in: cache) { return filter }
        let profile: RuntimeSeccomp
        do { profile = try section.parsed() } catch { throw RuntimeError(error.description) }
        var filter = Filter(instructions: [], flags: try flags(profile), listener: nil)
        if let path = profile.listenerPath {
            filter.listener = (path, profile.listenerMetadata)
            filter.flags |= newListener
        } else if profile.rules.contains(where: { $0.action == "SCMP_ACT_NOTIFY" }) {
            throw RuntimeError("linux.seccomp: SCMP_ACT_NOTIFY needs a listenerPath")
        }
        var isComplete = true
        filter.instructions = try build(profile) { problem in
            isComplete = false
            warn(problem)
        }
        // A warning has to be given each time, and a listener is not part of the filter.
        if let cache, isComplete, filter.listener == nil { SeccompCache.store(filter, for: section, in: cache) }
        return filter
    }

    private static func flags(_ profile: RuntimeSeccomp) throws(RuntimeError) -> UInt32 {
        var flags: UInt32 = 0
        for flag in profile.flags {
            switch flag {
            case "SECCOMP_FILTER_FLAG_TSYNC": flags |= 1
            case "SECCOMP_FILTER_FLAG_LOG": flags |= 2
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": flags |= 4
            case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
                guard profile.listenerPath != nil else {
                    throw RuntimeError("linux.seccomp.flags: `\(flag)` needs a listenerPath")
                }
                flags |= 32
            default: throw RuntimeError("linux.seccomp.flags: `\(flag)` is not a filter flag")
            }
        }
        // Together they would give a failing thread's id where the listener's descriptor is expected; the set-up has
        // one thread, to which TSYNC adds nothing: seccomp(2), SECCOMP_FILTER_FLAG_TSYNC_ESRCH.
        return profile.listenerPath == nil ? flags : flags & ~1
    }

    private static func build(_ section: RuntimeSeccomp, _ warn: (String) -> Void) throws(RuntimeError) -> [UInt8] {
        if section.defaultAction == "SCMP_ACT_NOTIFY" {
            throw RuntimeError("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would stop the set-up of the container")
        }
        let standard = try action(section.defaultAction, section.defaultErrno, "linux.seccomp.defaultAction")
        guard let context = seccomp_init(standard) else {
            throw RuntimeError("linux.seccomp.defaultAction: libseccomp refuses `\(section.defaultAction)`")
        }
        defer { seccomp_release(context) }
        // A binary tree decides a call in about ten comparisons instead of hundreds.
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0)
        for name in section.architectures { try add(name, context) }
        for rule in section.rules {
            let number = try action(rule.action, rule.errno, "linux.seccomp.syscalls")
            if number == standard { continue }
            let comparisons = try rule.arguments.map { (argument) throws(RuntimeError) in try comparison(argument) }
            // Conditions on one argument twice cannot be one rule of libseccomp: then each condition is a rule of its
            // own, any of which matches, as runc does.
            let indexes = rule.arguments.map(\.index)
            let groups = Set(indexes).count == indexes.count ? [comparisons] : comparisons.map { [$0] }
            for name in rule.names {
                let call = seccomp_syscall_resolve_name(name)
                if call == __NR_SCMP_ERROR {
                    try SeccompNames.judge(name, rule.action, section.defaultAction, warn)
                    continue
                }
                // The message that carries the listener to the agent's side is sent after the filter is loaded.
                if rule.action == "SCMP_ACT_NOTIFY", name == "sendmsg" {
                    throw RuntimeError("linux.seccomp.syscalls: SCMP_ACT_NOTIFY cannot be used for sendmsg")
                }
                for group in groups {
                    let code = seccomp_rule_add_array(context, number, call, UInt32(group.count), group)
                    if code != 0 { throw RuntimeError("add the seccomp rule for", name, Errno(rawValue: -code)) }
                }
            }
        }
        return try describing("export", "the seccomp filter") { () throws(Errno) in
            let file = try File.memory("seccomp")
            let code = seccomp_export_bpf(context, file.raw)
            if code != 0 { throw Errno(rawValue: -code) }
            return try File.readFromStart(file)
        }
    }

    private static func add(_ name: String, _ context: scmp_filter_ctx) throws(RuntimeError) {
        let short = name.hasPrefix("SCMP_ARCH_") ? String(name.dropFirst(10)).lowercased() : name
        let token = seccomp_arch_resolve_name(short)
        if token == 0 { throw RuntimeError("linux.seccomp.architectures: `\(name)` is unknown") }
        let code = seccomp_arch_add(context, token)
        if code != 0, code != -EEXIST {
            throw RuntimeError("add the seccomp architecture", name, Errno(rawValue: -code))
        }
    }

    // SCMP_ACT_*: values of linux/seccomp.h that libseccomp has as macros.
    private static func action(_ name: String, _ errno: UInt32?, _ field: String) throws(RuntimeError) -> UInt32 {
        let number = errno ?? UInt32(EPERM)
        if number > 4095 { throw RuntimeError("\(field): errnoRet must be at most 4095") }
        switch name {
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return 0x0000_0000
        case "SCMP_ACT_KILL_PROCESS": return 0x8000_0000
        case "SCMP_ACT_TRAP": return 0x0003_0000
        case "SCMP_ACT_ERRNO": return 0x0005_0000 | number
        case "SCMP_ACT_TRACE": return 0x7ff0_0000 | number
        case "SCMP_ACT_LOG": return 0x7ffc_0000
        case "SCMP_ACT_ALLOW": return 0x7fff_0000
        case "SCMP_ACT_NOTIFY": return 0x7fc0_0000
        default: throw RuntimeError("\(field): `\(name)` is not an action")
        }
    }

    private static func comparison(_ argument: RuntimeSeccomp.Argument) throws(RuntimeError) -> scmp_arg_cmp {
        let operation: scmp_compare
        switch argument.comparison {
        case "SCMP_CMP_NE": operation = SCMP_CMP_NE
        case "SCMP_CMP_LT": operation = SCMP_CMP_LT
        case "SCMP_CMP_LE": operation = SCMP_CMP_LE
        case "SCMP_CMP_EQ": operation = SCMP_CMP_EQ
        case "SCMP_CMP_GE": operation = SCMP_CMP_GE
        case "SCMP_CMP_GT": operation = SCMP_CMP_GT
        case "SCMP_CMP_MASKED_EQ": operation = SCMP_CMP_MASKED_EQ
        default: throw RuntimeError("linux.seccomp.syscalls: `\(argument.comparison)` is not a comparison")
        }
        return scmp_arg_cmp(arg: argument.index, op: operation, datum_a: argument.value, datum_b: argument.valueTwo)
    }
}
