// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// Debian's docker-registry on loopback with storage in the workspace, filled by skopeo.
final class ImageRegistry {
    private let bench: Bench
    private let port: Int
    private let environment: [String: String]
    private var input: Int32 = -1

    init(_ bench: Bench) throws {
        self.bench = bench
        guard let program = bench.tools.installed("docker-registry") else {
            throw BenchError("docker-registry is not installed; hack/setup installs it")
        }
        port = Int.random(in: 20_000..<30_000)
        environment = try bench.workspace.environment(home: "registry")
        let configuration = try bench.workspace.write(
            """
            version: 0.1
            log: {level: error, accesslog: {disabled: true}}
            storage:
              filesystem: {rootdirectory: \(bench.workspace.path)/registry/data}
            http: {addr: "127.0.0.1:\(port)"}

            """, to: "registry/config.yml")
        let script = """
            \(program) serve \(configuration) >/dev/null 2>&1 & pid=$!
            until curl -s -o /dev/null http://127.0.0.1:\(port)/v2/; do kill -0 $pid || exit 1; sleep 0.1; done
            echo ready; cat >/dev/null; kill $pid
            """
        input = try bench.runner.startResident(
            Command(path: "/bin/sh", arguments: ["-c", script], environment: environment)
        ).input
        // What it has started stays as well.
        bench.runner.adoptResidents()
    }

    func name(_ image: BenchImage) -> String { "127.0.0.1:\(port)/\(image.name):1" }

    func add(_ image: BenchImage) throws {
        guard let skopeo = bench.tools.installed("skopeo") else {
            throw BenchError("skopeo is not installed; hack/setup installs it")
        }
        try bench.runner.output(
            Command(
                path: skopeo,
                arguments: [
                    "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "oci-archive:" + image.archive,
                    "docker://" + name(image),
                ], environment: environment))
    }

    func end() { close(input) }
}
