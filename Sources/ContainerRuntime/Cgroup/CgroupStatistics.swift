// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem

extension Cgroup {
    /// Counters of the group, as far as its controllers have them: the `stats` event that runc defined.
    package func statistics() -> JSON {
        func read(_ controller: String, _ file: String) -> String? {
            let directory =
                directories.count == 1
                ? directories.first
                : directories.first {
                    $0.dropFirst(CgroupLayout.mountPoint.utf8.count + 1).prefix { $0 != "/" }.split(separator: ",")
                        .contains { $0 == controller }
                }
            guard let directory, let bytes = try? File.read("\(directory)/\(file)", limit: 1 << 20) else { return nil }
            return String(decoding: bytes.filter { $0 != 13 }, as: UTF8.self)
        }
        func number(_ text: String?) -> JSON? {
            guard let text, let value = Int64(text.filter { $0 != "\n" }) else { return nil }
            return .int(value)
        }
        func table(_ text: String?) -> JSONObject {
            var object = JSONObject()
            for line in (text ?? "").split(separator: "\n") {
                let parts = line.split(separator: " ")
                if parts.count == 2, let value = Int64(parts[1]) { object[String(parts[0])] = .int(value) }
            }
            return object
        }
        let isUnified = directories.count == 1
        var pids = JSONObject()
        pids["current"] = number(read("pids", "pids.current"))
        pids["limit"] = number(read("pids", "pids.max"))
        var memory = JSONObject()
        var usage = JSONObject()
        usage["usage"] = number(read("memory", isUnified ? "memory.current" : "memory.usage_in_bytes"))
        usage["limit"] = number(read("memory", isUnified ? "memory.max" : "memory.limit_in_bytes"))
        memory["usage"] = .object(usage)
        memory["raw"] = .object(table(read("memory", "memory.stat")))
        var cpu = JSONObject()
        if isUnified {
            let counters = table(read("cpu", "cpu.stat"))
            // Microseconds in v2, nanoseconds in the event.
            cpu["total"] = .int((counters["usage_usec"]?.intValue ?? 0) &* 1000)
            cpu["user"] = .int((counters["user_usec"]?.intValue ?? 0) &* 1000)
            cpu["kernel"] = .int((counters["system_usec"]?.intValue ?? 0) &* 1000)
        } else {
            cpu["total"] = number(read("cpuacct", "cpuacct.usage"))
        }
        return ["cpu": ["usage": .object(cpu)], "memory": .object(memory), "pids": .object(pids)]
    }
}
