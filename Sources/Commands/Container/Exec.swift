// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem

func execCommand() -> Command<Session> {
    Command("exec", summary: "Run a process in a running container") {
        CommandDeclaration(
            description: "Execute the specified command inside a running container.",
            usage: "[options] CONTAINER COMMAND [ARG...]",
            examples: [
                "samara exec -it ctrID ls", "samara exec -it -w /tmp myCtr pwd", "samara exec --user root ctrID ls",
            ],
            flags: [
                .bool("detach", short: "d", help: "Run the exec session in detached mode (backgrounded)"),
                .string(
                    "detach-keys", placeholder: "[a-Z]", default: "ctrl-p,ctrl-q", help: ContainerFlags.detachKeysHelp),
                .stringArray("env", short: "e", help: "Set environment variables"),
                .stringArray("env-file", help: "Read in a file of environment variables"),
                .bool("interactive", short: "i", help: "Make STDIN available to the contained process"),
                ContainerTargets.latest,
                .uint("preserve-fds", help: "Pass N additional file descriptors to the container"),
                .bool(
                    "privileged",
                    help: "Give the process extended Linux capabilities inside the container.  The default is false"),
                .bool("tty", short: "t", help: "Allocate a pseudo-TTY. The default is false"),
                .string(
                    "user", short: "u",
                    help: "Sets the username or UID used and optionally the groupname or GID for the specified command"),
                .string("workdir", short: "w", help: "Working directory inside the container"),
            ],
            isInterspersed: false, run: exec)
    }
}

private func exec(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    var request = try execRequest(arguments, hostEnvironment: Identity.environment)
    let engine = try session.engine(arguments)
    let (container, command) = try ContainerTargets.single(arguments, engine)
    if command.isEmpty { throw Failure("must provide a non-empty command to start an exec session: invalid argument") }
    request.command = command
    return try engine.exec(container, request)
}

/// Everything but the command, whose place depends on --latest.
func execRequest(_ arguments: ParsedArguments, hostEnvironment: [String]) throws -> ExecRequest {
    var request = ExecRequest()
    request.isDetached = arguments.bool("detach")
    request.detachKeys = try DetachKeysFlag.checked(arguments)
    request.isInteractive = arguments.bool("interactive")
    request.isPrivileged = arguments.bool("privileged")
    request.hasTerminal = arguments.bool("tty")
    request.user = arguments.stringIfSet("user")
    request.workingDirectory = arguments.stringIfSet("workdir")
    guard arguments.uint("preserve-fds") <= 1024 else {
        throw Failure("--preserve-fds \(arguments.uint("preserve-fds")) is more than a process can have open")
    }
    request.preservedDescriptors = Int(arguments.uint("preserve-fds"))
    var variables = EnvironmentVariables(host: hostEnvironment)
    for path in arguments.strings("env-file") { try variables.add(fileAt: path) }
    for text in arguments.strings("env") { try variables.add(text) }
    request.environment = variables.list
    return request
}
