// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// Device rules as a BPF program on a cgroup v2 directory: bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE.
///
/// The kernel calls it with {access << 16 | type, major, minor} and refuses the access when it returns 0. The last rule
/// that matches decides, so rules are tested from the last to the first.
enum DeviceProgram {
    static func attach(_ rules: [RuntimeResources.DeviceRule], to directory: String) throws(RuntimeError) {
        try describing("load the device rules of", directory) { () throws(Errno) in
            let code = instructions(rules)
            let count = UInt32(code.count)
            let program = OwnedFD(try checked(code.withUnsafeBytes { samara_bpf_load_device($0.baseAddress, count) }))
            let group = try File.open(directory, O_RDONLY | O_DIRECTORY)
            _ = try checked(samara_bpf_attach_device(group.raw, program.raw))
        }
    }

    // Opcodes of linux/bpf.h: class | operation | source.
    private static let load32: UInt8 = 0x61  // BPF_LDX | BPF_MEM | BPF_W
    private static let andImmediate: UInt8 = 0x54  // BPF_ALU | BPF_AND | BPF_K
    private static let shiftRight: UInt8 = 0x74  // BPF_ALU | BPF_RSH | BPF_K
    private static let moveRegister: UInt8 = 0xbc  // BPF_ALU | BPF_MOV | BPF_X
    private static let moveImmediate: UInt8 = 0xb7  // BPF_ALU64 | BPF_MOV | BPF_K
    private static let jumpNotEqual: UInt8 = 0x55  // BPF_JMP | BPF_JNE | BPF_K
    private static let exit: UInt8 = 0x95  // BPF_JMP | BPF_EXIT

    /// struct bpf_insn as a word: opcode, target and source register, jump offset, immediate value.
    private static func instruction(
        _ opcode: UInt8, _ target: UInt8, _ source: UInt8 = 0, offset: Int16 = 0, _ value: Int32 = 0
    ) -> UInt64 {
        UInt64(opcode) | UInt64(target | source << 4) << 8 | UInt64(UInt16(bitPattern: offset)) << 16
            | UInt64(UInt32(bitPattern: value)) << 32
    }

    /// r2 type, r3 access, r4 major, r5 minor; r1 is the context and becomes scratch.
    static func instructions(_ rules: [RuntimeResources.DeviceRule]) -> [UInt64] {
        var code = [
            instruction(load32, 2, 1, offset: 0), instruction(andImmediate, 2, 0, offset: 0, 0xffff),
            instruction(load32, 3, 1, offset: 0), instruction(shiftRight, 3, 0, offset: 0, 16),
            instruction(load32, 4, 1, offset: 4), instruction(load32, 5, 1, offset: 8),
        ]
        for rule in rules.reversed() {
            var tests: [(register: UInt8, value: Int32)] = []
            if rule.type != "a" { tests.append((2, rule.type == "b" ? 1 : 2)) }
            var block: [UInt64] = []
            let access = rule.access.reduce(Int32(0)) { $0 | ($1 == "m" ? 1 : $1 == "r" ? 2 : 4) }
            if rule.type != "a" {
                if let major = rule.major { tests.append((4, Int32(truncatingIfNeeded: major))) }
                if let minor = rule.minor { tests.append((5, Int32(truncatingIfNeeded: minor))) }
            }
            // The rest of the block after each test: later tests, the access test (3) and the verdict (2).
            let accessTest = access == 7 ? 0 : 3
            for (index, test) in tests.enumerated() {
                let rest = tests.count - index - 1 + accessTest + 2
                block.append(instruction(jumpNotEqual, test.register, offset: Int16(rest), test.value))
            }
            if access != 7 {
                block.append(instruction(moveRegister, 1, 3))
                block.append(instruction(andImmediate, 1, 0, offset: 0, ~access & 7))
                block.append(instruction(jumpNotEqual, 1, 0, offset: 2, 0))
            }
            block.append(instruction(moveImmediate, 0, 0, offset: 0, rule.allow ? 1 : 0))
            block.append(instruction(exit, 0))
            code += block
            // Decides everything that is left; the kernel refuses a program that goes on behind it: "unreachable insn".
            if tests.isEmpty, access == 7 { return code }
        }
        // Nothing matched: refused, as in the v1 controller after a general deny.
        code.append(instruction(moveImmediate, 0, 0, offset: 0, 0))
        code.append(instruction(exit, 0))
        return code
    }
}
