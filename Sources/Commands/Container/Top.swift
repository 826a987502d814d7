// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem
import Presentation

func topCommand() -> Command<Session> {
    Command("top", summary: "Display the running processes of a container") {
        CommandDeclaration(
            description: """
                Display the running processes of a container.

                Format descriptors: \(ProcessColumn.names.joined(separator: ", ")).
                """,
            usage: "[options] CONTAINER [FORMAT-DESCRIPTORS]",
            examples: ["samara top ctrID", "samara top ctrID pid args %C", "samara top --latest"],
            flags: [ContainerTargets.latest], isInterspersed: false,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let (container, rest) = try ContainerTargets.single(arguments, engine)
                guard container.state.status == .running, let process = container.state.process else {
                    throw Failure("top can only be used on running containers")
                }
                try session.print(try ProcessTable.text([ProcessTree(first: process)], ProcessColumn.parse(rest)))
                return 0
            })
    }
}

func podTopCommand() -> Command<Session> {
    Command("top", summary: "Display the running processes of containers in a pod") {
        CommandDeclaration(
            description: """
                Display the running processes of the containers of a pod.

                Format descriptors: \(ProcessColumn.names.joined(separator: ", ")).
                """,
            usage: "[options] POD [FORMAT-DESCRIPTORS]",
            examples: ["samara pod top podID", "samara pod top podID pid args"],
            flags: [PodTargets.latest], isInterspersed: false,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                var words = arguments.positional
                let pod: Pod
                if arguments.bool("latest") {
                    pod = try PodTargets.latest(engine)
                } else {
                    guard !words.isEmpty else { throw Failure("you must provide the name or id of a running pod") }
                    pod = try engine.pod(words.removeFirst())
                }
                // The monitors of members live with the keeper, and are none of the infra container's processes.
                let infra = pod.keeper.map { [ProcessTree(first: $0, isAlone: true)] } ?? []
                let members = pod.members.filter { $0.state.status == .running }.compactMap(\.state.process)
                let processes = infra + members.map { ProcessTree(first: $0) }
                if processes.isEmpty {
                    throw Failure("pod top can only be used on pods with at least one running container")
                }
                try session.print(try ProcessTable.text(processes, ProcessColumn.parse(words)))
                return 0
            })
    }
}

/// A column of `top`: the descriptors of ps(1) that Podman knows, as far as /proc tells them.
enum ProcessColumn: String, CaseIterable {
    case args, comm, etime, group, hpid, huser, nice, pcpu, pgid, pid, ppid, rss, state, time, tty, user, vsz

    static var names: [String] { allCases.map(\.rawValue) }

    static let standard: [ProcessColumn] = [.user, .pid, .ppid, .pcpu, .etime, .tty, .time, .args]

    /// Descriptors separated by commas or given one by one, by name or by ps's letter.
    static func parse(_ words: [String]) throws(Failure) -> [ProcessColumn] {
        var columns: [ProcessColumn] = []
        for name in words.flatMap({ $0.split(separator: ",") }) {
            guard let column = ProcessColumn(rawValue: name.lowercased()) ?? letters[String(name)] else {
                throw Failure(
                    "unknown descriptor \"\(name)\": must be one of \(names.joined(separator: ", ")): invalid argument")
            }
            columns.append(column)
        }
        return columns.isEmpty ? standard : columns
    }

    private static var letters: [String: ProcessColumn] {
        [
            "%C": .pcpu, "%G": .group, "%P": .ppid, "%U": .user, "%a": .args, "%c": .comm, "%n": .nice, "%p": .pid,
            "%r": .pgid, "%t": .etime, "%x": .time, "%y": .tty, "%z": .vsz,
        ]
    }

    var header: String {
        switch self {
        case .args, .comm: "COMMAND"
        case .etime: "ELAPSED"
        case .pcpu: "%CPU"
        case .nice: "NI"
        default: rawValue.uppercased()
        }
    }
}

/// The processes of one container.
struct ProcessTree {
    let first: ProcessIdentity
    /// No other process counts as the container's.
    var isAlone = false
}

enum ProcessTable {
    /// The processes of the containers whose first processes are given: those in the same mount namespace, which also
    /// tells containers of one pod apart when they share their process ids.
    static func text(_ trees: [ProcessTree], _ columns: [ProcessColumn]) throws(Failure) -> String {
        let pids = ((try? Directory.names("/proc")) ?? []).compactMap { Int32($0) }.sorted()
        let uptime = Double(ProcessFile.text("/proc/uptime").prefix { $0 != " " }) ?? 0
        var rows: [[String]] = []
        for tree in trees {
            guard let namespace = ProcessFile.namespace(tree.first.pid) else { continue }
            let accounts = ContainerAccounts(of: tree.first.pid)
            let members = tree.isAlone ? [tree.first.pid] : pids.filter { ProcessFile.namespace($0) == namespace }
            for pid in members {
                // Ended since the directory was listed.
                guard let shown = ShownProcess(pid, uptime: uptime) else { continue }
                rows.append(columns.map { shown.text($0, accounts) })
            }
        }
        return Table(header: columns.map(\.header), rows: rows).text()
    }
}
