// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A sleeping process with the user's whole ID map, for the floor to join and for removing what belongs to
/// subordinate IDs.
final class UserNamespace {
    typealias Resident = (pid: Int32, input: Int32)

    let program: String
    let environment: [String: String]
    private let runner: ProcessRunner
    private(set) var pid: Int32 = 0
    /// Closing these ends the processes.
    private var inputs: [Int32] = []
    /// Whether the map has the user's subordinate IDs; otherwise it is the user alone.
    private(set) var hasSubordinateIDs = false

    init(_ tools: Tools, _ workspace: Workspace, _ runner: ProcessRunner) throws {
        self.runner = runner
        program = try tools.program("floor-start")
        environment = try workspace.environment(home: "floor-home")
        let user = NSUserName()
        guard let newuidmap = tools.installed("newuidmap"), let newgidmap = tools.installed("newgidmap"),
            let users = Self.subordinateRange("/etc/subuid", user),
            let groups = Self.subordinateRange("/etc/subgid", user)
        else {
            pid = try hold(["--namespaces", "user", "--no-capabilities", "--hold"]).pid
            return
        }
        pid = try hold(["--namespaces", "user", "--no-map", "--no-capabilities", "--hold"]).pid
        for (tool, own, range) in [(newuidmap, getuid(), users), (newgidmap, getgid(), groups)] {
            try runner.output(
                Command(
                    path: tool, arguments: ["\(pid)", "0", "\(own)", "1", "1", "\(range.first)", "\(range.count)"],
                    environment: environment))
        }
        hasSubordinateIDs = true
    }

    /// Starts a floor program that stays until `end()`; it prints the pid of the process to join.
    func hold(_ arguments: [String]) throws -> Resident {
        let started = try runner.startResident(Command(path: program, arguments: arguments, environment: environment))
        inputs.append(started.input)
        guard let pid = Int32(started.line) else {
            throw BenchError("\(program) printed `\(started.line)` instead of a pid")
        }
        return (pid, started.input)
    }

    /// Removes a tree in which files belong to subordinate IDs.
    func remove(_ path: String) {
        let command = Command(
            path: program,
            arguments: [
                "--user-of", "\(pid)", "--namespaces", "none", "--no-capabilities", "--", "/bin/rm", "-rf", path,
            ],
            environment: environment)
        _ = try? runner.run(command)
    }

    func end() {
        for input in inputs { close(input) }
        inputs = []
    }

    /// The user's first range: subuid(5).
    static func subordinateRange(_ path: String, _ user: String) -> (first: Int, count: Int)? {
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
