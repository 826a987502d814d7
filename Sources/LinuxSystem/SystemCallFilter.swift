// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// A list of system calls that a process may make; any other one, and any call of another architecture's table, kills
/// it: seccomp(2), SECCOMP_RET_KILL_PROCESS.
///
/// The list is compiled here and not by libseccomp because it is short and in the way of every pod's start. Calls are
/// compared in the order of the list; the kernel remembers those that are allowed whatever their arguments, so the
/// order matters for the others only.
public struct SystemCallFilter: Sendable {
    /// One argument's low 32 bits, masked, are one of `values`. The kernel's own type for such arguments is an int.
    public struct Condition: Sendable {
        var argument: UInt8
        var mask: UInt32
        var values: [UInt32]

        public init(_ argument: UInt8, in values: [Int32], ignoring bits: UInt32 = 0) {
            self.argument = argument
            mask = ~bits
            self.values = values.map { UInt32(bitPattern: $0) }
        }

        /// None of `bits` is set.
        public init(_ argument: UInt8, without bits: Int32) {
            self.argument = argument
            mask = UInt32(bitPattern: bits)
            values = [0]
        }
    }

    private struct Rule {
        var number: UInt32
        /// Allowed if all conditions of one of them hold; empty: in any case.
        var alternatives: [[Condition]]
    }

    private var rules: [Rule] = []

    public init() {}

    /// Allows calls whatever their arguments. Numbers are SYS_*.
    public mutating func allow(_ numbers: [Int32]) {
        for number in numbers { rules.append(Rule(number: UInt32(number), alternatives: [])) }
    }

    /// Allows a call if all conditions of one of `alternatives` hold.
    public mutating func allow(_ number: Int32, _ alternatives: [Condition]...) {
        rules.append(Rule(number: UInt32(number), alternatives: alternatives))
    }

    /// Applies the filter to this process for good. Needs no_new_privs.
    public func apply() throws(Errno) {
        var program = self.program
        let applied = program.withUnsafeMutableBufferPointer { buffer -> Int32 in
            var header = sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
            // Without the flag older kernels switch off speculation for every filtered process; this one runs no
            // code but its own.
            return samara_seccomp(UInt32(SECCOMP_SET_MODE_FILTER), UInt32(SECCOMP_FILTER_FLAG_SPEC_ALLOW), &header)
        }
        _ = try checked(applied)
    }

    // MARK: Program

    // linux/bpf_common.h: a load of an absolute word, an AND, conditional jumps, a return.
    private static let load: UInt16 = 0x20
    private static let and: UInt16 = 0x54
    private static let jumpIfEqual: UInt16 = 0x15
    private static let giveBack: UInt16 = 0x06
    private static let kill: UInt32 = 0x8000_0000
    private static let allowed: UInt32 = 0x7fff_0000

    #if arch(x86_64)
        private static let architecture: UInt32 = 0xC000_003E  // AUDIT_ARCH_X86_64
    #elseif arch(arm64)
        private static let architecture: UInt32 = 0xC000_00B7  // AUDIT_ARCH_AARCH64
    #endif

    /// The classic BPF program. x32's calls have numbers of their own and so are on no list.
    var program: [sock_filter] {
        var code = [
            Self.instruction(Self.load, 4),  // seccomp_data.arch
            Self.instruction(Self.jumpIfEqual, Self.architecture, ifTrue: 1),
            Self.instruction(Self.giveBack, Self.kill),
            Self.instruction(Self.load, 0),  // seccomp_data.nr
        ]
        for rule in rules {
            let body = Self.body(rule.alternatives)
            precondition(body.count < 256, "a rule is as long as a jump is wide")
            code.append(Self.instruction(Self.jumpIfEqual, rule.number, ifFalse: UInt8(body.count)))
            code += body
        }
        code.append(Self.instruction(Self.giveBack, Self.kill))
        return code
    }

    private static func body(_ alternatives: [[Condition]]) -> [sock_filter] {
        if alternatives.isEmpty { return [instruction(giveBack, allowed)] }
        var code: [sock_filter] = []
        for conditions in alternatives {
            // From the last to the first, so that the distance to the next alternative is known.
            var tail = [instruction(giveBack, allowed)]
            for condition in conditions.reversed() { tail = test(condition, before: tail.count) + tail }
            code += tail
        }
        return code + [instruction(giveBack, kill)]
    }

    /// Goes on behind itself if the condition holds, otherwise `distance` instructions further.
    private static func test(_ condition: Condition, before distance: Int) -> [sock_filter] {
        // seccomp_data.args, little-endian: the low half comes first.
        var code = [instruction(load, 16 + 8 * UInt32(condition.argument))]
        if condition.mask != .max { code.append(instruction(and, condition.mask)) }
        for (index, value) in condition.values.enumerated() {
            let left = condition.values.count - 1 - index
            code.append(
                instruction(jumpIfEqual, value, ifTrue: UInt8(left), ifFalse: left == 0 ? UInt8(distance) : 0))
        }
        return code
    }

    private static func instruction(
        _ code: UInt16, _ value: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0
    ) -> sock_filter {
        sock_filter(code: code, jt: ifTrue, jf: ifFalse, k: value)
    }
}
