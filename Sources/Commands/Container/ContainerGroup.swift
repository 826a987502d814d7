// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

/// `samara container X` is `samara X`, with the names Docker users expect.
func containerGroup() -> Command<Session> {
    Command("container", summary: "Manage containers") {
        .group(description: "Manage containers", flags: []) {
            [
                attachCommand(), commitCommand(), createCommand(), diffCommand(.container), execCommand(),
                containerExistsCommand(), exportCommand(), containerInspectCommand(),
                killCommand(),
                psCommand("list", aliases: ["ls"]), psCommand(), logsCommand(), portCommand(), containerPruneCommand(),
                restartCommand(), removeCommand(), runCommand(), startCommand(), stopCommand(), topCommand(),
                updateCommand(),
                waitCommand(),
            ]
        }
    }
}

func containerExistsCommand() -> Command<Session> {
    Command("exists", summary: "Check if a container exists in local storage") {
        CommandDeclaration(
            description:
                "If the named container exists in local storage, samara container exists exits with 0, otherwise the exit code will be 1.",
            usage: "[options] CONTAINER",
            examples: [
                "samara container exists containerID",
                "samara container exists mycontainer || samara run --name mycontainer [etc...]",
            ],
            positional: .exactly(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let name = arguments.positional[0]
                do throws(EngineError) {
                    _ = try engine.container(name)
                    return 0
                } catch {
                    guard error.kind == .noSuchContainer else { throw error }
                    return try InfraContainers.pod(of: name, engine) == nil ? 1 : 0
                }
            })
    }
}

func containerPruneCommand() -> Command<Session> {
    Command("prune", summary: "Remove all non running containers") {
        CommandDeclaration(
            description: "Removes all non running containers",
            usage: "[options]", examples: ["samara container prune"],
            flags: [
                ContainerTargets.filter,
                .bool("force", short: "f", help: "Do not prompt for confirmation.  The default is false"),
            ],
            positional: .none,
            run: { session, arguments in
                if !arguments.bool("force") {
                    try session.print("WARNING! This will remove all non running containers.\n")
                    guard try session.confirm() else { return 0 }
                }
                let engine = try session.engine(arguments)
                let filters = try ContainerFilters(arguments.strings("filter"), engine)
                let targets = try ContainerListing.load(engine)
                    .filter { !$0.isInfra && !$0.container.isRunning && filters.accepts($0) }
                    .map { ContainerTarget(text: $0.record.id, known: $0.container) }
                defer { engine.releaseIfIdle() }
                return try ContainerTargets.each(session, engine, targets, ignoringMissing: true) {
                    try engine.remove($0, force: false, removesVolumes: true, timeout: nil)
                }
            })
    }
}
