// SPDX-License-Identifier: Apache-2.0
import Arguments
import CLinux
import ContainerRuntime
import LinuxSystem
import OCISpec
import SystemPackage

// Theory of operation
//
// The command line of an OCI runtime as conmon, containerd's shim and CRI-O use it. Every command is one short-lived
// process with one thread; after `create` nobody of ours stays, the container's process is the caller's to adopt.
//
//   argv -> Command tree -> ContainerRuntime/Bundle (create, start, exec, delete), State, Cgroup, Hooks
//
// - Errors are one sentence on standard error and one line in --log, in the words that callers match.
// - What can execute a program of a container first makes sure that this program cannot be overwritten: SelfProtection.

/// The version of samara-runtime.
let runtimeVersion = "0.1.0"

/// Runs the program with `arguments` (its own path first) and returns the exit code.
public func runRuntime(_ arguments: [String]) -> Int32 {
    openMissingStandardStreams()
    do {
        let resolution = try rootCommand().resolve(Array(arguments.dropFirst()))
        switch resolution {
        case .text(let text):
            writeOut(text)
            return 0
        case .invocation(let invocation):
            let context = RuntimeContext(commandLine: arguments, flags: invocation.arguments)
            do { return try invocation.run(context) } catch {
                context.log.error(sentence(error))
                return 1
            }
        }
    } catch {
        File.complain("samara-runtime: \(error.message)")
        return 1
    }
}

/// The one place where errors become text.
func sentence(_ error: any Error) -> String {
    switch error {
    case let error as RuntimeError: error.message
    case let error as RuntimeSpecError: error.description
    case let error as LaunchError: error.message
    case let error as ArgumentError: error.message
    case let error as Errno: error.text
    default: String(describing: error)
    }
}

/// A caller may close 0, 1 or 2; the next file opened would become the container's standard stream.
private func openMissingStandardStreams() {
    for descriptor: Int32 in 0..<3 where samara_fcntl(descriptor, F_GETFD, 0) < 0 {
        // The lowest free number is this one, because the ones before are open.
        _ = samara_openat(AT_FDCWD, "/dev/null", O_RDWR, 0)
    }
}

func writeOut(_ text: String) { try? File.writeAll(1, Array(text.utf8)) }

extension File {
    static func complain(_ line: String) { try? writeAll(2, Array((line + "\n").utf8)) }
}

/// What every command is given.
struct RuntimeContext: Sendable {
    let commandLine: [String]
    let log: RuntimeLog
    private let rootPath: String?
    let cgroupManager: CgroupManager

    init(commandLine: [String], flags: ParsedArguments) {
        self.commandLine = commandLine
        log = RuntimeLog(
            path: flags.stringIfSet("log"), isJSON: flags.string("log-format") == "json", isVerbose: flags.bool("debug")
        )
        rootPath = flags.stringIfSet("root")
        let manager = CgroupManager(rawValue: flags.string("cgroup-manager")) ?? .files
        cgroupManager = flags.bool("systemd-cgroup") ? .systemd : manager
    }

    func root() throws(RuntimeError) -> StateRoot { try StateRoot(rootPath) }

    var warn: (String) -> Void { { log.warning($0) } }

    func container(_ id: String) throws(RuntimeError) -> BundleContainer {
        try BundleContainer(id, root: try root(), warn: warn)
    }

    /// Before a command that executes programs of a container.
    func protectItself() throws(LaunchError) { try SelfProtection.ensure(commandLine) }
}

func rootCommand() -> Command<RuntimeContext> {
    Command("samara-runtime", summary: "Run containers by the OCI runtime specification") {
        .group(
            usage: "[options]", flags: globalFlags(),
            version: runtimeVersion + "\nspec: \(RuntimeConfig.specificationVersion)"
        ) {
            [
                createCommand(), startCommand(), runCommand(), stateCommand(), killCommand(), deleteCommand(),
                listCommand(),
                execCommand(), processesCommand(), pauseCommand(), resumeCommand(), updateCommand(), eventsCommand(),
                specCommand(), featuresCommand(),
            ] + checkpointCommands()
        }
    }
}

private func globalFlags() -> [Flag] {
    func oneOf(_ values: [String], _ other: String) -> @Sendable (String) -> String? {
        { values.contains($0) ? nil : other }
    }
    return [
        Flag.string("root", help: "Directory of the containers' state").inherited(),
        Flag.string("log", help: "File to which errors and warnings are appended").inherited(),
        Flag.custom(
            "log-format", typeName: "string", default: "text", help: "Format of the log (text, json)",
            problem: oneOf(["text", "json"], "must be text or json")
        ).inherited(),
        Flag.string("log-level", default: "warning", help: "Least severity that is logged").inherited(),
        Flag.bool("debug", help: "Log more").inherited(),
        Flag.bool("systemd-cgroup", help: "The same as --cgroup-manager systemd").inherited(),
        Flag.custom(
            "cgroup-manager", typeName: "string", default: "cgroupfs",
            help: "Who makes cgroups: cgroupfs, systemd, or disabled for none",
            problem: oneOf(["cgroupfs", "systemd", "disabled"], "must be cgroupfs, systemd or disabled")
        ).inherited(),
        Flag.custom(
            "rootless", typeName: "string", default: "auto", help: "Only auto and the value that is true",
            problem: oneOf(["auto", "true", "false"], "must be auto, true or false")
        ).inherited(),
    ]
}
