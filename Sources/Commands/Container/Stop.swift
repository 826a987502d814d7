// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func stopCommand() -> Command<Session> {
    Command("stop", summary: "Stop one or more containers") {
        CommandDeclaration(
            description: """
                Stops one or more running containers.  The container name or ID can be used.

                A timeout to forcibly stop the container can also be set but defaults to 10 seconds otherwise.
                """,
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: ["samara stop ctrID", "samara stop --latest", "samara stop --time 2 mywebserver 6e534f14da9d"],
            flags: [
                ContainerTargets.all("Stop all running containers"), ContainerTargets.cidFile,
                .stringArray(
                    "filter", short: "f", placeholder: "filter", help: "Filter output based on conditions given"),
                ContainerTargets.ignore, ContainerTargets.latest, StopTimeout.flag,
            ],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let targets = try ContainerTargets.select(
                    arguments, engine, hasFiles: true, hasFilter: true, isEligible: \.isRunning)
                let timeout = StopTimeout.seconds(arguments)
                return try ContainerTargets.each(
                    session, engine, targets, ignoringMissing: arguments.bool("ignore")
                ) { try engine.stop($0, timeout: timeout) }
            })
    }
}

func restartCommand() -> Command<Session> {
    Command("restart", summary: "Restart one or more containers") {
        CommandDeclaration(
            description: """
                Restarts one or more running containers. The container ID or name can be used.

                A timeout before forcibly stopping can be set, but defaults to 10 seconds.
                """,
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: ["samara restart ctrID", "samara restart --latest", "samara restart ctrID1 ctrID2"],
            flags: [
                ContainerTargets.all("Restart all non-running containers"), ContainerTargets.cidFile,
                .stringArray(
                    "filter", short: "f", placeholder: "filter", help: "Filter output based on conditions given"),
                ContainerTargets.latest, .bool("running", help: "Restart only running containers"), StopTimeout.flag,
            ],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let targets: [ContainerTarget]
                if arguments.bool("running") {
                    if arguments.bool("all") || arguments.bool("latest") || !arguments.positional.isEmpty {
                        throw Failure("--running takes no names and not --all or --latest")
                    }
                    targets = try engine.containers().filter(\.isRunning)
                        .map { ContainerTarget(text: $0.record.id, known: $0) }
                } else {
                    targets = try ContainerTargets.select(arguments, engine, hasFiles: true, hasFilter: true)
                }
                let timeout = StopTimeout.seconds(arguments)
                return try ContainerTargets.each(session, engine, targets) { try engine.restart($0, timeout: timeout) }
            })
    }
}

func killCommand() -> Command<Session> {
    Command("kill", summary: "Kill one or more running containers with a specific signal") {
        CommandDeclaration(
            description:
                "The main process inside each container specified will be sent SIGKILL, or any signal specified with option --signal.",
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: ["samara kill mywebserver", "samara kill 860a4b23", "samara kill --signal TERM ctrID"],
            flags: [
                ContainerTargets.all("Signal all running containers"), ContainerTargets.cidFile,
                ContainerTargets.latest,
                .string("signal", short: "s", default: "KILL", help: "Signal to send to the container"),
            ],
            run: { session, arguments in
                let signal = try SignalNames.parse(arguments.string("signal"))
                let engine = try session.engine(arguments)
                let targets = try ContainerTargets.select(
                    arguments, engine, hasFiles: true, isEligible: \.isRunning)
                return try ContainerTargets.each(session, engine, targets) { try engine.kill($0, signal: signal) }
            })
    }
}
