// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func attachCommand() -> Command<Session> {
    Command("attach", summary: "Attach to a running container") {
        CommandDeclaration(
            description: "Attach to a running container to view its ongoing output or to control it interactively.",
            usage: "[options] CONTAINER",
            examples: ["samara attach ctrID", "samara attach 1234", "samara attach --no-stdin foobar"],
            flags: [
                .string(
                    "detach-keys", placeholder: "[a-Z]", default: "ctrl-p,ctrl-q", help: ContainerFlags.detachKeysHelp),
                ContainerTargets.latest,
                .bool("no-stdin", help: "Do not attach STDIN. The default is false"),
                .bool("sig-proxy", default: true, help: "Proxy received signals to the process"),
            ],
            positional: .check { arguments in
                let isLatest = arguments.bool("latest")
                if isLatest, !arguments.positional.isEmpty { return "--latest and containers cannot be used together" }
                return isLatest || arguments.positional.count == 1
                    ? nil : "attach requires the name or id of one running container or the latest flag"
            },
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let (container, _) = try ContainerTargets.single(arguments, engine)
                var request = AttachRequest()
                request.forwardsInput = !arguments.bool("no-stdin")
                request.forwardsSignals = arguments.bool("sig-proxy")
                request.detachKeys = try DetachKeysFlag.checked(arguments)
                return try engine.attach(container, request)
            })
    }
}
