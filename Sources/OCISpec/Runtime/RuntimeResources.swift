// SPDX-License-Identifier: Apache-2.0
import JSON

/// The `linux.resources` section, also the input of `update`: config-linux.md, "Control groups".
package struct RuntimeResources: Sendable {
    package struct DeviceRule: Sendable, Equatable {
        package var allow: Bool
        /// `a`, `c` or `b`
        package var type: String
        /// nil is every one.
        package var major: Int64?
        package var minor: Int64?
        /// Letters of `rwm`.
        package var access: String
    }

    package struct Throttle: Sendable, Equatable {
        package var major: Int64
        package var minor: Int64
        package var rate: UInt64
    }

    // Bytes; -1 is unlimited.
    package var memoryLimit: Int64?
    package var memoryReservation: Int64?
    package var memorySwap: Int64?
    package var memoryKernel: Int64?
    package var memorySwappiness: UInt64?
    package var disablesOOMKiller = false
    package var checksBeforeUpdate = false

    package var cpuShares: UInt64?
    /// Microseconds; -1 is unlimited.
    package var cpuQuota: Int64?
    package var cpuBurst: UInt64?
    package var cpuPeriod: UInt64?
    package var realtimeRuntime: Int64?
    package var realtimePeriod: UInt64?
    package var cpus: String?
    package var memoryNodes: String?
    package var cpuIdle: Int64?

    package var pidsLimit: Int64?

    package var blockWeight: UInt64?
    package var deviceWeights: [(major: Int64, minor: Int64, weight: UInt64)] = []
    package var readBytesPerSecond: [Throttle] = []
    package var writeBytesPerSecond: [Throttle] = []
    package var readOperationsPerSecond: [Throttle] = []
    package var writeOperationsPerSecond: [Throttle] = []

    package var hugePages: [(pageSize: String, limit: UInt64)] = []
    package var networkClass: UInt32?
    package var networkPriorities: [(name: String, priority: UInt32)] = []
    package var rdma: [(device: String, handles: UInt32?, objects: UInt32?)] = []
    package var devices: [DeviceRule] = []
    /// cgroup v2 files by name.
    package var unified: [(name: String, value: String)] = []

    package init() {}

    package init(bytes: [UInt8]) throws(RuntimeSpecError) {
        do { try self.init(RuntimeFields(try JSON.parse(bytes), path: "resources")) } catch let error as JSONError {
            throw RuntimeSpecError("resources: \(error.description)")
        } catch let error as RuntimeSpecError { throw error } catch { throw RuntimeSpecError("resources: \(error)") }
    }

    /// Whether anything but device rules is asked for: what cannot be honoured then must be an error.
    package var hasLimits: Bool {
        let numbers: [Any?] = [
            memoryLimit, memoryReservation, memorySwap, memoryKernel, memorySwappiness, cpuQuota, cpuBurst, cpuPeriod,
            realtimeRuntime, realtimePeriod, cpuIdle, networkClass, blockWeight,
            // What every group has from its birth limits nothing; engines pass it.
            cpuShares == 0 || cpuShares == 1024 ? nil : cpuShares,
        ]
        return numbers.contains { $0 != nil } || disablesOOMKiller || (pidsLimit ?? 0) > 0 || cpus != nil
            || memoryNodes != nil
            || !deviceWeights.isEmpty || !readBytesPerSecond.isEmpty || !writeBytesPerSecond.isEmpty
            || !readOperationsPerSecond.isEmpty || !writeOperationsPerSecond.isEmpty || !hugePages.isEmpty
            || !networkPriorities.isEmpty || !rdma.isEmpty || !unified.isEmpty
    }

    init(_ given: RuntimeFields?) throws(RuntimeSpecError) {
        guard let fields = given else { return }
        if let memory = try fields.fields("memory") {
            memoryLimit = try memory.integer("limit")
            memoryReservation = try memory.integer("reservation")
            memorySwap = try memory.integer("swap")
            memoryKernel = try memory.integer("kernel")
            memorySwappiness = try memory.integer("swappiness")
            disablesOOMKiller = try memory.bool("disableOOMKiller")
            checksBeforeUpdate = try memory.bool("checkBeforeUpdate")
            if let swappiness = memorySwappiness, swappiness > 100 {
                throw memory.failure("swappiness", "must be from 0 to 100")
            }
        }
        if let cpu = try fields.fields("cpu") {
            cpuShares = try cpu.integer("shares")
            cpuQuota = try cpu.integer("quota")
            cpuBurst = try cpu.integer("burst")
            cpuPeriod = try cpu.integer("period")
            realtimeRuntime = try cpu.integer("realtimeRuntime")
            realtimePeriod = try cpu.integer("realtimePeriod")
            cpus = try cpu.string("cpus").flatMap { $0.isEmpty ? nil : $0 }
            memoryNodes = try cpu.string("mems").flatMap { $0.isEmpty ? nil : $0 }
            cpuIdle = try cpu.integer("idle")
        }
        pidsLimit = try fields.fields("pids")?.integer("limit")
        if let block = try fields.fields("blockIO") {
            blockWeight = try block.integer("weight")
            for device in try block.objects("weightDevice") {
                deviceWeights.append(
                    (
                        try device.integer("major") ?? 0, try device.integer("minor") ?? 0,
                        try device.integer("weight") ?? 0
                    ))
            }
            func throttles(_ key: String) throws(RuntimeSpecError) -> [Throttle] {
                var result: [Throttle] = []
                for item in try block.objects(key) {
                    result.append(
                        Throttle(
                            major: try item.integer("major") ?? 0, minor: try item.integer("minor") ?? 0,
                            rate: try item.integer("rate") ?? 0))
                }
                return result
            }
            readBytesPerSecond = try throttles("throttleReadBpsDevice")
            writeBytesPerSecond = try throttles("throttleWriteBpsDevice")
            readOperationsPerSecond = try throttles("throttleReadIOPSDevice")
            writeOperationsPerSecond = try throttles("throttleWriteIOPSDevice")
        }
        for page in try fields.objects("hugepageLimits") {
            let size = try page.required("pageSize")
            // It becomes part of a file's name.
            guard size.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) }) else {
                throw page.failure("pageSize", "`\(size)` is not a page size")
            }
            hugePages.append((size, try page.integer("limit") ?? 0))
        }
        if let network = try fields.fields("network") {
            networkClass = try network.integer("classID")
            for item in try network.objects("priorities") {
                networkPriorities.append((try item.required("name"), try item.integer("priority") ?? 0))
            }
        }
        if let devices = try fields.fields("rdma") {
            for (name, value) in devices.object {
                let limit = try RuntimeFields(value, path: devices.name(name))
                rdma.append((name, try limit.integer("hcaHandles"), try limit.integer("hcaObjects")))
            }
        }
        for rule in try fields.objects("devices") { devices.append(try RuntimeResources.deviceRule(rule)) }
        unified = try fields.stringMap("unified")
        if let bad = unified.first(where: {
            $0.name.contains("/") || $0.name.hasPrefix(".") || $0.name.hasPrefix("cgroup.") || !$0.name.contains(".")
        }) {
            throw fields.failure("unified", "`\(bad.name)` is not the name of a controller's file")
        }
    }

    private static func deviceRule(_ rule: RuntimeFields) throws(RuntimeSpecError) -> DeviceRule {
        let type = try rule.string("type") ?? "a"
        guard ["", "a", "b", "c"].contains(type) else { throw rule.failure("type", "`\(type)` is not a, b or c") }
        let access = try rule.string("access") ?? "rwm"
        guard access.allSatisfy({ "rwm".contains($0) }) else {
            throw rule.failure("access", "`\(access)` must consist of r, w and m")
        }
        func number(_ key: String) throws(RuntimeSpecError) -> Int64? {
            guard let value: Int64 = try rule.integer(key), value != -1 else { return nil }
            guard value >= 0, value <= UInt32.max else { throw rule.failure(key, "is not a device number") }
            return value
        }
        return DeviceRule(
            allow: try rule.bool("allow"), type: type.isEmpty ? "a" : type, major: try number("major"),
            minor: try number("minor"), access: access.isEmpty ? "rwm" : access)
    }
}
