// SPDX-License-Identifier: Apache-2.0
import Arguments
import CLinux
import ContainerRuntime
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

private func bundleFlags() -> [Flag] {
    [
        Flag.string("bundle", short: "b", default: ".", help: "Directory of the bundle"),
        Flag.string("config", short: "f", help: "The config file, instead of the bundle's config.json"),
        Flag.string("pid-file", help: "File to write the container's pid to"),
        Flag.string("console-socket", help: "Unix socket that receives the terminal's master"),
        Flag.string("pidfd-socket", help: "Unix socket that receives a pidfd of the container"),
        Flag.int("preserve-fds", help: "Number of descriptors from 3 on to pass on"),
        Flag.bool("no-pivot", help: "Move the root mount instead of pivoting"),
        Flag.bool("no-new-keyring", help: "Keep the caller's session keyring"),
    ]
}

private func creation(_ arguments: ParsedArguments, _ context: RuntimeContext) throws -> CreationRequest {
    let current = try Directory.current()
    func absolute(_ path: String) -> String {
        var path = path.hasPrefix("/") ? path : path == "." ? current : current + "/" + path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }
    var request = CreationRequest(id: arguments.positional[0], bundle: absolute(arguments.string("bundle")))
    request.configPath = arguments.stringIfSet("config").map(absolute)
    request.pidFile = arguments.stringIfSet("pid-file").map(absolute)
    request.consoleSocket = arguments.stringIfSet("console-socket").flatMap { $0.isEmpty ? nil : absolute($0) }
    request.pidfdSocket = arguments.stringIfSet("pidfd-socket").map(absolute)
    request.preservedDescriptors = try descriptorCount(arguments)
    request.entersRootByPivot = !arguments.bool("no-pivot")
    request.joinsNewKeyring = !arguments.bool("no-new-keyring")
    request.cgroupManager = context.cgroupManager
    return request
}

func descriptorCount(_ arguments: ParsedArguments) throws -> Int {
    let count = arguments.int("preserve-fds")
    guard (0...1024).contains(count) else { throw RuntimeError("--preserve-fds \(count): must be from 0 to 1024") }
    return count
}

func createCommand() -> Command<RuntimeContext> {
    Command("create", summary: "Create a container") {
        .init(usage: "[options] ID", flags: bundleFlags(), positional: .exactly(1)) { context, arguments in
            try context.protectItself()
            _ = try ContainerCreation(try creation(arguments, context), root: try context.root(), warn: context.warn)
                .run()
            return 0
        }
    }
}

func startCommand() -> Command<RuntimeContext> {
    Command("start", summary: "Start a created container") {
        .init(usage: "ID", positional: .exactly(1)) { context, arguments in
            try context.container(arguments.positional[0]).start()
            return 0
        }
    }
}

func runCommand() -> Command<RuntimeContext> {
    Command("run", summary: "Create and start a container") {
        .init(
            usage: "[options] ID",
            flags: bundleFlags() + [
                .bool("detach", short: "d", help: "Return when the container runs"),
                .bool("keep", help: "Keep the container's state when it has ended"),
            ], positional: .exactly(1)
        ) { context, arguments in
            try context.protectItself()
            var request = try creation(arguments, context)
            let isDetached = arguments.bool("detach")
            request.isForeground = !isDetached
            if !isDetached, arguments.isSet("console-socket") {
                throw RuntimeError("--console-socket is given but the container is not detached")
            }
            // Signals that arrive during the set-up are forwarded after it.
            let signals = isDetached ? nil : try ForegroundSession.blockSignals()
            request.startsAtOnce = true
            let root = try context.root()
            var created = try ContainerCreation(request, root: root, warn: context.warn).run()
            let container = try BundleContainer(created, root: root, warn: context.warn)
            do { try container.start(&created) } catch {
                try? Process.signal(created.pidfd, SIGKILL)
                _ = try? Process.wait(created.pidfd)
                try? container.deleteEnded()
                throw error
            }
            guard let signals else { return 0 }
            let status = try ForegroundSession(signals).follow(created.pidfd, terminal: created.terminal.take())
            if !arguments.bool("keep") { try container.deleteEnded() }
            return status.code
        }
    }
}

func stateCommand() -> Command<RuntimeContext> {
    Command("state", summary: "Print the state of a container") {
        .init(usage: "ID", positional: .exactly(1)) { context, arguments in
            let container = try context.container(arguments.positional[0])
            writeOut(container.record.state(container.status).serializedText(indent: 2) + "\n")
            return 0
        }
    }
}

func killCommand() -> Command<RuntimeContext> {
    Command("kill", summary: "Send a signal to a container") {
        .init(
            usage: "[options] ID [SIGNAL]",
            flags: [.bool("all", short: "a", help: "Signal every process of the container")],
            positional: .between(1, 2)
        ) { context, arguments in
            let text = arguments.positional.count > 1 ? arguments.positional[1] : "TERM"
            guard let signal = SignalName.number(text) else { throw RuntimeError("unknown signal `\(text)`") }
            try context.container(arguments.positional[0]).kill(signal, all: arguments.bool("all"))
            return 0
        }
    }
}

func deleteCommand() -> Command<RuntimeContext> {
    Command("delete", summary: "Delete a stopped container") {
        .init(
            usage: "[options] ID",
            flags: [.bool("force", short: "f", help: "Kill it first if it runs; an unknown one is no error")],
            positional: .exactly(1)
        ) { context, arguments in
            let (id, force) = (arguments.positional[0], arguments.bool("force"))
            let root = try context.root()
            if force {
                try BundleContainer.deleteUnfinished(id, root: root)
                if !File.exists(try root.directory(id)) { return 0 }
            }
            try context.container(id).delete(force: force)
            return 0
        }
    }
}

func listCommand() -> Command<RuntimeContext> {
    Command("list", summary: "List containers") {
        .init(
            usage: "[options]",
            flags: [
                .bool("quiet", short: "q", help: "Print only ids"),
                .custom(
                    "format", short: "f", typeName: "string", default: "table", help: "table or json",
                    problem: { ["table", "json"].contains($0) ? nil : "must be table or json" }),
            ], positional: .none
        ) { context, arguments in
            // One that is being created or deleted meanwhile is not there.
            let states = try context.root().ids().compactMap { id -> JSON? in
                guard let container = try? context.container(id) else { return nil }
                return container.record.state(container.status)
            }
            if arguments.bool("quiet") {
                writeOut(states.map { ($0["id"]?.stringValue ?? "") + "\n" }.joined())
            } else if arguments.string("format") == "json" {
                writeOut(JSON.array(states).serializedText() + "\n")
            } else {
                writeOut(
                    TextTable.text(
                        ["ID", "PID", "STATUS", "BUNDLE", "CREATED"],
                        states.map { state in
                            ["id", "pid", "status", "bundle", "created"].map { key in
                                state[key]?.stringValue ?? state[key]?.intValue.map { "\($0)" } ?? ""
                            }
                        }))
            }
            return 0
        }
    }
}

/// Columns padded to the widest cell, two blanks apart.
enum TextTable {
    static func text(_ head: [String], _ rows: [[String]]) -> String {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            return line + "\n"
        }.joined()
    }
}

/// Names and numbers of signals: signal(7).
package enum SignalName {
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM",
        "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
        "IO", "PWR",
        "SYS",
    ]

    /// `9`, `KILL`, `SIGKILL` in any case, `RTMIN+3`, `RTMAX-1`; nil for anything else.
    package static func number(_ text: String) -> Int32? {
        if text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int32(text) {
            return (1...64).contains(number) ? number : nil
        }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let index = names.firstIndex(of: name) { return Int32(index + 1) }
        switch name {
        case "IOT": return 6
        case "CLD": return 17
        case "POLL": return 29
        case "RTMIN": return 34
        case "RTMAX": return 64
        default: break
        }
        for (prefix, base, sign) in [("RTMIN+", Int32(34), Int32(1)), ("RTMAX-", 64, -1)] where name.hasPrefix(prefix) {
            let rest = name.dropFirst(prefix.count)
            guard rest.utf8.allSatisfy({ (48...57).contains($0) }), let offset = Int32(rest), offset <= 30 else {
                return nil
            }
            return base + sign * offset
        }
        return nil
    }
}
