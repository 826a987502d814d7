// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Images into a store: from a registry on this machine with the first start of a container, and from an archive.
///
/// Each round uses a store of its own, and none is removed before the end: ext4 searches the inodes that were freed in
/// the last minutes for each new file, so that whoever comes after a removal would pay for it.
final class ImageScenario: Scenario {
    static let name = "image"
    static let summary = "images: pull with the first run, load; decompression and files"
    static let parts = ["pull-large", "load-large", "pull-small", "load-small"]
    static let thorough = Profile(rounds: 9, warmUp: 1, secondsPerPart: 230)
    static let quick = Profile(rounds: 3, secondsPerPart: 16)
    static let quickParts = ["pull-large", "load-large", "pull-small"]

    private let bench: Bench
    private var registry: ImageRegistry?
    private var subjects: [ImagePeer] = []
    private var absent: [AbsentPeer] = []
    /// Stores made so far: over all parts, because a used one already has what the next part would bring.
    private var storeCount = 0

    init(_ bench: Bench) { self.bench = bench }

    func run(report: inout Report) throws {
        let options = bench.options
        let wanted = Set(options.groups.map { $0.hasSuffix("large") ? "large" : "small" })
        var images: [String: BenchImage] = [:]
        for name in wanted.sorted() {
            bench.progress.say("making the image \(name)")
            images[name] = try BenchImage(name, bench)
        }
        let registry = try ImageRegistry(bench)
        self.registry = registry
        for image in images.values { try registry.add(image) }
        (subjects, absent) = try ImagePeer.find(bench, registry)
        for part in options.groups {
            let (verb, size) = part.hasPrefix("pull") ? (ImagePeer.Verb.pull, part.dropFirst(5)) : (.load, part.dropFirst(5))
            guard let image = images[String(size)] else { continue }
            var result = MetricReport(
                id: "image/" + part, title: verb.title + ", " + image.title, method: verb.method,
                wantedRounds: options.rounds, seed: options.seed)
            let taking = subjects.filter { $0.can(verb) }
            result.subjects = taking.map {
                MetricReport.Subject(
                    name: $0.name, role: $0.role, note: $0.note,
                    commands: $0.commands(verb, image, store: "STORE").map(\.text))
            }
            result.absent = absent
            // What has been found is reported even when the rest is interrupted.
            defer { report.metrics.append(result) }
            try Rounds(bench).measure(part, &result) { index in try measure(taking[index], verb, image) }
        }
    }

    private func measure(
        _ peer: ImagePeer, _ verb: ImagePeer.Verb, _ image: BenchImage
    ) throws -> [(Metric, Double)] {
        storeCount += 1
        let store = try bench.workspace.directory("stores/\(storeCount)")
        var total: Sample?
        for command in peer.commands(verb, image, store: store) {
            let outcome = try bench.runner.run(command)
            guard outcome.status == 0 else {
                throw BenchError("`\(command.text)`: \(ProcessRunner.reason(outcome))")
            }
            total = total.map { $0 + outcome.sample } ?? outcome.sample
        }
        guard let total else { throw BenchError("nothing to run") }
        return [
            (Metric(id: "wall", title: "wall", unit: "s", better: .lower), Double(total.wallNanoseconds) / 1e9),
            (Metric(id: "cpu", title: "CPU", unit: "s", better: .lower), Double(total.cpuNanoseconds) / 1e9),
        ]
    }

    func cleanUp() { registry?.end() }
}
