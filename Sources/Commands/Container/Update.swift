// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func updateCommand() -> Command<Session> {
    Command("update", summary: "Change the published ports of a container") {
        CommandDeclaration(
            description: """
                Publishes or unpublishes ports of an existing container; of a running one at once, without a restart.

                The whole change is made, or nothing. Established connections of a port that is unpublished go on.
                """,
            usage: "[options] CONTAINER",
            examples: ["samara update -p 8080:80 web", "samara update --unpublish 8080:80 --publish 9090:80 web"],
            flags: PortChangeFlags.declarations + [ContainerTargets.latest], positional: .atMost(1),
            run: { session, arguments in
                let change = try PortChangeFlags.change(arguments)
                let engine = try session.engine(arguments)
                let (container, _) = try ContainerTargets.single(arguments, engine)
                try engine.updatePorts(container, change)
                try session.print(container.record.id + "\n")
                return 0
            })
    }
}

func podUpdateCommand() -> Command<Session> {
    Command("update", summary: "Change the published ports of a pod") {
        CommandDeclaration(
            description: """
                Publishes or unpublishes ports of an existing pod; of a running one at once, without a restart.

                The whole change is made, or nothing. Established connections of a port that is unpublished go on.
                """,
            usage: "[options] POD",
            examples: [
                "samara pod update -p 8080:80 mypod", "samara pod update --unpublish 8080:80 --publish 9090:80 mypod",
            ],
            flags: PortChangeFlags.declarations + [PodTargets.latest], positional: .atMost(1),
            run: { session, arguments in
                let change = try PortChangeFlags.change(arguments)
                let engine = try session.engine(arguments)
                let targets = try PodTargets.select(arguments, engine, hasAll: false)
                return try PodTargets.each(session, engine, targets, echo: .id) { try engine.updatePorts($0, change) }
            })
    }
}

/// --publish and --unpublish of the update commands.
enum PortChangeFlags {
    static var declarations: [Flag] {
        [
            .strings("publish", short: "p", help: "Publish a port, or a range of ports, to the host"),
            .strings(
                "unpublish",
                help: "Unpublish a port, or a range of ports; without a host port every mapping of the container port"),
        ]
    }

    static func change(_ arguments: ParsedArguments) throws(Failure) -> PortChange {
        let change = PortChange(
            published: arguments.strings("publish"), unpublished: arguments.strings("unpublish"))
        if change.published.isEmpty, change.unpublished.isEmpty {
            throw Failure("nothing to change: give --publish or --unpublish")
        }
        return change
    }
}
