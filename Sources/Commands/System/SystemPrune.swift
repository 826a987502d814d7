// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import LinuxSystem
import Presentation

func systemPruneCommand() -> Command<Session> {
    Command("prune", summary: "Remove unused data") {
        CommandDeclaration(
            description: "Remove unused data: stopped pods and containers, images and, on request, volumes.",
            usage: "[options]", examples: ["samara system prune", "samara system prune --all --volumes --force"],
            flags: [
                .bool("all", short: "a", help: "Remove all unused data"),
                .bool("build", help: "Accepted for compatibility: there are no containers of builds"),
                .bool("external", help: "Accepted for compatibility: the store has no containers of other engines"),
                .stringArray(
                    "filter", help: "Provide filter values (e.g. 'label=<key>=<value>', 'until=<timestamp>')"),
                .bool("force", short: "f", help: "Do not prompt for confirmation.  The default is false"),
                .bool("volumes", help: "Prune volumes"),
            ],
            positional: .none, run: prune)
    }
}

private func prune(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let (all, volumes) = (arguments.bool("all"), arguments.bool("volumes"))
    let filter = try PruneFilter(arguments.strings("filter"), now: .now)
    if !arguments.bool("force") {
        try session.print(
            "WARNING! This command removes:\n\t- all stopped pods\n\t- all stopped containers\n"
                + (volumes ? "\t- all volumes not used by at least one container\n" : "")
                + (all
                    ? "\t- all images without at least one container associated with them\n"
                    : "\t- all dangling images\n")
                + "\n")
        guard try session.confirm() else { return 0 }
    }
    let engine = try session.engine(arguments)
    try engine.enterUserNamespace()
    let before = try DiskUsage(engine).summaries.reduce(0) { $0 + $1.size }
    var failures = Failures()
    /// Removes each, goes on after a failure, and prints the ids under a heading as Podman does.
    func remove(_ heading: String, _ ids: [String], _ body: (String) throws(EngineError) -> Void) throws {
        var removed: [String] = []
        for id in ids {
            do throws(EngineError) {
                try body(id)
                removed.append(id)
            } catch {
                // Started or removed since the list was made.
                if !error.kind.isMissing, error.kind != .stateImproper, error.kind != .inUse { failures.add(error) }
            }
        }
        if !removed.isEmpty { try session.print("Deleted \(heading)\n" + removed.map { $0 + "\n" }.joined()) }
    }
    // Filters are about containers and images: with one, pods stay, as with Podman.
    let pods = try filter.isEmpty ? engine.pods().filter { $0.status == .exited || $0.status == .stopped } : []
    try remove("Pods", pods.map(\.record.id)) { id throws(EngineError) in
        try engine.removePod(try engine.pod(id), force: false)
    }
    let containers = try engine.containers().filter {
        !$0.isRunning && $0.record.podID == nil && filter.accepts($0)
    }
    try remove("Containers", containers.map(\.record.id)) { id throws(EngineError) in
        try engine.remove(try engine.container(id), force: false, removesVolumes: true, timeout: nil)
    }
    if volumes {
        let used = try VolumeFilters.used(engine)
        let unused = try engine.volumes().map(\.name).filter { !used.contains($0) }
        try remove("Volumes", unused) { name throws(EngineError) in try engine.removeVolume(name, force: false) }
    }
    let users = try ImageLookup.users(engine)
    let report = try engine.images.prune(
        all: all, usedBy: { id in users[id]?.map(\.record.id) ?? [] }, accepts: filter.acceptsImage)
    if !report.deleted.isEmpty {
        try session.print("Deleted Images\n" + report.deleted.map { $0 + "\n" }.joined())
    }
    let after = try DiskUsage(engine).summaries.reduce(0) { $0 + $1.size }
    try session.print("Total reclaimed space: \(HumanSize.text(bytes: max(0, before - after), separator: ""))\n")
    engine.releaseIfIdle()
    return failures.report(session)
}
