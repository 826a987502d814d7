// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// The folder in which everything of one run lives: a home and a runtime directory per peer, bundles, scratch space.
///
/// No peer sees the user's own containers, and nothing is left when the folder is gone.
struct Workspace {
    let path: String

    init() throws {
        let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        // Short, because the names of sockets below it are limited to 107 bytes: unix(7).
        var template = Array((parent + "/samara-bench.XXXXXX").utf8CString)
        guard let name = mkdtemp(&template) else {
            throw BenchError("cannot make a folder in \(parent): \(String(cString: strerror(errno)))")
        }
        path = String(cString: name)
    }

    func directory(_ name: String, mode: Int = 0o700) throws -> String {
        let directory = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
        return directory
    }

    func write(_ text: String, to name: String) throws -> String {
        let file = path + "/" + name
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        return file
    }

    /// What a peer's commands see instead of the user's environment.
    func environment(home: String, extra: [String: String] = [:]) throws -> [String: String] {
        var environment = [
            "HOME": try directory(home + "/home"), "XDG_RUNTIME_DIR": try directory(home + "/run"), "LANG": "C.UTF-8",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TMPDIR": try directory(home + "/tmp"),
        ]
        environment.merge(extra) { $1 }
        return environment
    }
}
