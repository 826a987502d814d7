// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Who brings an image into a store.
struct ImagePeer {
    enum Verb {
        case pull, load

        var title: String {
            switch self {
            case .pull: "Pull, unpack and first run"
            case .load: "Load from an archive"
            }
        }

        var method: String {
            switch self {
            case .pull:
                "From docker-registry on 127.0.0.1 into an empty store; then a container of the image runs /bin/true without network. skopeo and umoci unpack only, the limit decompresses and unpacks the layers' files one after the other."
            case .load: "An OCI archive of the same image into an empty store."
            }
        }
    }

    let name: String
    var role: MetricReport.Role?
    var note: String?
    private let make: (_ verb: Verb, _ image: BenchImage, _ store: String) -> [Command]
    private var canLoad = true

    func commands(_ verb: Verb, _ image: BenchImage, store: String) -> [Command] { make(verb, image, store) }

    func can(_ verb: Verb) -> Bool { canLoad || verb == .pull }

    static func find(_ bench: Bench, _ registry: ImageRegistry) throws -> ([ImagePeer], [AbsentPeer]) {
        let found = try ContainerEngine.find(bench.tools, bench.workspace, bench.runner)
        var peers = found.engines.filter { bench.options.includes($0.name) }.map { engine($0, registry) }
        var absent = found.absent.filter { bench.options.includes($0.peer) }
        let environment = try bench.workspace.environment(home: "tools")
        if bench.options.includes("skopeo") {
            if let skopeo = bench.tools.installed("skopeo"), let umoci = bench.tools.installed("umoci") {
                peers.append(copying(skopeo, umoci, registry, environment))
            } else {
                absent.append(AbsentPeer(peer: "skopeo and umoci", reason: "not installed"))
            }
        }
        peers.append(limit(environment))
        return (peers, absent)
    }

    private static func engine(_ engine: ContainerEngine, _ registry: ImageRegistry) -> ImagePeer {
        let isSamara = engine.name.hasPrefix("samara")
        return ImagePeer(name: engine.name) { verb, image, store in
            // Samara keeps no images in its run directory; one for all keeps one process for the user namespace.
            let place =
                ["--root", store + "/root"]
                + (isSamara ? [] : ["--runroot", store + "/run", "--storage-driver", "overlay"])
            func command(_ arguments: [String]) -> Command {
                var command = engine.command(place + arguments)
                command.timeLimitSeconds = 120
                return command
            }
            switch verb {
            case .load: return [command(["load", "-q", "-i", image.archive])]
            case .pull:
                let name = registry.name(image)
                return [
                    command(["pull", "-q", "--tls-verify=false", name]),
                    command(["run", "--rm", "--network", "none", name, "/bin/true"]),
                ]
            }
        }
    }

    private static func copying(
        _ skopeo: String, _ umoci: String, _ registry: ImageRegistry, _ environment: [String: String]
    ) -> ImagePeer {
        ImagePeer(name: "skopeo and umoci", note: "no run") { verb, image, store in
            let source = verb == .pull ? "docker://" + registry.name(image) : "oci-archive:" + image.archive
            return [
                Command(
                    path: skopeo,
                    arguments: [
                        "--insecure-policy", "copy", "-q", "--src-tls-verify=false", source, "oci:\(store)/layout:1",
                    ], environment: environment, timeLimitSeconds: 120),
                Command(
                    path: umoci,
                    arguments: ["unpack", "--rootless", "--image", "\(store)/layout:1", store + "/bundle"],
                    environment: environment, timeLimitSeconds: 120),
            ]
        }
    }

    private static func limit(_ environment: [String: String]) -> ImagePeer {
        ImagePeer(name: "limit: gzip -d | tar -x", role: .limit) { _, image, store in
            [
                Command(
                    path: "/bin/sh",
                    arguments: [
                        "-c", "set -e; for layer; do gzip -dc \"$layer\" | tar -x --no-same-owner -C '\(store)'; done",
                        "sh",
                    ] + image.layers, environment: environment, timeLimitSeconds: 120)
            ]
        }
    }
}
