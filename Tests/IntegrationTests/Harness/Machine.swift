// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A machine that lacks something: the same host seen through a mount namespace in which files are hidden, folders
/// read-only or a small filesystem mounted. unshare(1) and mount(8) do it without privilege: user_namespaces(7).
enum Machine {
    /// The user is root of a namespace with all its IDs: mounts can be changed, and Samara works as on a whole machine.
    case withAllIDs
    /// The user is itself in a namespace where it has no other ID: nothing set-user-ID has an effect there.
    case withOneID

    /// Runs a shell script in which `samara` is the command with folders of its own below `home`, and `$HOME` is that.
    ///
    /// - Parameter preparation: commands that run first, as root of the namespace; a failure ends the test.
    func run(_ script: String, after preparation: String, home: String, on samara: Samara) throws -> CommandResult {
        let body = """
            samara() { '\(samara.executables)/samara' --root "$HOME/root" --runroot "$HOME/run" "$@"; }
            # Runs a command and prints its name and exit code.
            tell() { local name=$1; shift; "$@"; echo "$name: $?"; }
            \(script)
            """
        let outer: [String]
        let rest: String
        switch self {
        case .withAllIDs: (outer, rest) = (["--map-auto", "--map-root-user"], "")
        case .withOneID:
            (outer, rest) = (["--map-root-user"], "unshare --user --map-user=\(getuid()) --map-group=\(getgid())")
        }
        return try runCommand(
            ["/usr/bin/unshare", "--user"] + outer
                + ["--mount", "/bin/bash", "-c", "set -e\n\(preparation)\nexec \(rest) /bin/bash -c \"$SCRIPT\""],
            environment: samara.environment.merging(["SCRIPT": body, "HOME": home, "IMAGES": samara.images]) { $1 },
            timeout: .seconds(40))
    }
}
