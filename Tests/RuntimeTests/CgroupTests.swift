// SPDX-License-Identifier: Apache-2.0
import JSON
import Testing

@testable import ContainerRuntime
@testable import OCISpec

@Suite struct CgroupTests {
    static func resources(_ text: String) throws -> RuntimeResources { try RuntimeResources(bytes: Array(text.utf8)) }

    @Test(arguments: [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (1 << 40, 10_000)] as [(UInt64, UInt64)])
    func sharesBecomeWeights(shares: UInt64, weight: UInt64) {
        #expect(CgroupValues.weight(fromShares: shares) == weight)
    }

    @Test func weightsNeverFallAsSharesRise() {
        var last: UInt64 = 0
        for shares in stride(from: UInt64(2), through: 262_144, by: 37) {
            let weight = CgroupValues.weight(fromShares: shares)
            #expect(weight >= last && (1...10_000).contains(weight))
            last = weight
        }
    }

    @Test func limitsBecomeFilesOfVersionTwo() throws {
        let settings = try CgroupValues.unified(
            Self.resources(
                """
                {"memory":{"limit":1000,"swap":3000,"reservation":500},"cpu":{"quota":-1,"period":50000,"cpus":"0-1"},
                 "pids":{"limit":-1},"blockIO":{"weight":1000},"unified":{"memory.high":"900"}}
                """))
        let written = Dictionary(settings.map { ($0.file, $0.value) }) { $1 }
        #expect(
            written == [
                "memory.max": "1000", "memory.swap.max": "2000", "memory.low": "500", "cpu.max": "max 50000",
                "cpuset.cpus": "0-1", "pids.max": "max", "io.weight": "default 10000", "memory.high": "900",
            ])
    }

    @Test func swapBelowMemoryIsAnError() throws {
        #expect(throws: RuntimeError.self) {
            try CgroupValues.unified(Self.resources(#"{"memory":{"limit":10,"swap":5}}"#))
        }
        #expect(throws: RuntimeError.self) { try CgroupValues.unified(Self.resources(#"{"memory":{"swap":5}}"#)) }
    }

    @Test func unifiedNeedsVersionTwo() throws {
        #expect(throws: RuntimeError.self) {
            try CgroupValues.legacy(Self.resources(#"{"unified":{"memory.high":"1"}}"#))
        }
    }

    @Test func limitsWithoutACgroupAreAnError() throws {
        let none = Cgroup(directories: [])
        #expect(throws: RuntimeError.self) {
            try none.apply(Self.resources(#"{"pids":{"limit":10}}"#), deviceRules: false)
        }
        try none.apply(
            Self.resources(#"{"devices":[{"allow":false,"access":"rwm"}],"pids":{"limit":0}}"#), deviceRules: false)
    }

    // MARK: Device programs, executed by a small interpreter of the few instructions they use.

    private func allows(
        _ rules: [RuntimeResources.DeviceRule], type: UInt32, access: UInt32, _ major: UInt32, _ minor: UInt32
    ) -> Bool? {
        let context = [access << 16 | type, major, minor]
        let code = DeviceProgram.instructions(rules)
        var registers = [UInt64](repeating: 0, count: 11)
        var counter = 0
        for _ in 0..<10_000 {
            guard code.indices.contains(counter) else { return nil }
            let word = code[counter]
            let target = Int(word >> 8 & 15)
            let source = Int(word >> 12 & 15)
            let offset = Int(Int16(truncatingIfNeeded: word >> 16))
            let value = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: word >> 32)))
            counter += 1
            switch UInt8(truncatingIfNeeded: word) {
            case 0x61: registers[target] = UInt64(context[offset / 4])
            case 0x54: registers[target] = registers[target] & value & 0xffff_ffff
            case 0x74: registers[target] = (registers[target] & 0xffff_ffff) >> value
            case 0xbc: registers[target] = registers[source] & 0xffff_ffff
            case 0xb7: registers[target] = value
            case 0x55: if registers[target] != value { counter += offset }
            case 0x95: return registers[0] != 0
            default: return nil
            }
        }
        return nil
    }

    /// The kernel refuses a program with an instruction that no path reaches, such as one behind "deny everything".
    @Test func everyInstructionOfADeviceProgramIsReached() throws {
        let rules = try RuntimeResources(
            bytes: Array(
                """
                {"devices": [{"allow": true, "type": "c", "access": "rwm"}, {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "b", "access": "r"}]}
                """.utf8)
        ).devices
        let code = DeviceProgram.instructions(rules)
        var reached = Set<Int>()
        var open = [0]
        while let index = open.popLast() {
            guard code.indices.contains(index), reached.insert(index).inserted else { continue }
            switch UInt8(truncatingIfNeeded: code[index]) {
            case 0x95: break
            case 0x55: open += [index + 1, index + 1 + Int(Int16(truncatingIfNeeded: code[index] >> 16))]
            default: open.append(index + 1)
            }
        }
        #expect(reached == Set(code.indices))
    }

    @Test func theLastMatchingDeviceRuleDecides() throws {
        let rules = try Self.resources(
            """
            {"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"},
             {"allow":true,"type":"b","major":8,"access":"r"},{"allow":false,"type":"b","major":8,"minor":1,"access":"rwm"}]}
            """
        ).devices
        let (character, block): (UInt32, UInt32) = (2, 1)
        let (mknod, read, write): (UInt32, UInt32, UInt32) = (1, 2, 4)
        #expect(allows(rules, type: character, access: read, 1, 3) == true)
        #expect(allows(rules, type: character, access: read | write, 1, 3) == true)
        #expect(allows(rules, type: character, access: mknod, 1, 3) == false)
        #expect(allows(rules, type: character, access: read, 1, 5) == false)
        #expect(allows(rules, type: block, access: read, 1, 3) == false)
        #expect(allows(rules, type: block, access: read, 8, 0) == true)
        #expect(allows(rules, type: block, access: write, 8, 0) == false)
        #expect(allows(rules, type: block, access: read, 8, 1) == false)
        #expect(allows([], type: block, access: read, 8, 1) == false)
    }
}
