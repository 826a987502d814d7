// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem

func runCommand() -> Command<Session> {
    Command("run", summary: "Run a command in a new container") {
        CommandDeclaration(
            description: "Runs a command in a new container from the given image",
            usage: "[options] IMAGE [COMMAND [ARG...]]",
            examples: [
                "samara run imageID ls -alF /etc", "samara run --network=host imageID dnf -y install java",
                "samara run --volume /var/hostdir:/var/ctrdir -i -t fedora /bin/bash",
            ],
            flags: ContainerFlags.declarations(forRun: true), positional: .atLeast(1), isInterspersed: false,
            prepare: run)
    }
}

func createCommand() -> Command<Session> {
    Command("create", summary: "Create but do not start a container") {
        CommandDeclaration(
            description: """
                Creates a new container from the given image or storage and prepares it for running the specified command.

                The container ID is then printed to stdout. You can then start it at any time with the samara start <container_id> command. The container will be created with the initial state 'created'.
                """,
            usage: "[options] IMAGE [COMMAND [ARG...]]",
            examples: [
                "samara create alpine ls", "samara create --annotation HELLO=WORLD alpine ls",
                "samara create -t -i --name myctr alpine ls",
            ],
            flags: ContainerFlags.declarations(forRun: false), positional: .atLeast(1), isInterspersed: false,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                var request = try containerRequest(session, arguments, engine)
                request.foundImage = try ContainerImage.provide(request.image, arguments, engine)
                let container = try engine.create(request)
                try session.print(container.record.id + "\n")
                return 0
            })
    }
}

private func run(_ session: Session, _ arguments: ParsedArguments) throws -> () throws -> Int32 {
    let attach = try attachRequest(arguments)
    let engine = try session.engine(arguments)
    var request = try containerRequest(session, arguments, engine)
    if request.settings.hasTerminal, request.settings.isInteractive, !Terminal.isTerminal(0) {
        Session.warn("The input device is not a TTY. The --tty and --interactive flags might not work properly")
    }
    request.foundImage = try ContainerImage.provide(request.image, arguments, engine)
    Trace.point("command image")
    return { [request] in try run(request, attach, engine, session) }
}

private func run(
    _ request: ContainerRequest, _ attach: AttachRequest?, _ engine: Engine, _ session: Session
) throws -> Int32 {
    let fresh = try engine.createLocked(request)
    Trace.point("command record")
    let container = fresh.container
    let code: Int32?
    do { code = try engine.start(fresh, attach: attach) } catch {
        // As Podman: a container that never ran stays only without --rm.
        if request.settings.isAutoRemoved {
            try? engine.remove(container, force: true, removesVolumes: true, timeout: 0)
        }
        // podman-run(1): what was created and could not be started is 126, whatever the reason; 127 stays.
        throw error.exitCode == 125 ? Failure(error.message, exitCode: 126) : Failure(error)
    }
    if attach == nil { try session.print(container.record.id + "\n") }
    return code ?? 0
}

/// How the foreground follows the container; nil with -d.
func attachRequest(_ arguments: ParsedArguments) throws(Failure) -> AttachRequest? {
    let streams = arguments.strings("attach").map { $0.lowercased() }
    for stream in streams where !["stdin", "stdout", "stderr"].contains(stream) {
        throw Failure(
            "invalid stream \"\(stream)\" for --attach - must be one of stdin, stdout, or stderr: invalid argument")
    }
    if arguments.bool("detach") {
        if !streams.isEmpty { throw Failure("cannot specify both --attach and --detach (-d)") }
        return nil
    }
    if !streams.isEmpty, !streams.contains("stdout") || !streams.contains("stderr"), !arguments.bool("tty") {
        throw Failure("cannot attach to only one of stdout and stderr: give --attach for both, or redirect the other")
    }
    var request = AttachRequest()
    request.forwardsInput = arguments.bool("interactive") || streams.contains("stdin")
    request.forwardsSignals = arguments.bool("sig-proxy")
    request.detachKeys = try DetachKeysFlag.checked(arguments)
    return request
}

/// The request, checked against the pod it joins.
func containerRequest(
    _ session: Session, _ arguments: ParsedArguments, _ engine: Engine
) throws -> ContainerRequest {
    let translation = ContainerTranslation(
        arguments: arguments, hostEnvironment: Identity.environment, commandLine: session.commandLine)
    let request = try translation.request()
    if let pod = request.pod, !request.createsPod, PodConflicts.mayExist(arguments) {
        try PodConflicts.check(arguments, joining: try engine.pod(pod).record)
    }
    return request
}

/// Flags that say nothing about a member of a pod, because the pod has what they configure. The engine refuses
/// --publish, --network and --hostname itself.
enum PodConflicts {
    private static let dnsFlags = ["dns", "dns-option", "dns-search"]

    /// Whether the pod has to be read to know: not on the usual start path.
    static func mayExist(_ arguments: ParsedArguments) -> Bool {
        (dnsFlags + ["expose", "add-host", "no-hosts"]).contains { arguments.isSet($0) }
    }

    static func check(_ arguments: ParsedArguments, joining pod: PodRecord) throws(Failure) {
        guard pod.hasInfra, pod.shares("net") else { return }
        let shared = "network cannot be configured when it is shared with a pod"
        if arguments.isSet("expose") {
            throw Failure(
                "invalid config provided: published or exposed ports must be defined when the pod is created: \(shared)"
            )
        }
        if arguments.isSet("add-host") || arguments.isSet("no-hosts") {
            throw Failure("invalid config provided: extra host entries must be specified on the pod: \(shared)")
        }
        if dnsFlags.contains(where: { arguments.isSet($0) }) {
            throw Failure("invalid config provided: DNS must be configured when the pod is created: \(shared)")
        }
    }
}
