// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import JSON
import Presentation

func volumeGroup() -> Command<Session> {
    Command("volume", summary: "Manage volumes") {
        .group(description: "Volumes are created in and can be shared between containers") {
            [
                volumeCreateCommand(), volumeExistsCommand(), volumeInspectCommand(), volumeListCommand(),
                volumePruneCommand(), volumeRemoveCommand(),
            ]
        }
    }
}

private func volumeCreateCommand() -> Command<Session> {
    Command("create", summary: "Create a new volume") {
        CommandDeclaration(
            description:
                "If using the default driver, \"local\", the volume will be created on the host in the volumes directory under container storage.",
            usage: "[options] [NAME]",
            examples: [
                "samara volume create myvol", "samara volume create", "samara volume create --label foo=bar myvol",
            ],
            flags: [
                .string("driver", short: "d", default: "local", help: "Specify volume driver name"),
                .bool("ignore", help: "Do not fail if volume already exists"),
                .stringArray("label", short: "l", help: "Set metadata for a volume"),
                .stringArray("opt", short: "o", help: "Set driver specific options"),
            ],
            positional: .atMost(1),
            run: { session, arguments in
                let driver = arguments.string("driver")
                guard driver == "local" || driver.isEmpty else {
                    throw Failure("volume driver \"\(driver)\" is not known: the only one is local: invalid argument")
                }
                if let option = arguments.strings("opt").first {
                    throw Failure(
                        "invalid volume option \"\(option)\": volumes of the local driver take none: invalid argument")
                }
                var labels = KeyValueList()
                for text in arguments.strings("label") { try labels.add(text, flag: "label") }
                let volume = try session.engine(arguments).createVolume(
                    name: arguments.positional.first, labels: labels.pairs, ignoresExisting: arguments.bool("ignore"))
                try session.print(volume.name + "\n")
                return 0
            })
    }
}

private func volumeExistsCommand() -> Command<Session> {
    Command("exists", summary: "Check if volume exists") {
        CommandDeclaration(
            description:
                "If the given volume exists, samara volume exists exits with 0, otherwise the exit code will be 1.",
            usage: "VOLUME", examples: ["samara volume exists myvol"], positional: .exactly(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                do throws(EngineError) {
                    // Only whole names count here, as in Podman.
                    return try engine.volume(arguments.positional[0]).name == arguments.positional[0] ? 0 : 1
                } catch {
                    guard error.kind == .noSuchVolume else { throw error }
                    return 1
                }
            })
    }
}

private func volumeInspectCommand() -> Command<Session> {
    Command("inspect", summary: "Display detailed information on one or more volumes") {
        CommandDeclaration(
            description: "Display detailed information on one or more volumes.",
            usage: "[options] VOLUME [VOLUME...]",
            examples: [
                "samara volume inspect myvol", "samara volume inspect --all",
                "samara volume inspect --format \"{{.Driver}} {{.Scope}}\" myvol",
            ],
            flags: [
                .bool("all", short: "a", help: "Inspect all volumes"),
                .string("format", short: "f", default: "json", help: "Format volume output using Go template"),
            ],
            run: { session, arguments in
                let names = arguments.positional
                if arguments.bool("all") == !names.isEmpty {
                    throw Failure("provide one or more volume names or use --all")
                }
                let engine = try session.engine(arguments)
                var volumes: [VolumeRecord] = arguments.bool("all") ? try engine.volumes() : []
                var failures = Failures()
                for name in names {
                    do { volumes.append(try engine.volume(name)) } catch { failures.add(error) }
                }
                try FormattedOutput.inspection(
                    of: volumes, format: arguments.string("format"),
                    json: { VolumeInspection(volume: $0, paths: engine.paths, style: .json).json },
                    template: { VolumeInspection(volume: $0, paths: engine.paths, style: .template).template },
                    into: session)
                return failures.report(session)
            })
    }
}

private func volumeListCommand() -> Command<Session> {
    Command("ls", aliases: ["list"], summary: "List volumes") {
        CommandDeclaration(
            description:
                "List all available volumes. The output of the volumes can be filtered and the output format can be changed to JSON or a user specified Go template.",
            usage: "[options]",
            examples: [
                "samara volume ls", "samara volume ls --format json",
                "samara volume ls --format \"{{.Driver}} {{.Scope}}\"",
            ],
            flags: [
                .stringArray("filter", short: "f", help: "Filter volume output"),
                .string(
                    "format", default: "{{range .}}{{.Driver}}\\t{{.Name}}\\n{{end -}}",
                    help: "Format volume output using Go template"),
                .bool("noheading", short: "n", help: "Do not print headers"),
                .bool("quiet", short: "q", help: "Print volume output in quiet mode"),
            ],
            positional: .none, run: listVolumes)
    }
}

private func listVolumes(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let format = arguments.string("format")
    if arguments.bool("quiet"), arguments.isSet("format") {
        throw Failure("quiet and format flags cannot be used together")
    }
    let engine = try session.engine(arguments)
    let filters = try VolumeFilters(arguments.strings("filter"), engine, now: .now)
    let volumes = try engine.volumes().filter(filters.accepts)
    if ReportFormat.isJSON(format), arguments.isSet("format") {
        let objects = volumes.map { VolumeInspection(volume: $0, paths: engine.paths, style: .json).json }
        try session.print(FormattedOutput.json(objects, indent: 5))
    } else if arguments.isSet("format") {
        let rows = volumes.map { VolumeInspection(volume: $0, paths: engine.paths, style: .template).template }
        try FormattedOutput.rows(
            rows, format: format, name: arguments.commandName, fields: VolumeInspection.fields,
            titles: ["Name": "VOLUME NAME"], noHeading: arguments.bool("noheading"), into: session)
    } else if arguments.bool("quiet") {
        try session.print(volumes.map { $0.name + "\n" }.joined())
    } else if !volumes.isEmpty {
        // Unlike other listings this one has no header when there is nothing to list.
        let header = arguments.bool("noheading") ? nil : ["DRIVER", "VOLUME NAME"]
        try session.print(Table(header: header, rows: volumes.map { ["local", $0.name] }).text())
    }
    return 0
}

private func volumeRemoveCommand() -> Command<Session> {
    Command("rm", aliases: ["remove"], summary: "Remove one or more volumes") {
        CommandDeclaration(
            description: "Remove one or more existing volumes.",
            usage: "[options] VOLUME [VOLUME...]",
            examples: ["samara volume rm myvol1 myvol2", "samara volume rm --all", "samara volume rm --force myvol"],
            flags: [
                .bool("all", short: "a", help: "Remove all volumes"),
                .bool("force", short: "f", help: "Remove a volume by force, even if it is being used by a container"),
            ],
            run: { session, arguments in
                let force = arguments.bool("force")
                if arguments.bool("all") == !arguments.positional.isEmpty {
                    throw Failure("choose either one or more volumes or all")
                }
                let engine = try session.engine(arguments)
                defer { engine.releaseIfIdle() }
                let names = arguments.bool("all") ? try engine.volumes().map(\.name) : arguments.positional
                var failures = Failures()
                for name in names {
                    do throws(EngineError) { try engine.removeVolume(name, force: force) } catch {
                        if error.kind != .noSuchVolume || !force {
                            failures.add(error, exitCode: error.kind.removalExitCode)
                        }
                        continue
                    }
                    try session.print(name + "\n")
                }
                return failures.report(session)
            })
    }
}

private func volumePruneCommand() -> Command<Session> {
    Command("prune", summary: "Remove all unused volumes") {
        CommandDeclaration(
            description: """
                Volumes that are not currently owned by a container will be removed.

                The command prompts for confirmation which can be overridden with the --force flag.
                """,
            usage: "[options]", examples: ["samara volume prune", "samara volume prune --force"],
            flags: [
                .stringArray("filter", help: "Do not output volumes not matching the filter"),
                .bool("force", short: "f", help: "Do not prompt for confirmation"),
            ],
            positional: .none,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let filters = try VolumeFilters(arguments.strings("filter"), engine, now: .now)
                var unused = try engine.volumes().filter(filters.accepts)
                if !unused.isEmpty {
                    let used = try VolumeFilters.used(engine)
                    unused = unused.filter { !used.contains($0.name) }
                }
                if !arguments.bool("force") {
                    try session.print(
                        "WARNING! This will remove all volumes not used by at least one container. The following volumes will be removed:\n"
                    )
                    if unused.isEmpty {
                        try session.print("No volumes to prune\n")
                        return 0
                    }
                    try session.print(unused.map { $0.name + "\n" }.joined())
                    guard try session.confirm() else { return 0 }
                }
                defer { engine.releaseIfIdle() }
                var failures = Failures()
                for volume in unused {
                    do throws(EngineError) { try engine.removeVolume(volume.name, force: false) } catch {
                        // Taken into use or removed since the list was made.
                        if error.kind != .noSuchVolume, error.kind != .inUse { failures.add(error) }
                        continue
                    }
                    try session.print(volume.name + "\n")
                }
                return failures.report(session)
            })
    }
}
