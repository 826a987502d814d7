// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A machine that lacks something: the same host seen through a mount namespace in which files are hidden, folders
/// read-only or a small filesystem mounted. mount(8) and unshare(1) do it without privilege, user_namespaces(7).
enum Machine {
    /// The user is root of a namespace with all its IDs: root there may mount, and Samara works as on a whole machine.
    case ownedByUser
    /// The user is itself, in a namespace where it has no other ID: `newuidmap` is refused there.
    case unprivileged

    /// Runs a shell script in which `samara` is the command with the installation's folders.
    ///
    /// - Parameters:
    ///   - preparation: commands that run first, as root of the namespace.
    func run(_ script: String, after preparation: String, on samara: Samara) throws -> CommandResult {
        let settings = "set -eu; mount --make-rprivate / 2>/dev/null || :; \(preparation)\n"
        let command = samara.command([]).map { "'\($0)'" }.joined(separator: " ")
        let body = "set -u; samara() { \(command) \"$@\"; }\n\(script)"
        switch self {
        case .ownedByUser:
            return try run(
                ["--map-auto", "--map-root-user"], settings + body.replacingOccurrences(of: "set -u", with: "set +e; set -u"),
                on: samara)
        case .unprivileged:
            let inner =
                "exec unshare --user --map-user=\(getuid()) --map-group=\(getgid()) /bin/sh -c \"$SCRIPT\"\n"
            return try run(["--map-root-user"], settings + inner, on: samara, ["SCRIPT": body])
        }
    }

    private func run(
        _ options: [String], _ script: String, on samara: Samara, _ extra: [String: String] = [:]
    ) throws -> CommandResult {
        try runCommand(
            ["/usr/bin/unshare", "--user"] + options + ["--mount", "/bin/sh", "-c", script],
            environment: samara.environment.merging(extra) { $1 }, timeout: .seconds(30))
    }
}
