// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// A bundle made from the busybox image, with a state directory of its own: what `samara-runtime` works on.
final class RuntimeBundle {
    let folder: String
    let program: String
    let environment: [String: String]
    var config: [String: Any]
    private var serial = 0

    var rootfs: String { folder + "/rootfs" }

    /// - Parameter ownsProgram: run a copy of the executable that belongs to this user.
    init(ownsProgram: Bool = false) throws {
        let samara = try Samara.shared()
        environment = samara.environment
        folder = samara.home + "/b" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let files = FileManager.default
        try files.createDirectory(atPath: folder + "/rootfs", withIntermediateDirectories: true)
        try Self.extract("\(samara.images)/busybox.tar", into: folder, environment)
        let built = samara.executables + "/samara-runtime"
        program = ownsProgram ? folder + "/samara-runtime" : built
        if ownsProgram { try files.copyItem(atPath: built, toPath: program) }
        config = [:]
        let written = try runCommand([built, "spec", "--rootless", "-b", folder], environment: environment)
        try #require(written.status == 0, "\(written)")
        let object = try JSONSerialization.jsonObject(
            with: Data(contentsOf: URL(fileURLWithPath: folder + "/config.json")))
        config = try #require(object as? [String: Any])
        setProcess("terminal", false)
        config["root"] = ["path": "rootfs"]
    }

    deinit {
        _ = try? run("delete", "--force", "c")
        // Directories of a container's root may be closed to their owner.
        _ = try? runCommand(
            ["/bin/sh", "-c", "chmod -R u+rwx '\(folder)'; rm -rf '\(folder)'"], environment: environment)
    }

    func setProcess(_ key: String, _ value: Any) {
        var process = config["process"] as? [String: Any] ?? [:]
        process[key] = value
        config["process"] = process
    }

    func setLinux(_ key: String, _ value: Any) {
        var linux = config["linux"] as? [String: Any] ?? [:]
        linux[key] = value
        config["linux"] = linux
    }

    func addMount(_ mount: [String: Any]) {
        config["mounts"] = (config["mounts"] as? [[String: Any]] ?? []) + [mount]
    }

    func setNamespaces(_ types: String...) { setLinux("namespaces", types.map { ["type": $0] }) }

    /// Maps the ids of /etc/subuid and /etc/subgid from 1 on: with one own id no other user can be had.
    func mapSubordinateIDs() throws {
        func map(_ file: String, _ own: UInt32) throws -> [[String: Int]] {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(NSUserName() + ":") })
            let first = try #require(Int(line.split(separator: ":")[1]))
            return [
                ["containerID": 0, "hostID": Int(own), "size": 1],
                ["containerID": 1, "hostID": first, "size": 1000],
            ]
        }
        setLinux("uidMappings", try map("/etc/subuid", getuid()))
        setLinux("gidMappings", try map("/etc/subgid", getgid()))
    }

    func removeMounts(_ destination: String) {
        config["mounts"] = (config["mounts"] as? [[String: Any]] ?? []).filter {
            let path = $0["destination"] as? String ?? ""
            return path != destination && !path.hasPrefix(destination + "/")
        }
    }

    /// Makes `script` the container's program.
    func shell(_ script: String) { setProcess("args", ["sh", "-c", script]) }

    func save() throws {
        try JSONSerialization.data(withJSONObject: config).write(to: URL(fileURLWithPath: folder + "/config.json"))
    }

    /// Runs `samara-runtime ARGUMENTS` to its end; `create` and `run` take the bundle from here.
    func run(_ arguments: String..., timeout: Duration = .seconds(20)) throws -> CommandResult {
        var arguments = arguments
        if ["create", "run"].contains(arguments[0]) {
            try save()
            arguments.insert(contentsOf: ["-b", folder], at: 1)
        }
        return try runCommand(
            [program, "--root", folder + "/state"] + arguments, environment: environment, timeout: timeout)
    }

    /// The same from a shell that has executed `preparation` first, such as `umask 077`; what it starts with `exec` to
    /// the runtime keeps.
    func run(after preparation: String, _ arguments: String...) throws -> CommandResult {
        try save()
        var words = arguments
        if ["create", "run"].contains(words[0]) { words.insert(contentsOf: ["-b", folder], at: 1) }
        return try runCommand(
            ["/bin/sh", "-c", preparation + "\n\"$@\"", "sh", program, "--root", folder + "/state"] + words,
            environment: environment)
    }

    /// The same as root of a user namespace that has the subordinate ids, as Podman calls the runtime.
    func runNested(after preparation: String, _ arguments: String...) throws -> CommandResult {
        try save()
        let options = [
            "--user", "--map-root-user", "--map-users", "auto", "--map-groups", "auto", "--mount", "--pid", "--fork",
            "--mount-proc", "--kill-child",
        ]
        // Libraries of the toolchain are not for programs of the distribution.
        var environment = environment
        environment["LD_LIBRARY_PATH"] = nil
        return try runCommand(
            ["/usr/bin/unshare"] + options + [
                "/bin/sh", "-ec", preparation + "\n\"$@\"", "sh", program, "--root", folder + "/nested",
            ]
                + [arguments[0], "-b", folder] + arguments.dropFirst(), environment: environment)
    }

    func succeed(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        var words = arguments
        if ["create", "run"].contains(words[0]) {
            try save()
            words.insert(contentsOf: ["-b", folder], at: 1)
        }
        let result = try runCommand([program, "--root", folder + "/state"] + words, environment: environment)
        try #require(result.status == 0, "\(result)", sourceLocation: sourceLocation)
        return result.text
    }

    /// Creates the container `c` so that no output of its process keeps a pipe of the test open.
    func create(detachedRun: Bool = false, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try save()
        let child = try ChildProcess(
            [program, "--root", folder + "/state", "--log", folder + "/log"]
                + (detachedRun ? ["run", "--detach"] : ["create", "--pid-file", folder + "/pid"]) + [
                    "-b", folder, "c",
                ],
            environment: environment)
        var status: Int32?
        eventually("create ends", sourceLocation: sourceLocation) {
            status = child.ended()
            return status != nil
        }
        let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
        try #require(status == 0, "\(log)", sourceLocation: sourceLocation)
    }

    var status: String {
        get throws {
            let text = try succeed("state", "c")
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            return try #require(object?["status"] as? String)
        }
    }

    private static func extract(_ archive: String, into folder: String, _ environment: [String: String]) throws {
        let script = """
            mkdir '\(folder)/image' && tar xf '\(archive)' -C '\(folder)/image' &&
            for layer in '\(folder)'/image/*/layer.tar; do tar xf "$layer" -C '\(folder)/rootfs' || exit; done; rm -rf '\(folder)/image'
            """
        let result = try runCommand(["/bin/sh", "-c", script], environment: environment)
        try #require(result.status == 0, "\(result)")
    }
}
