// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A whole engine with Podman's command line: Podman itself, or Samara.
struct ContainerEngine {
    /// With the version: "podman 5.8.6".
    let name: String
    let path: String
    /// Before the subcommand.
    let globalArguments: [String]
    let environment: [String: String]

    static let image = "docker.io/library/busybox:latest"
    static let pod = "bench"
    static let container = "bench-exec"

    func command(_ arguments: String...) -> Command { command(arguments) }

    func command(_ arguments: [String]) -> Command {
        Command(path: path, arguments: globalArguments + arguments, environment: environment)
    }

    // MARK: Finding

    /// Samara, and each Podman there is.
    static func find(_ tools: Tools, _ workspace: Workspace, _ runner: ProcessRunner) throws -> (
        engines: [ContainerEngine], absent: [AbsentPeer]
    ) {
        var engines: [ContainerEngine] = []
        var absent: [AbsentPeer] = []
        func add(_ name: String, _ make: () throws -> ContainerEngine?) throws {
            do {
                if let engine = try make() {
                    engines.append(engine)
                } else {
                    absent.append(AbsentPeer(peer: name, reason: "not installed"))
                }
            } catch let error as BenchError {
                absent.append(AbsentPeer(peer: name, reason: error.description))
            }
        }
        try add("samara") { try samara(tools, workspace, runner) }
        try add("podman") { try tools.installed("podman").map { try podman($0, folder: nil, workspace, runner) } }
        if let folder = tools.newerFolder {
            try add("podman in \(folder)") {
                try tools.newer("podman").map { try podman($0, folder: folder, workspace, runner) }
            }
        }
        return (engines, absent)
    }

    private static func samara(_ tools: Tools, _ workspace: Workspace, _ runner: ProcessRunner) throws
        -> ContainerEngine?
    {
        guard let path = tools.samara("samara") else { return nil }
        let environment = try workspace.environment(home: "samara")
        let version = try runner.version(of: path, environment)
        return ContainerEngine(name: "samara \(version)", path: path, globalArguments: [], environment: environment)
    }

    private static func podman(
        _ path: String, folder: String?, _ workspace: Workspace, _ runner: ProcessRunner
    ) throws -> ContainerEngine {
        let home = folder == nil ? "podman" : "podman-new"
        var environment = try workspace.environment(home: home, extra: ["PODMAN_IGNORE_CGROUPSV1_WARNING": "1"])
        var arguments = ["--log-level=error"]
        var configuration =
            try folder.map { try String(contentsOfFile: $0 + "/etc/containers.conf", encoding: .utf8) }
            ?? "[containers]\n"
        // Without cgroup v2 nothing can be delegated to a user: rootless Podman then runs without cgroups, and a
        // current crun must be told so as well.
        if !FileManager.default.fileExists(atPath: "/sys/fs/cgroup/cgroup.controllers") {
            configuration = configuration.replacingOccurrences(
                of: "[containers]\n", with: "[containers]\ncgroups = \"disabled\"\n")
            arguments += ["--runtime-flag", "cgroup-manager=disabled"]
        }
        environment["CONTAINERS_CONF"] = try workspace.write(configuration, to: home + "/containers.conf")
        environment["CONTAINERS_STORAGE_CONF"] = try workspace.write(
            """
            [storage]
            driver = "overlay"
            graphroot = "\(workspace.path)/\(home)/storage"
            runroot = "\(workspace.path)/\(home)/run/containers"

            """, to: home + "/storage.conf")
        let policies = try workspace.directory(home + "/home/.config/containers")
        try #"{"default": [{"type": "insecureAcceptAnything"}]}"#
            .write(toFile: policies + "/policy.json", atomically: false, encoding: .utf8)
        let version = try runner.version(of: path, environment)
        return ContainerEngine(
            name: "podman \(version)", path: path, globalArguments: arguments, environment: environment)
    }

    // MARK: Preparing

    /// Loads the image.
    func load(_ image: String, _ runner: ProcessRunner) throws { try runner.output(command("load", "-i", image)) }

    /// Loads the image and checks what a container of this engine is; the text is for the report.
    func prepare(_ image: String, _ runner: ProcessRunner) throws -> String {
        try load(image, runner)
        let probe = try runner.run(
            command(["run", "--rm", "--network", "none", Self.image] + ContainerProbe.arguments), capturesOutput: true)
        guard probe.status == 0 else { throw BenchError("a container does not run: \(ProcessRunner.reason(probe))") }
        // Rootless Podman executes itself again, but the same file.
        if !probe.executable.isEmpty, probe.executable != URL(fileURLWithPath: path).resolvingSymlinksInPath().path {
            throw BenchError("\(path) was started and \(probe.executable) ran")
        }
        return ContainerProbe.describe(probe.output)
    }

    /// Makes the pod that `run --pod` joins, with the container that `exec` enters, and checks that they share a network.
    func preparePod(_ runner: ProcessRunner) throws {
        try runner.output(command("pod", "create", "--name", Self.pod))
        try runner.output(
            command("run", "-d", "--name", Self.container, "--pod", Self.pod, Self.image, "sleep", "86400"))
        runner.adoptResidents()
        let readNetwork = ["readlink", "-f", "/proc/self/ns/net"]
        let inPod = try runner.output(command(["run", "--rm", "--pod", Self.pod, Self.image] + readNetwork))
        let inContainer = try runner.output(command(["exec", Self.container] + readNetwork))
        let onHost = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")) ?? ""
        guard inPod.split(separator: "/").last == inContainer.split(separator: "/").last, !inPod.hasSuffix(onHost)
        else {
            throw BenchError("the pod's containers are in different networks: \(inPod) and \(inContainer)")
        }
    }

    /// Removes all pods and containers; whatever fails is ended with its processes afterwards.
    ///
    /// - Parameter limitSeconds: of each of the two commands.
    func cleanUp(_ runner: ProcessRunner, limitSeconds: Double = 20) {
        for arguments in [["pod", "rm", "-f", "-a", "-t", "0"], ["rm", "-f", "-a", "-t", "0"]] {
            var command = command(arguments)
            command.timeLimitSeconds = limitSeconds
            _ = try? runner.run(command)
        }
    }
}

/// What a container is made of, as seen from inside: so that a peer that leaves something out is not called fast.
enum ContainerProbe {
    static let arguments = [
        "sh", "-c",
        """
        grep -E '^(Seccomp|CapBnd):' /proc/self/status
        for name in user mnt pid net ipc uts cgroup; do echo "ns $name $(readlink -f /proc/self/ns/$name)"; done
        awk '$5 == "/" { sub(/.* - /, ""); print "root " $1; exit }' /proc/self/mountinfo
        """,
    ]

    /// "new user mnt pid net ipc uts; root overlay; seccomp filter; capabilities 00000000800405fb".
    static func describe(_ output: String) -> String {
        var fresh: [String] = []
        var rest: [String] = []
        for line in output.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            guard words.count >= 2 else { continue }
            switch words[0] {
            case "ns" where words.count == 3:
                let own =
                    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(words[1])")) ?? ""
                if !words[2].hasSuffix(own) { fresh.append(words[1]) }
            case "root": rest.append("root \(words[1])")
            case "Seccomp:": rest.append(words[1] == "2" ? "seccomp filter" : "no seccomp filter")
            case "CapBnd:": rest.append("capabilities \(words[1])")
            default: break
            }
        }
        return (["new " + fresh.joined(separator: " ")] + rest).joined(separator: "; ")
    }
}
