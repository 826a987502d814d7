// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The installed Podman with a storage of its own, as the other side of archives and registries. Another Podman can be
/// named by SAMARA_TEST_PODMAN (with CONTAINERS_CONF, if it needs one): the one that hack/bench-peers unpacks, for example.
final class Podman {
    /// Podman makes names out of paths, and names are lowercase: relative to this folder all of them are.
    let folder: String
    private let program: String
    private let environment: [String: String]

    init() throws {
        var template = Array("/tmp/smrp.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: errno \(errno)") }
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
        let own = ProcessInfo.processInfo.environment
        program = own["SAMARA_TEST_PODMAN"] ?? "/usr/bin/podman"
        var environment = ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": folder, "XDG_RUNTIME_DIR": folder]
        environment["CONTAINERS_CONF"] = own["CONTAINERS_CONF"]
        self.environment = environment
    }

    /// Runs a script in which `podman` is this one, in its folder and inside of its user namespace, where each command
    /// starts faster; it must succeed.
    func run(_ script: String) throws -> [String] {
        let function = "podman() { command \(([program] + options).joined(separator: " ")) \"$@\"; }"
        let result = try shell(
            #""$@""#, [program] + options + ["unshare", "sh", "-euc", function + "\ncd \"$HOME\"\n" + script])
        guard result.status == 0 else { throw HarnessError("\(result)") }
        return result.lines
    }

    private var options: [String] {
        [
            "--root", folder + "/p", "--runroot", folder + "/r", "--tmpdir", folder + "/t", "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "none",
        ]
    }

    private func shell(_ script: String, _ arguments: [String]) throws -> CommandResult {
        try runCommand(
            ["/bin/sh", "-c", script, "sh"] + arguments, environment: environment, timeout: .seconds(60))
    }

    /// Layers belong to subordinate IDs, and a process keeps their user namespace.
    func destroy() {
        _ = try? shell(
            """
            "$@" unshare rm -rf "$HOME/p"
            kill $(cat "$HOME"/t/pause.pid "$HOME"/libpod/tmp/pause.pid 2>/dev/null); rm -rf "$HOME"
            """, [program] + options)
    }
}
