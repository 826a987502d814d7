// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func podLogsCommand() -> Command<Session> {
    Command("logs", summary: "Fetch logs for pod with one or more containers") {
        CommandDeclaration(
            description: "Retrieves logs for a pod with one or more containers.",
            usage: "[options] POD",
            examples: [
                "samara pod logs podID", "samara pod logs -c ctrname podName", "samara pod logs --tail 2 mywebserver",
            ],
            flags: LogText.flags + [
                .string("container", short: "c", help: "Filter logs by container name or id which belongs to pod"),
                PodTargets.latest,
            ],
            positional: .atMost(1),
            run: { session, arguments in
                let query = try LogText.query(arguments, now: .now)
                let engine = try session.engine(arguments)
                let targets = try PodTargets.select(arguments, engine, hasAll: false)
                guard let target = targets.first else { throw Failure("you must provide at least one name or id") }
                let pod = try target.pod(engine)
                var members = pod.members
                if let name = arguments.stringIfSet("container") {
                    members = members.filter {
                        $0.record.name == name || (!name.isEmpty && $0.record.id.hasPrefix(name))
                    }
                    if members.isEmpty {
                        throw Failure("container \(name) is not in pod \(target.text): no such container")
                    }
                }
                try LogText.print(members.filter { $0.record.logDriver != "none" }, query, engine)
                return 0
            })
    }
}

func podGroup() -> Command<Session> {
    Command("pod", summary: "Manage pods") {
        .group(
            description: "Pods are a group of one or more containers sharing the same network, pid and ipc namespaces."
        ) {
            [
                podCreateCommand(), podExistsCommand(), podInspectCommand(), podKillCommand(), podLogsCommand(),
                podPruneCommand(), podPsCommand(), podRestartCommand(), podRemoveCommand(), podStartCommand(),
                podStopCommand(), podTopCommand(), podUpdateCommand(),
            ]
        }
    }
}
