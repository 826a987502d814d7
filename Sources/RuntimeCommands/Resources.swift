// SPDX-License-Identifier: Apache-2.0
import Arguments
import CLinux
import ContainerRuntime
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

func pauseCommand() -> Command<RuntimeContext> {
    Command("pause", summary: "Freeze the processes of a container") {
        .init(usage: "ID", positional: .exactly(1)) { context, arguments in
            try context.container(arguments.positional[0]).setPaused(true)
            return 0
        }
    }
}

func resumeCommand() -> Command<RuntimeContext> {
    Command("resume", summary: "Continue a paused container") {
        .init(usage: "ID", positional: .exactly(1)) { context, arguments in
            try context.container(arguments.positional[0]).setPaused(false)
            return 0
        }
    }
}

func updateCommand() -> Command<RuntimeContext> {
    Command("update", summary: "Change the limits of a container") {
        .init(
            usage: "[options] ID",
            flags: [
                .string("resources", short: "r", help: "File with a resources section, - for standard input"),
                .int("memory", help: "Memory limit in bytes, -1 for none"),
                .int("memory-reservation", help: "Soft memory limit in bytes"),
                .int("memory-swap", help: "Memory and swap together in bytes, -1 for no limit"),
                .int("cpu-period", help: "CPU period in microseconds"),
                .int("cpu-quota", help: "CPU time per period in microseconds, -1 for no limit"),
                .int("cpu-burst", help: "CPU time that may be saved up, in microseconds"),
                .int("cpu-share", help: "Relative CPU weight (1024 is usual)").alias("cpu-shares"),
                .int("cpu-idle", help: "1 for SCHED_IDLE"),
                .int("cpu-rt-period", help: "Realtime period in microseconds"),
                .int("cpu-rt-runtime", help: "Realtime time per period in microseconds"),
                .string("cpuset-cpus", help: "CPUs to run on"), .string("cpuset-mems", help: "Memory nodes to use"),
                .int("pids-limit", help: "Number of processes, -1 for no limit"),
                .int("blkio-weight", help: "Relative I/O weight, 10 to 1000"),
            ], positional: .exactly(1)
        ) { context, arguments in
            var resources = RuntimeResources()
            if let path = arguments.stringIfSet("resources") {
                let bytes = try describing("open", path) { () throws(Errno) in
                    try path == "-"
                        ? File.readAll(OwnedFD(try checked(dup(0))), limit: 4 << 20) : File.read(path, limit: 4 << 20)
                }
                resources = try RuntimeResources(bytes: bytes)
            }
            func number(_ name: String) -> Int64? { arguments.intIfSet(name).map(Int64.init) }
            func unsigned(_ name: String) throws -> UInt64? {
                try number(name).map {
                    guard $0 >= 0 else { throw RuntimeError("--\(name) must not be negative") }
                    return UInt64($0)
                }
            }
            if let value = number("memory") { resources.memoryLimit = value }
            if let value = number("memory-reservation") { resources.memoryReservation = value }
            if let value = number("memory-swap") { resources.memorySwap = value }
            if let value = try unsigned("cpu-period") { resources.cpuPeriod = value }
            if let value = number("cpu-quota") { resources.cpuQuota = value }
            if let value = try unsigned("cpu-burst") { resources.cpuBurst = value }
            if let value = try unsigned("cpu-share") { resources.cpuShares = value }
            if let value = number("cpu-idle") { resources.cpuIdle = value }
            if let value = try unsigned("cpu-rt-period") { resources.realtimePeriod = value }
            if let value = number("cpu-rt-runtime") { resources.realtimeRuntime = value }
            if let value = arguments.stringIfSet("cpuset-cpus") { resources.cpus = value }
            if let value = arguments.stringIfSet("cpuset-mems") { resources.memoryNodes = value }
            if let value = number("pids-limit") { resources.pidsLimit = value }
            if let value = try unsigned("blkio-weight") { resources.blockWeight = value }
            try context.container(arguments.positional[0]).update(resources)
            return 0
        }
    }
}

func eventsCommand() -> Command<RuntimeContext> {
    Command("events", summary: "Print statistics of a container") {
        .init(
            usage: "[options] ID",
            flags: [
                .bool("stats", help: "Print once and end"),
                .custom(
                    "interval", typeName: "duration", default: "5s", help: "Time between two lines, in whole seconds",
                    problem: { seconds($0) == nil ? "must be a positive number of seconds such as 5s" : nil }),
            ], positional: .exactly(1)
        ) { context, arguments in
            let container = try context.container(arguments.positional[0])
            guard container.status != .stopped else {
                throw RuntimeError("container `\(container.record.id)` is not running: container not running")
            }
            while true {
                let event: JSON = [
                    "type": "stats", "id": .string(container.record.id), "data": container.record.cgroup.statistics(),
                ]
                writeOut(event.serializedText() + "\n")
                if arguments.bool("stats") { return 0 }
                // Ends with the container, not up to an interval later.
                guard let pidfd = try? container.record.open() else { return 0 }
                if Process.waitForEnd(pidfd, milliseconds: (seconds(arguments.string("interval")) ?? 5) * 1000) {
                    return 0
                }
            }
        }
    }
}

private func seconds(_ text: String) -> Int32? {
    let digits = text.hasSuffix("s") ? text.dropLast() : text[...]
    guard let value = Int32(digits), value > 0, value < 1 << 20 else { return nil }
    return value
}
