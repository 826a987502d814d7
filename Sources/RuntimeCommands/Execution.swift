// SPDX-License-Identifier: Apache-2.0
import Arguments
import CLinux
import ContainerRuntime
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

func execCommand() -> Command<RuntimeContext> {
    Command("exec", summary: "Run a further process in a container") {
        .init(
            usage: "[options] ID [COMMAND [ARG...]]",
            flags: [
                .string("process", short: "p", help: "File with the process as in config.json"),
                .bool("detach", short: "d", help: "Return when the process runs"),
                .bool("tty", short: "t", help: "Give it a terminal"),
                .stringArray("env", short: "e", help: "KEY=VALUE to add"),
                .string("cwd", help: "Working directory"),
                .string("user", short: "u", help: "UID[:GID]"),
                .stringArray("cap", short: "c", help: "Capability to add"),
                .stringArray("additional-gids", short: "g", help: "Additional group"),
                .string("console-socket", help: "Unix socket that receives the terminal's master"),
                .string("pid-file", help: "File to write the process's pid to"),
                .int("preserve-fds", help: "Number of descriptors from 3 on to pass on"),
                .bool("no-new-privs", help: "Forbid gaining privileges"),
                .string("apparmor", help: "AppArmor profile"),
                .string("process-label", help: "SELinux label"),
                .string("cgroup", help: "Cgroup below the container's"),
                .bool("ignore-paused", help: "Also in a paused container"),
            ],
            positional: .atLeast(1), isInterspersed: false
        ) { context, arguments in
            try context.protectItself()
            let container = try context.container(arguments.positional[0])
            let isDetached = arguments.bool("detach")
            var request = ExecutionRequest(process: try process(arguments, container))
            let current = try Directory.current()
            func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : current + "/" + path }
            request.pidFile = arguments.stringIfSet("pid-file").map(absolute)
            request.consoleSocket = arguments.stringIfSet("console-socket").flatMap { $0.isEmpty ? nil : absolute($0) }
            request.preservedDescriptors = try descriptorCount(arguments)
            request.isForeground = !isDetached
            request.ignoresPaused = arguments.bool("ignore-paused")
            request.subgroup = arguments.string("cgroup")
            let signals = isDetached ? nil : try ForegroundSession.blockSignals()
            var executed = try container.execute(request, root: try context.root(), warn: context.warn)
            guard let signals else { return 0 }
            return try ForegroundSession(signals).follow(executed.pidfd, terminal: executed.terminal.take()).code
        }
    }
}

/// The process of --process, or the container's own with the command and options of the line.
private func process(_ arguments: ParsedArguments, _ container: BundleContainer) throws -> RuntimeProcess {
    var result: RuntimeProcess
    if let path = arguments.stringIfSet("process") {
        if arguments.positional.count > 1 { throw RuntimeError("exec: --process and a command exclude each other") }
        let bytes = try describing("open", path) { () throws(Errno) in try File.read(path, limit: 4 << 20) }
        result = try RuntimeProcess(bytes: bytes)
    } else {
        let words = Array(arguments.positional.dropFirst())
        if words.isEmpty { throw RuntimeError("exec: needs a command or --process") }
        guard let own = try container.config().process else {
            throw RuntimeError("process: the container's config has none")
        }
        result = own
        result.arguments = words
        result.hasTerminal = false
        result.consoleSize = nil
    }
    if arguments.bool("tty") { result.hasTerminal = true }
    for entry in arguments.strings("env") {
        guard let equals = entry.firstIndex(of: "="), equals != entry.startIndex else {
            throw RuntimeError("exec: --env `\(entry)` must be KEY=VALUE")
        }
        let prefix = entry[...equals]
        result.environment.removeAll { $0.hasPrefix(prefix) }
        result.environment.append(entry)
    }
    if let directory = arguments.stringIfSet("cwd") {
        guard directory.hasPrefix("/") else {
            throw RuntimeError("exec: --cwd `\(directory)` must be an absolute path")
        }
        result.workingDirectory = directory
    }
    if let user = arguments.stringIfSet("user") { (result.user, result.group) = try UserNumbers.parse(user) }
    result.additionalGroups += try arguments.strings("additional-gids").map {
        try UserNumbers.id($0, "--additional-gids")
    }
    if arguments.bool("no-new-privs") { result.noNewPrivileges = true }
    if arguments.isSet("apparmor") { result.apparmorProfile = arguments.string("apparmor") }
    if arguments.isSet("process-label") { result.selinuxLabel = arguments.string("process-label") }
    let added = arguments.strings("cap")
    if !added.isEmpty {
        var sets = result.capabilities ?? RuntimeProcess.Capabilities()
        for name in added {
            guard CapabilitySets.mask(named: name) != nil else {
                throw RuntimeError("exec: unknown capability `\(name)`")
            }
            // Inheritable stays as it is (CVE-2022-29162).
            sets.bounding.append(name)
            sets.effective.append(name)
            sets.permitted.append(name)
        }
        result.capabilities = sets
    }
    return result
}

/// Ids as decimal numbers and nothing else: no sign, no blank, no trailing text, no overflow (CVE-2026-30892).
package enum UserNumbers {
    /// `UID` or `UID:GID`; the group is 0 when it is not given.
    package static func parse(_ text: String) throws(RuntimeError) -> (UInt32, UInt32) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { throw RuntimeError("--user `\(text)` must be UID or UID:GID") }
        return (try id(String(parts[0]), "--user"), parts.count == 2 ? try id(String(parts[1]), "--user") : 0)
    }

    package static func id(_ text: String, _ option: String) throws(RuntimeError) -> UInt32 {
        guard !text.isEmpty, text.utf8.count <= 10, text.utf8.allSatisfy({ (48...57).contains($0) }),
            let number = UInt64(text), number < UInt64(UInt32.max)
        else { throw RuntimeError("\(option): `\(text)` is not an id from 0 to 4294967294") }
        return UInt32(number)
    }
}

func processesCommand() -> Command<RuntimeContext> {
    Command("ps", summary: "List the processes of a container") {
        .init(
            usage: "[options] ID [PS-ARGUMENT...]",
            flags: [
                .custom(
                    "format", short: "f", typeName: "string", default: "table", help: "table or json",
                    problem: { ["table", "json"].contains($0) ? nil : "must be table or json" })
            ], positional: .atLeast(1), isInterspersed: false
        ) { context, arguments in
            let pids = try context.container(arguments.positional[0]).processes()
            if arguments.string("format") == "json" {
                writeOut(JSON.array(pids.map { .int(Int64($0)) }).serializedText() + "\n")
                return 0
            }
            var options = Array(arguments.positional.dropFirst())
            if options.isEmpty { options = ["-ef"] }
            let outcome = try ProcessTable.run(options)
            guard let head = outcome.first, let column = head.split(separator: " ").firstIndex(of: "PID") else {
                throw RuntimeError("ps: its output has no PID column")
            }
            let wanted = Set(pids.map { Substring(String($0)) })
            let rows = outcome.dropFirst().filter { line in
                let fields = line.split(separator: " ")
                return fields.count > column && wanted.contains(fields[column])
            }
            writeOut(([head] + rows).map { $0 + "\n" }.joined())
            return 0
        }
    }
}

/// The host's ps(1).
private enum ProcessTable {
    static func run(_ options: [String]) throws -> [String] {
        guard let path = ["/usr/bin/ps", "/bin/ps"].first(where: { File.exists($0) }) else {
            throw RuntimeError("ps is not installed; use --format json")
        }
        let null = try File.open("/dev/null", O_RDWR)
        let pipe = try PipePair.make()
        let pid = try Spawn.start(path, options, descriptors: [null.raw, pipe.writeEnd.raw, 2])
        let bytes = try File.readAll(pipe.keepingReadEnd())
        guard try Process.wait(pid: pid) == .exited(0) else { throw RuntimeError("ps failed") }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
