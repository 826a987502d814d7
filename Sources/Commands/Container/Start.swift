// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func startCommand() -> Command<Session> {
    Command("start", summary: "Start one or more containers") {
        CommandDeclaration(
            description: "Starts one or more containers.  The container name or ID can be used.",
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: [
                "samara start --latest", "samara start 860a4b231279 5421ab43b45",
                "samara start --interactive --attach imageID",
            ],
            flags: [
                .bool("all", help: "Start all containers regardless of their state or configuration"),
                .bool("attach", short: "a", help: "Attach container's STDOUT and STDERR"),
                .string(
                    "detach-keys", placeholder: "[a-Z]", default: "ctrl-p,ctrl-q", help: ContainerFlags.detachKeysHelp),
                .stringArray(
                    "filter", short: "f", placeholder: "filter", help: "Filter output based on conditions given"),
                .bool("interactive", short: "i", help: "Make STDIN available to the contained process"),
                ContainerTargets.latest,
                .bool(
                    "sig-proxy",
                    help: "Proxy received signals to the process (default true if attaching, false otherwise)"),
            ],
            run: start)
    }
}

private func start(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let attaches = arguments.bool("attach") || arguments.bool("interactive")
    if arguments.bool("sig-proxy"), !attaches {
        throw Failure("you cannot use sig-proxy without --attach: invalid argument")
    }
    if attaches, arguments.positional.count > 1 {
        throw Failure("you cannot start and attach multiple containers at once: invalid argument")
    }
    let engine = try session.engine(arguments)
    let targets = try ContainerTargets.select(
        arguments, engine, hasFilter: true, isEligible: { !$0.isRunning })
    if attaches, let target = targets.first {
        if targets.count > 1 {
            throw Failure("you cannot start and attach multiple containers at once: invalid argument")
        }
        var request = AttachRequest()
        request.forwardsInput = arguments.bool("interactive")
        request.forwardsSignals = arguments.isSet("sig-proxy") ? arguments.bool("sig-proxy") : true
        request.detachKeys = try DetachKeysFlag.checked(arguments)
        return try engine.start(try target.container(engine), attach: request) ?? 0
    }
    return try ContainerTargets.each(session, engine, targets) { container in
        // Starting what runs is success, as in Podman.
        if container.isRunning { return }
        _ = try engine.start(container, attach: nil)
    }
}
