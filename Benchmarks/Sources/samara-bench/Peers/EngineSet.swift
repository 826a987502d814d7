// SPDX-License-Identifier: Apache-2.0

/// The engines that take part in a scenario, each with its image loaded; those that cannot, with the reason.
final class EngineSet {
    private(set) var engines: [ContainerEngine] = []
    private(set) var absent: [AbsentPeer] = []
    /// By engine: what its containers are made of, seen from inside.
    private(set) var containers: [String: String] = [:]
    private let runner: ProcessRunner

    init(_ bench: Bench) throws {
        runner = bench.runner
        guard let image = bench.tools.image else {
            throw BenchError("there is no busybox.tar: hack/make-images writes it, and SAMARA_IMAGES names its folder")
        }
        let found = try ContainerEngine.find(bench.tools, bench.workspace, runner)
        // "podman in FOLDER" is asked for by "podman 5", too: nobody knows the version of what is not there.
        absent = found.absent.filter { bench.options.mentions(String($0.peer.prefix { $0 != " " })) }
        for engine in found.engines where bench.options.includes(engine.name) {
            bench.progress.say("preparing \(engine.name)")
            do {
                // Kept before anything runs, so that the cleanup knows of it.
                engines.append(engine)
                containers[engine.name] = try engine.prepare(image, runner)
                runner.adoptResidents()
            } catch let error as BenchError {
                engines.removeLast()
                engine.cleanUp(runner)
                absent.append(AbsentPeer(peer: engine.name, reason: error.description))
            }
        }
    }

    func cleanUp(limitSeconds: Double = 20) {
        for engine in engines { engine.cleanUp(runner, limitSeconds: limitSeconds) }
    }
}
