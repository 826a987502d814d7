// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem
import Presentation

func waitCommand() -> Command<Session> {
    Command("wait", summary: "Block on one or more containers") {
        CommandDeclaration(
            description: "Block until one or more containers stop and then print their exit codes.",
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: ["samara wait ctrID", "samara wait --condition running ctrID", "samara wait ctrID1 ctrID2"],
            flags: [
                .strings("condition", help: "Condition to wait on"),
                .bool("ignore", help: "Ignore if a container does not exist"),
                .string(
                    "interval", short: "i", default: "250ms",
                    help: "Time Interval to wait before polling for completion"),
                ContainerTargets.latest,
            ],
            run: wait)
    }
}

private func wait(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let states = try arguments.strings("condition").map(waitCondition)
    let interval = arguments.isSet("interval") ? try waitInterval(arguments.string("interval")) : nil
    let engine = try session.engine(arguments)
    let targets = try ContainerTargets.select(arguments, engine, hasAll: false)
    var failures = Failures()
    for target in targets {
        do {
            let container = try target.container(engine)
            let code = try wait(engine, container, states.isEmpty ? [.exited] : states, interval)
            // A container that has not ended has no code; Podman prints -1.
            try session.print((states.isEmpty || states.contains(.exited) ? "\(code)" : "-1") + "\n")
        } catch let error as EngineError where error.kind == .noSuchContainer && arguments.bool("ignore") {
            try session.print("-1\n")
        } catch {
            failures.add(error)
        }
    }
    return failures.report(session)
}

/// With --interval the state is looked at that often; without, the engine is told of the end.
private func wait(
    _ engine: Engine, _ container: Container, _ states: [ContainerStatus], _ milliseconds: Int64?
) throws(EngineError) -> Int32 {
    guard let milliseconds else { return try engine.wait(container, until: states) }
    var current = container
    while !states.contains(current.state.status) {
        Process.sleep(milliseconds: milliseconds)
        current = try engine.container(container.record.id)
    }
    return current.state.exitCode
}

func waitCondition(_ text: String) throws(Failure) -> ContainerStatus {
    switch text {
    case "stopped": return .exited
    case "configured", "initialized": return .created
    default:
        guard let status = ContainerStatus(rawValue: text) else {
            throw Failure("unknown container state: \(text): invalid argument")
        }
        return status
    }
}

/// `250ms`, `2s`, or a number of milliseconds; at least one.
func waitInterval(_ text: String) throws -> Int64 {
    let nanoseconds =
        try Int64(text).map { $0.multipliedReportingOverflow(by: 1_000_000).partialValue }
        ?? GoDuration.nanoseconds(text)
    guard nanoseconds > 0 else { throw Failure("invalid interval \"\(text)\": must be positive: invalid argument") }
    return max(1, nanoseconds / 1_000_000)
}
