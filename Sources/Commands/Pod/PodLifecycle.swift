// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func podStartCommand() -> Command<Session> {
    Command("start", summary: "Start one or more pods") {
        CommandDeclaration(
            description: """
                The pod name or ID can be used.

                All containers defined in the pod will be started.
                """,
            usage: "[options] POD [POD...]", examples: ["samara pod start podID", "samara pod start --all"],
            flags: [PodTargets.all("Restart all running pods"), PodTargets.latest, PodTargets.idFile],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let targets = try PodTargets.select(arguments, engine, hasFiles: true)
                return try PodTargets.each(session, engine, targets, echo: .asGiven) { try engine.startPod($0) }
            })
    }
}

func podStopCommand() -> Command<Session> {
    Command("stop", summary: "Stop one or more pods") {
        CommandDeclaration(
            description: """
                The pod name or ID can be used.

                This command will stop all running containers in each of the specified pods.
                """,
            usage: "[options] POD [POD...]",
            examples: [
                "samara pod stop mywebserverpod", "samara pod stop --latest", "samara pod stop --time 0 490eb 3557fb",
            ],
            flags: [
                PodTargets.all("Stop all running pods"), PodTargets.ignore, PodTargets.latest, PodTargets.idFile,
                StopTimeout.flag,
            ],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let targets = try PodTargets.select(arguments, engine, hasFiles: true)
                let timeout = StopTimeout.seconds(arguments)
                return try PodTargets.each(
                    session, engine, targets, echo: .asGiven, ignoringMissing: arguments.bool("ignore")
                ) { try engine.stopPod($0, timeout: timeout) }
            })
    }
}

func podRestartCommand() -> Command<Session> {
    Command("restart", summary: "Restart one or more pods") {
        CommandDeclaration(
            description: """
                The pod ID or name can be used.

                All of the containers within each of the specified pods will be restarted. If a container in a pod is not currently running it will be started.
                """,
            usage: "[options] POD [POD...]",
            examples: ["samara pod restart podID1 podID2", "samara pod restart --latest"],
            flags: [PodTargets.all("Restart all running pods"), PodTargets.latest],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let targets = try PodTargets.select(arguments, engine)
                return try PodTargets.each(session, engine, targets, echo: .id) { try engine.restartPod($0) }
            })
    }
}

func podKillCommand() -> Command<Session> {
    Command("kill", summary: "Send the specified signal or SIGKILL to containers in pod") {
        CommandDeclaration(
            description: """
                Signals are sent to the main process of each container inside the specified pod.

                The default signal is SIGKILL, or any signal specified with option --signal.
                """,
            usage: "[options] POD [POD...]",
            examples: ["samara pod kill podID", "samara pod kill --signal TERM mywebserver"],
            flags: [
                PodTargets.all("Kill all containers in all pods"), PodTargets.latest,
                .string("signal", short: "s", default: "KILL", help: "Signal to send to the containers in the pod"),
            ],
            run: { session, arguments in
                let signal = try SignalNames.parse(arguments.string("signal"))
                let engine = try session.engine(arguments)
                let targets = try PodTargets.select(arguments, engine)
                return try PodTargets.each(session, engine, targets, echo: .id) {
                    try engine.killPod($0, signal: signal)
                }
            })
    }
}

func podRemoveCommand() -> Command<Session> {
    Command("rm", summary: "Remove one or more pods") {
        CommandDeclaration(
            description: """
                samara rm will remove one or more stopped pods and their containers from the host.

                The pod name or ID can be used.  A pod with running containers will not be removed without --force.
                """,
            usage: "[options] POD [POD...]",
            examples: ["samara pod rm mywebserverpod", "samara pod rm -f 860a4b23", "samara pod rm -f -a"],
            flags: [
                PodTargets.all("Remove all pods"),
                .bool(
                    "force", short: "f",
                    help:
                        "Force removal of a running pod by first stopping all containers, then removing all containers in the pod.  The default is false"
                ),
                PodTargets.ignore, PodTargets.latest, PodTargets.idFile, StopTimeout.flag,
            ],
            run: removePods)
    }
}

private func removePods(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let force = arguments.bool("force")
    if arguments.isSet("time"), !force { throw Failure("--force option must be specified to use the --time option") }
    let ignoresMissing = force || arguments.bool("ignore")
    let engine = try session.engine(arguments)
    var failures = Failures()
    for target in try PodTargets.select(arguments, engine, hasFiles: true) {
        let pod: Pod
        do throws(EngineError) {
            pod = try target.pod(engine)
            try engine.removePod(pod, force: force, timeout: StopTimeout.seconds(arguments))
        } catch {
            let isMissing = error.kind == .noSuchPod
            if !isMissing || !ignoresMissing { failures.add(error, exitCode: isMissing ? 1 : error.exitCode) }
            continue
        }
        try session.print(pod.record.id + "\n")
    }
    if arguments.bool("all") { engine.releaseIfIdle() }
    return failures.report(session)
}

func podExistsCommand() -> Command<Session> {
    Command("exists", summary: "Check if a pod exists in local storage") {
        CommandDeclaration(
            description:
                "If the named pod exists in local storage, samara pod exists exits with 0, otherwise the exit code will be 1.",
            usage: "POD",
            examples: ["samara pod exists podID", "samara pod exists mypod || samara pod create --name mypod"],
            positional: .exactly(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                do throws(EngineError) {
                    _ = try engine.pod(arguments.positional[0])
                    return 0
                } catch {
                    guard error.kind == .noSuchPod else { throw error }
                    return 1
                }
            })
    }
}

func podPruneCommand() -> Command<Session> {
    Command("prune", summary: "Remove all stopped pods and their containers") {
        CommandDeclaration(
            description: "Removes all stopped pods and their containers",
            usage: "[options]", examples: ["samara pod prune"],
            flags: [.bool("force", short: "f", help: "Do not prompt for confirmation.  The default is false")],
            positional: .none,
            run: { session, arguments in
                if !arguments.bool("force") {
                    try session.print("WARNING! This will remove all stopped/exited pods..\n")
                    guard try session.confirm() else { return 0 }
                }
                let engine = try session.engine(arguments)
                let targets = try engine.pods().filter { $0.status == .exited || $0.status == .stopped }
                    .map { PodTarget(text: $0.record.id, known: $0) }
                defer { engine.releaseIfIdle() }
                return try PodTargets.each(session, engine, targets, echo: .id, ignoringMissing: true) {
                    try engine.removePod($0, force: false, timeout: nil)
                }
            })
    }
}
