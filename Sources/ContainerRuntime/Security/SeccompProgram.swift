// SPDX-License-Identifier: Apache-2.0
import CLinux
import CSeccomp
import LinuxSystem
import SystemPackage

/// A compiled seccomp filter, as the kernel takes it: an array of `struct sock_filter` (8 bytes each).
///
/// libseccomp compiles it once; afterwards the file is read and loaded as is, because compiling the default
/// profile costs several times a whole container start.
public struct SeccompProgram: Sendable {
    /// The instructions, 8 bytes each.
    public let instructions: [UInt8]

    init(instructions: [UInt8]) { self.instructions = instructions }

    /// Reads a cached program; nil if there is none or it is not whole.
    static func cached(at path: String) -> SeccompProgram? {
        guard let bytes = try? File.read(path, limit: 1 << 20), !bytes.isEmpty, bytes.count % 8 == 0 else { return nil }
        return SeccompProgram(instructions: bytes)
    }
}

/// What a seccomp profile allows; the shape of the OCI runtime-spec's `linux.seccomp` reduced to what the default
/// profile needs.
public struct SeccompProfile: Sendable {
    /// A comparison of one argument: allowed when (argument & mask) == value.
    public struct Condition: Sendable {
        public var argument: UInt32
        public var mask: UInt64
        public var value: UInt64
    }

    public struct Rule: Sendable {
        public var name: String
        public var conditions: [Condition] = []
        /// nil allows; otherwise the errno the call fails with.
        public var errno: Int32?
    }

    public var rules: [Rule]
    /// The errno of every call that no rule names: ENOSYS lets programs fall back as on an older kernel.
    public var defaultErrno: Int32

    /// Bytes that identify the profile and what compiles it, for the cache's name.
    var fingerprint: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        func mix(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        for rule in rules {
            mix(rule.name.utf8)
            mix("=\(rule.errno ?? 0)".utf8)
            for condition in rule.conditions {
                mix("\(condition.argument)&\(condition.mask)==\(condition.value);".utf8)
            }
        }
        mix("\(defaultErrno)".utf8)
        if let version = seccomp_version()?.pointee { mix("\(version.major).\(version.minor).\(version.micro)".utf8) }
        mix("\(seccomp_arch_native())".utf8)
        return hash
    }

    /// The compiled filter, from `cache` (a directory) when it is there. A cache that cannot be written is not an
    /// error: the filter is compiled again next time.
    public func compiled(cache: String) throws(LaunchError) -> SeccompProgram {
        let path = "\(cache)/seccomp-\(String(fingerprint, radix: 16)).bpf"
        if let program = SeccompProgram.cached(at: path) { return program }
        let program = try compile()
        try? Directory.makeAll(cache)
        try? File.replace(path, program.instructions)
        return program
    }

    private func compile() throws(LaunchError) -> SeccompProgram {
        func failure(_ what: String, _ code: Int32) -> LaunchError {
            LaunchError(stage: .seccomp, errno: Errno(rawValue: -code), subject: what)
        }
        // SCMP_ACT_ERRNO(x) and SCMP_ACT_ALLOW are macros that Swift cannot import: seccomp_init(3).
        let allow: UInt32 = 0x7fff_0000
        func errnoAction(_ number: Int32) -> UInt32 { 0x0005_0000 | UInt32(number) }
        guard let context = seccomp_init(errnoAction(defaultErrno)) else { throw failure("seccomp_init", -ENOMEM) }
        defer { seccomp_release(context) }
        // A binary tree instead of a list: a call is decided in about ten comparisons instead of hundreds.
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0)
        // A call of another architecture's table fails like an unknown one instead of killing the process.
        _ = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, errnoAction(ENOSYS))
        // 32-bit x86 programs run; x32 stays out: nobody ships it and its table doubles the kernel's surface.
        if seccomp_arch_native() == Self.archX86_64 { _ = seccomp_arch_add(context, Self.archX86) }
        for rule in rules {
            let number = seccomp_syscall_resolve_name(rule.name)
            // A name newer than the installed libseccomp: the default action applies, as on an older kernel.
            if number == __NR_SCMP_ERROR { continue }
            let comparisons = rule.conditions.map {
                scmp_arg_cmp(arg: $0.argument, op: SCMP_CMP_MASKED_EQ, datum_a: $0.mask, datum_b: $0.value)
            }
            let action = rule.errno.map(errnoAction) ?? allow
            if action == errnoAction(defaultErrno) { continue }
            let code = seccomp_rule_add_array(context, action, number, UInt32(comparisons.count), comparisons)
            if code != 0 { throw failure("seccomp rule for \(rule.name)", code) }
        }
        do {
            let file = try File.memory("seccomp")
            let code = seccomp_export_bpf(context, file.raw)
            if code != 0 { throw Errno(rawValue: -code) }
            return SeccompProgram(instructions: try File.readFromStart(file))
        } catch {
            throw LaunchError(stage: .seccomp, errno: error as? Errno ?? .ioError, subject: "seccomp_export_bpf")
        }
    }

    // SCMP_ARCH_* are AUDIT_ARCH_* expressions that Swift cannot import: linux/audit.h.
    private static let archX86_64: UInt32 = 0xC000_003E
    private static let archX86: UInt32 = 0x4000_0003
}
