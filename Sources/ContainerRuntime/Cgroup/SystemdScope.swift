// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

/// A container's group as a transient scope of systemd: linux.cgroupsPath is then `SLICE:PREFIX:NAME`.
struct SystemdScope {
    /// `PREFIX-NAME.scope`
    let unit: String
    let slice: String

    init(path: String?, id: String, isRootless: Bool) throws(RuntimeError) {
        let parts = (path ?? "::").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts.allSatisfy({ !$0.contains("/") && !$0.contains("..") }) else {
            throw RuntimeError("linux.cgroupsPath: `\(path ?? "")` must be SLICE:PREFIX:NAME with systemd cgroups")
        }
        slice = parts[0].isEmpty ? (isRootless ? "user.slice" : "system.slice") : parts[0]
        guard slice.hasSuffix(".slice") else {
            throw RuntimeError("linux.cgroupsPath: `\(slice)` is not the name of a slice")
        }
        let name = parts[2].isEmpty ? id : parts[2]
        let prefix = parts[1].isEmpty && parts[2].isEmpty ? "samara" : parts[1]
        unit = (prefix.isEmpty ? name : prefix + "-" + name) + ".scope"
    }

    /// Makes the scope around the process `pid`; returns its directory.
    func start(
        _ pid: Int32, _ resources: RuntimeResources, _ annotations: [(name: String, value: String)], isRootless: Bool
    ) throws(RuntimeError) -> String {
        var properties: [(name: String, value: BusValue)] = [
            ("Description", .string("container \(unit)")), ("Slice", .string(slice)),
            ("PIDs", .uint32s([UInt32(bitPattern: pid)])), ("Delegate", .bool(true)),
            ("DefaultDependencies", .bool(false)),
        ]
        properties += try SystemdScope.limits(resources)
        for annotation in annotations where annotation.name.hasPrefix(SystemdScope.propertyPrefix) {
            let name = String(annotation.name.dropFirst(SystemdScope.propertyPrefix.utf8.count))
            guard let value = SystemdScope.value(annotation.value) else {
                throw RuntimeError(
                    "annotations: `\(annotation.name)`: `\(annotation.value)` is not a text, a number or true or false")
            }
            properties.append((name, value))
        }
        var manager = try SystemdBus.connect(isRootless: isRootless)
        try manager.startScope(unit, properties)
        // Where systemd put it is what the kernel says of the process that is in it.
        let bytes = try describing("read", "/proc/\(pid)/cgroup") { () throws(Errno) in
            try File.read("/proc/\(pid)/cgroup", limit: 1 << 20)
        }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("0::/") {
            let path = line.dropFirst(3)
            if path.hasSuffix("/" + unit) { return CgroupLayout.mountPoint + path }
        }
        throw RuntimeError("systemd cgroups: the container's process is not in `\(unit)`")
    }

    private static let propertyPrefix = "org.systemd.property."

    /// The limits that systemd would put back to its own defaults when it reloads: systemd.resource-control(5).
    static func limits(_ resources: RuntimeResources) throws(RuntimeError) -> [(name: String, value: BusValue)] {
        var result: [(name: String, value: BusValue)] = []
        func bytes(_ value: Int64) -> BusValue { .uint64(value < 0 ? .max : UInt64(value)) }
        if let limit = resources.memoryLimit, limit != 0 { result.append(("MemoryMax", bytes(limit))) }
        if let low = resources.memoryReservation, low != 0 { result.append(("MemoryLow", bytes(low))) }
        if let swap = try CgroupValues.swapOnly(resources) {
            result.append(("MemorySwapMax", .uint64(UInt64(swap) ?? .max)))
        }
        if let shares = resources.cpuShares, shares != 0 {
            result.append(("CPUWeight", .uint64(CgroupValues.weight(fromShares: shares))))
        }
        if let quota = resources.cpuQuota, quota > 0 {
            let period = resources.cpuPeriod.flatMap { $0 == 0 ? nil : $0 } ?? 100_000
            result.append(("CPUQuotaPeriodUSec", .uint64(period)))
            // In steps of 1 %, as systemd keeps it; a smaller value would be rounded to none.
            let perSecond = UInt64(quota) * 1_000_000 / period
            result.append(("CPUQuotaPerSecUSec", .uint64((perSecond + 9999) / 10_000 * 10_000)))
        }
        if let limit = resources.pidsLimit, limit != 0 { result.append(("TasksMax", bytes(limit))) }
        return result
    }

    /// GVariant's text form of the types that properties of scopes have: `true`, `'text'`, `uint64 5`, `5`.
    static func value(_ text: String) -> BusValue? {
        if text == "true" || text == "false" { return .bool(text == "true") }
        if text.count >= 2, let quote = text.first, quote == "'" || quote == "\"", text.last == quote {
            return .string(String(text.dropFirst().dropLast()))
        }
        let words = text.split(separator: " ")
        switch (words.count, words.first) {
        case (1, _): return Int32(text).map { .int32($0) }
        case (2, "uint64"): return UInt64(words[1]).map { .uint64($0) }
        case (2, "uint32"): return UInt32(words[1]).map { .uint32($0) }
        case (2, "int32"): return Int32(words[1]).map { .int32($0) }
        default: return nil
        }
    }
}
