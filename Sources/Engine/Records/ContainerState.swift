// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem

/// What a container is doing, as Podman's State.Status spells it.
public enum ContainerStatus: String, Sendable {
    case created, running, paused, exited, stopping
}

/// What happens to a container: replaced as a whole by whoever changes it.
///
/// "running" in the file is a claim that is checked: the process must be the recorded one and the boot the same.
public struct ContainerState: Sendable {
    public var status = ContainerStatus.created
    public var process: ProcessIdentity?
    public var monitor: ProcessIdentity?
    /// The kernel's boot id when the processes were recorded.
    public var boot = ""
    public var exitCode: Int32 = 0
    public var started: Timestamp?
    public var finished: Timestamp?
    public var restarts: Int64 = 0
    /// Why it did not start or how it was lost; a sentence.
    public var error = ""
    /// The inode of its mount namespace, where its pid namespace is shared: how its processes are told apart.
    public var mountNamespace: UInt64?

    public init() {}

    init(_ json: JSON) {
        status = ContainerStatus(rawValue: json.text("status")) ?? .created
        process = json.process("process")
        monitor = json.process("monitor")
        boot = json.text("boot")
        exitCode = Int32(clamping: json.number("exitCode"))
        started = json.moment("started")
        finished = json.moment("finished")
        restarts = json.number("restarts")
        error = json.text("error")
        mountNamespace = json["mountNamespace"]?.intValue.map { UInt64(bitPattern: $0) }
    }

    var json: JSON {
        [
            "schema": .int(recordSchema), "status": .string(status.rawValue), "process": .process(process),
            "monitor": .process(monitor), "boot": .string(boot), "exitCode": .int(Int64(exitCode)),
            "started": .moment(started), "finished": .moment(finished), "restarts": .int(restarts),
            "error": .string(error), "mountNamespace": mountNamespace.map { .int(Int64(bitPattern: $0)) } ?? .null,
        ]
    }
}

/// A container as commands see it: its record with its state, checked against the kernel.
public struct Container: Sendable {
    public var record: ContainerRecord
    public var state: ContainerState

    public init(record: ContainerRecord, state: ContainerState) {
        self.record = record
        self.state = state
    }

    public var isRunning: Bool { state.status == .running || state.status == .paused || state.status == .stopping }
}
