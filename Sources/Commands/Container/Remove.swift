// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func removeCommand() -> Command<Session> {
    Command("rm", summary: "Remove one or more containers") {
        CommandDeclaration(
            description: """
                Removes one or more containers from the host. The container name or ID can be used.

                Command does not remove images. Running or unusable containers will not be removed without the -f option.
                """,
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: [
                "samara rm ctrID", "samara rm mywebserver myflaskserver 860a4b23", "samara rm --force --all",
                "samara rm -f ctrID",
            ],
            flags: [
                ContainerTargets.all("Remove all containers"), ContainerTargets.cidFile,
                // -f is --force here, so --filter has no letter.
                ContainerTargets.filter,
                .bool("force", short: "f", help: "Force removal of a running or unusable container"),
                ContainerTargets.ignore, ContainerTargets.latest, StopTimeout.flag,
                .bool("volumes", short: "v", help: "Remove anonymous volumes associated with the container"),
            ],
            run: remove)
    }
}

private func remove(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let force = arguments.bool("force")
    if arguments.isSet("time"), !force { throw Failure("--force option must be specified to use the --time option") }
    let ignoresMissing = force || arguments.bool("ignore")
    let engine = try session.engine(arguments)
    let targets = try ContainerTargets.select(arguments, engine, hasFiles: true, hasFilter: true)
    var failures = Failures()
    for target in targets {
        do throws(EngineError) {
            let container = try target.container(engine)
            try engine.remove(
                container, force: force, removesVolumes: arguments.bool("volumes") || container.record.isAutoRemoved,
                timeout: StopTimeout.seconds(arguments))
        } catch {
            if error.kind == .noSuchContainer {
                if let pod = try InfraContainers.pod(of: target.text, engine) {
                    failures.add(InfraContainers.removalRefused(pod))
                } else if !ignoresMissing {
                    failures.add(
                        Failure("no container with ID or name \"\(target.text)\" found: no such container", exitCode: 1)
                    )
                }
            } else {
                failures.add(error, exitCode: error.kind.removalExitCode)
            }
            continue
        }
        try session.print(target.text + "\n")
    }
    if arguments.bool("all") { engine.releaseIfIdle() }
    return failures.report(session)
}
