// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// The floor programs and the processes they join: a holder of the user namespace, a pod, a container in it.
///
/// These have the same shape as Samara's, but depend on none of it: the benchmark has a floor on a machine where
/// Samara does not run.
final class Floor {
    let root: String
    let program: String
    private let scratch: String
    private let environment: [String: String]
    private let runner: ProcessRunner
    /// The seccomp filter's arguments.
    private(set) var filter: [String]
    let filterText: String
    private(set) var holder: Int32 = 0
    private(set) var pod: Int32 = 0
    private(set) var container: Int32 = 0
    /// Closing these ends the processes above.
    private var inputs: [Int32] = []
    /// Whether the holder has the user's subordinate IDs.
    private(set) var hasSubordinateIDs = false

    /// - Parameter filterFile: the seccomp program that Samara loads, if it is known.
    init(_ tools: Tools, root: String, filterFile: String?, _ workspace: Workspace, _ runner: ProcessRunner) throws {
        self.root = root
        self.runner = runner
        program = try tools.program("floor-start")
        scratch = try workspace.directory("floor")
        environment = try workspace.environment(home: "floor-home")
        if let filterFile, let size = (try? FileManager.default.attributesOfItem(atPath: filterFile))?[.size] as? Int {
            filter = ["--seccomp", filterFile]
            filterText = "Samara's own filter, \(size / 8) instructions"
        } else {
            filter = ["--seccomp-length", "600"]
            filterText = "a stand-in of 600 instructions"
        }
        try startHolder(tools)
        pod = try hold(["--user-of", "\(holder)", "--namespaces", "user,net,ipc,uts", "--hold"])
        container = try hold(["--join", "\(pod)", "--root", root, "--mounts", "oci", "--print-pid"] + filter + ["--", "/bin/cat"])
        runner.adoptResidents()
    }

    func command(_ arguments: [String], _ program: [String] = ["/bin/true"]) -> Command {
        Command(path: self.program, arguments: arguments + ["--"] + program, environment: environment)
    }

    /// A fresh container: everything, or less by the arguments in `without`.
    func start(_ extra: [String] = [], overlay: Bool = true, filtered: Bool = true) -> Command {
        command(
            ["--user-of", "\(holder)", "--root", root] + (overlay ? ["--overlay", scratch] : []) + (filtered ? filter : []) + extra)
    }

    /// A container in the pod.
    func join() -> Command { command(["--join", "\(pod)", "--root", root, "--overlay", scratch] + filter) }

    /// A process in the container.
    func exec() -> Command { command(["--exec", "\(container)"] + filter) }

    /// Removes a tree in which files belong to subordinate IDs.
    func remove(_ path: String) {
        let command = Command(
            path: program,
            arguments: ["--user-of", "\(holder)", "--namespaces", "none", "--no-capabilities", "--", "/bin/rm", "-rf", path],
            environment: environment)
        _ = try? runner.run(command)
    }

    func end() {
        for input in inputs { close(input) }
        inputs = []
    }

    private func hold(_ arguments: [String]) throws -> Int32 {
        let started = try runner.startResident(Command(path: program, arguments: arguments, environment: environment))
        inputs.append(started.input)
        guard let pid = Int32(started.line) else { throw BenchError("\(program) printed `\(started.line)` instead of a pid") }
        return pid
    }

    private func startHolder(_ tools: Tools) throws {
        let user = NSUserName()
        let ranges = try ["uid", "gid"].map { try Self.subordinateRange("/etc/sub" + $0, user) }
        guard let newuidmap = tools.installed("newuidmap"), let newgidmap = tools.installed("newgidmap"),
            let users = ranges[0], let groups = ranges[1]
        else {
            holder = try hold(["--namespaces", "user", "--mounts", "none", "--no-capabilities", "--hold"])
            return
        }
        holder = try hold(["--namespaces", "user", "--no-map", "--no-capabilities", "--hold"])
        for (tool, own, range) in [(newuidmap, getuid(), users), (newgidmap, getgid(), groups)] {
            try runner.output(
                Command(
                    path: tool, arguments: ["\(holder)", "0", "\(own)", "1", "1", "\(range.first)", "\(range.count)"],
                    environment: environment))
        }
        hasSubordinateIDs = true
    }

    /// The user's first range: subuid(5).
    static func subordinateRange(_ path: String, _ user: String) throws -> (first: Int, count: Int)? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, fields[0] == user || fields[0] == "\(getuid())", let first = Int(fields[1]),
                let count = Int(fields[2])
            else { continue }
            return (first, count)
        }
        return nil
    }
}
