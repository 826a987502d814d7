// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

/// Limits as values of cgroup files.
extension Cgroup {
    /// One value for one file of one controller.
    struct Setting: Equatable {
        var controller: String
        var file: String
        var value: String
    }

    /// Writes what `resources` asks for. A limit that cannot be set is an error.
    package func apply(_ resources: RuntimeResources, deviceRules: Bool) throws(RuntimeError) {
        if directories.isEmpty {
            if resources.hasLimits { throw RuntimeError("cannot honour linux.resources: the container has no cgroup") }
            return
        }
        let isUnified = File.exists(directories[0] + "/cgroup.controllers")
        let settings = isUnified ? try CgroupValues.unified(resources) : try CgroupValues.legacy(resources)
        for setting in settings { try write(setting, isUnified) }
        guard deviceRules, !resources.devices.isEmpty else { return }
        if isUnified {
            try DeviceProgram.attach(resources.devices, to: directories[0])
        } else {
            try writeDevices(resources.devices)
        }
    }

    private func write(_ setting: Setting, _ isUnified: Bool) throws(RuntimeError) {
        let directory =
            isUnified ? directories.first : directories.first { $0.hasPrefixOfController(setting.controller) }
        guard let directory else {
            throw RuntimeError(
                "cannot set \(setting.file): the cgroup controller \(setting.controller) is not available")
        }
        do { try File.write("\(directory)/\(setting.file)", Array(setting.value.utf8), flags: 0) } catch {
            if error == .noSuchFileOrDirectory {
                throw RuntimeError(
                    "cannot set \(setting.file): the cgroup controller \(setting.controller) is not available in `\(directory)`"
                )
            }
            throw RuntimeError("write \(setting.value) to", "\(directory)/\(setting.file)", error)
        }
    }

    private func writeDevices(_ rules: [RuntimeResources.DeviceRule]) throws(RuntimeError) {
        guard let directory = directories.first(where: { $0.hasPrefixOfController("devices") }) else {
            throw RuntimeError("cannot honour linux.resources.devices: the cgroup controller devices is not available")
        }
        for rule in rules {
            let text =
                rule.type == "a"
                ? "a"
                : "\(rule.type) \(rule.major.map(String.init) ?? "*"):\(rule.minor.map(String.init) ?? "*") \(rule.access)"
            try describing("write the device rule \(text) to", directory) { () throws(Errno) in
                try File.write("\(directory)/devices.\(rule.allow ? "allow" : "deny")", Array(text.utf8), flags: 0)
            }
        }
    }
}

extension String {
    /// Whether this is a directory of the v1 hierarchy that has `controller`.
    fileprivate func hasPrefixOfController(_ controller: String) -> Bool {
        let rest = dropFirst(CgroupLayout.mountPoint.utf8.count + 1)
        return rest.prefix { $0 != "/" }.split(separator: ",").contains { $0 == controller }
    }
}

/// The conversions from config.json's units, which are those of v1, to the files of both versions.
enum CgroupValues {
    static func unified(_ resources: RuntimeResources) throws(RuntimeError) -> [Cgroup.Setting] {
        var result: [Cgroup.Setting] = []
        func add(_ controller: String, _ file: String, _ value: String) {
            result.append(Cgroup.Setting(controller: controller, file: file, value: value))
        }
        func bytes(_ value: Int64) -> String { value < 0 ? "max" : String(value) }

        if let swap = try swapOnly(resources) { add("memory", "memory.swap.max", swap) }
        if let limit = resources.memoryLimit, limit != 0 { add("memory", "memory.max", bytes(limit)) }
        if let reservation = resources.memoryReservation, reservation != 0 {
            add("memory", "memory.low", bytes(reservation))
        }
        if resources.disablesOOMKiller {
            throw RuntimeError("linux.resources.memory.disableOOMKiller: does not exist in cgroup v2")
        }
        if let shares = resources.cpuShares, shares != 0 {
            add("cpu", "cpu.weight", String(weight(fromShares: shares)))
        }
        if resources.cpuQuota != nil || resources.cpuPeriod != nil {
            let quota = resources.cpuQuota ?? -1
            add(
                "cpu", "cpu.max",
                "\(quota > 0 ? String(quota) : "max") \(resources.cpuPeriod.flatMap { $0 == 0 ? nil : $0 } ?? 100_000)")
        }
        if let burst = resources.cpuBurst { add("cpu", "cpu.max.burst", String(burst)) }
        if let idle = resources.cpuIdle { add("cpu", "cpu.idle", String(idle)) }
        if resources.realtimeRuntime ?? 0 != 0 || resources.realtimePeriod ?? 0 != 0 {
            throw RuntimeError("linux.resources.cpu.realtimeRuntime: does not exist in cgroup v2")
        }
        if let cpus = resources.cpus { add("cpuset", "cpuset.cpus", cpus) }
        if let nodes = resources.memoryNodes { add("cpuset", "cpuset.mems", nodes) }
        if let limit = resources.pidsLimit, limit != 0 { add("pids", "pids.max", bytes(limit)) }
        if let weight = resources.blockWeight, weight != 0 { add("io", "io.weight", "default \(ioWeight(weight))") }
        for device in resources.deviceWeights {
            add("io", "io.weight", "\(device.major):\(device.minor) \(ioWeight(device.weight))")
        }
        for (throttles, key) in [
            (resources.readBytesPerSecond, "rbps"), (resources.writeBytesPerSecond, "wbps"),
            (resources.readOperationsPerSecond, "riops"), (resources.writeOperationsPerSecond, "wiops"),
        ] {
            for throttle in throttles {
                add("io", "io.max", "\(throttle.major):\(throttle.minor) \(key)=\(throttle.rate)")
            }
        }
        for page in resources.hugePages { add("hugetlb", "hugetlb.\(page.pageSize).max", String(page.limit)) }
        for device in resources.rdma {
            add(
                "rdma", "rdma.max",
                "\(device.device) hca_handle=\(device.handles.map { "\($0)" } ?? "max") hca_object=\(device.objects.map { "\($0)" } ?? "max")"
            )
        }
        if resources.networkClass != nil || !resources.networkPriorities.isEmpty {
            throw RuntimeError("linux.resources.network: does not exist in cgroup v2")
        }
        // Last, because they are the exact files and win over what was converted.
        for file in resources.unified { add(String(file.name.prefix { $0 != "." }), file.name, file.value) }
        return result
    }

    /// The limit of v1 is memory and swap together; of v2 swap alone.
    static func swapOnly(_ resources: RuntimeResources) throws(RuntimeError) -> String? {
        guard let swap = resources.memorySwap, swap != 0 else { return nil }
        if swap < 0 { return "max" }
        guard let limit = resources.memoryLimit, limit > 0 else {
            throw RuntimeError("linux.resources.memory.swap: needs memory.limit")
        }
        if swap < limit { throw RuntimeError("linux.resources.memory.swap: must not be below memory.limit") }
        return String(swap - limit)
    }

    /// Shares of v1 (2…262144, 1024 usual) as a weight of v2 (1…10000, 100 usual), by the curve
    /// 10^((log2(x)^2 + 125 log2(x)) / 612 - 7/34): its fixed points are 2→1, 1024→100 and 262144→10000.
    static func weight(fromShares shares: UInt64) -> UInt64 {
        if shares <= 2 { return 1 }
        if shares >= 262_144 { return 10_000 }
        let logarithm = binaryLogarithm(Double(shares))
        let exponent = (logarithm * logarithm + 125 * logarithm) / 612 - 7.0 / 34
        return UInt64(powerOfTen(exponent).rounded(.up))
    }

    /// 10…1000 of v1 as 1…10000 of v2.
    static func ioWeight(_ weight: UInt64) -> UInt64 {
        1 + (max(10, min(1000, weight)) - 10) * 9999 / 990
    }

    static func legacy(_ resources: RuntimeResources) throws(RuntimeError) -> [Cgroup.Setting] {
        var result: [Cgroup.Setting] = []
        func add(_ controller: String, _ file: String, _ value: (some CustomStringConvertible)?) {
            if let value { result.append(Cgroup.Setting(controller: controller, file: file, value: value.description)) }
        }
        add("memory", "memory.limit_in_bytes", resources.memoryLimit.flatMap { $0 == 0 ? nil : $0 })
        add("memory", "memory.memsw.limit_in_bytes", resources.memorySwap.flatMap { $0 == 0 ? nil : $0 })
        add("memory", "memory.soft_limit_in_bytes", resources.memoryReservation.flatMap { $0 == 0 ? nil : $0 })
        add("memory", "memory.swappiness", resources.memorySwappiness)
        if resources.disablesOOMKiller { add("memory", "memory.oom_control", "1") }
        add("cpu", "cpu.shares", resources.cpuShares.flatMap { $0 == 0 ? nil : $0 })
        add("cpu", "cpu.cfs_period_us", resources.cpuPeriod.flatMap { $0 == 0 ? nil : $0 })
        add("cpu", "cpu.cfs_quota_us", resources.cpuQuota.flatMap { $0 == 0 ? nil : $0 })
        add("cpu", "cpu.cfs_burst_us", resources.cpuBurst)
        add("cpu", "cpu.rt_period_us", resources.realtimePeriod.flatMap { $0 == 0 ? nil : $0 })
        add("cpu", "cpu.rt_runtime_us", resources.realtimeRuntime.flatMap { $0 == 0 ? nil : $0 })
        add("cpu", "cpu.idle", resources.cpuIdle)
        add("cpuset", "cpuset.cpus", resources.cpus)
        add("cpuset", "cpuset.mems", resources.memoryNodes)
        add("pids", "pids.max", resources.pidsLimit.flatMap { $0 == 0 ? nil : $0 < 0 ? "max" : String($0) })
        add("blkio", "blkio.weight", resources.blockWeight.flatMap { $0 == 0 ? nil : $0 })
        for device in resources.deviceWeights {
            add("blkio", "blkio.weight_device", "\(device.major):\(device.minor) \(device.weight)")
        }
        for (throttles, file) in [
            (resources.readBytesPerSecond, "read_bps"), (resources.writeBytesPerSecond, "write_bps"),
            (resources.readOperationsPerSecond, "read_iops"), (resources.writeOperationsPerSecond, "write_iops"),
        ] {
            for throttle in throttles {
                add("blkio", "blkio.throttle.\(file)_device", "\(throttle.major):\(throttle.minor) \(throttle.rate)")
            }
        }
        for page in resources.hugePages { add("hugetlb", "hugetlb.\(page.pageSize).limit_in_bytes", page.limit) }
        add("net_cls", "net_cls.classid", resources.networkClass)
        for item in resources.networkPriorities {
            add("net_prio", "net_prio.ifpriomap", "\(item.name) \(item.priority)")
        }
        if let file = resources.unified.first {
            throw RuntimeError("linux.resources.unified: `\(file.name)` needs cgroup v2, which this host has not")
        }
        return result
    }

    // MARK: Arithmetic without libm's Swift overlay

    static func binaryLogarithm(_ value: Double) -> Double {
        var (rest, result) = (value.significand, Double(value.exponent))
        var digit = 0.5
        for _ in 0..<48 {
            rest *= rest
            if rest >= 2 {
                rest /= 2
                result += digit
            }
            digit /= 2
        }
        return result
    }

    static func powerOfTen(_ exponent: Double) -> Double {
        // e^x by its series after halving x ten times: exact to far below the rounding to an integer.
        let x = exponent * 2.302_585_092_994_046 / 1024
        var (term, sum) = (1.0, 1.0)
        for n in 1...12 {
            term *= x / Double(n)
            sum += term
        }
        for _ in 0..<10 { sum *= sum }
        return sum
    }
}
