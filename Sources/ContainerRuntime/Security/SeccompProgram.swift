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
        guard let bytes = try? File.readRecord(path, limit: 1 << 20), !bytes.isEmpty, bytes.count % 8 == 0 else {
            return nil
        }
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

    /// The filter in `cache` under `hash` of what it is made from; compiled from `profile` when it is not there.
    static func compiled(
        cache: String, _ hash: ContentHash, _ profile: () -> SeccompProfile
    ) throws(LaunchError) -> SeccompProgram {
        var hash = hash
        if let version = seccomp_version()?.pointee {
            hash.add(UInt64(version.major) << 32 | UInt64(version.minor) << 16 | UInt64(version.micro))
        }
        hash.add(UInt64(seccomp_arch_native()))
        let path = "\(cache)/seccomp-\(hash.text).bpf"
        if let program = SeccompProgram.cached(at: path) { return program }
        let program = try profile().compile()
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
        do throws(Errno) {
            let file = try File.memory("seccomp")
            let code = seccomp_export_bpf(context, file.raw)
            if code != 0 { throw Errno(rawValue: -code) }
            return SeccompProgram(instructions: try File.readFromStart(file))
        } catch {
            throw LaunchError(stage: .seccomp, errno: error, subject: "seccomp_export_bpf")
        }
    }

    // SCMP_ARCH_* are AUDIT_ARCH_* expressions that Swift cannot import: linux/audit.h.
    private static let archX86_64: UInt32 = 0xC000_003E
    private static let archX86: UInt32 = 0x4000_0003
}

/// Names content: FNV-1a over what is added, 64 bits. Not for content that somebody else chooses.
struct ContentHash {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ text: StaticString) {
        text.withUTF8Buffer { bytes in
            for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        add(UInt64(text.utf8CodeUnitCount))
    }

    mutating func add(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            value = (value ^ (number >> shift & 0xff)) &* 0x100_0000_01b3
        }
    }

    var text: String { Digits.text(value, radix: 16) }
}
