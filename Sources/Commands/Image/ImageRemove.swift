// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore

func removeImageCommand(_ name: String) -> Command<Session> {
    Command(name, summary: "Remove one or more images from local storage") {
        CommandDeclaration(
            description: "Removes one or more previously pulled or locally created images.",
            usage: "[options] IMAGE [IMAGE...]",
            examples: [
                "samara image rm imageID", "samara image rm --force alpine",
                "samara image rm c4dfb1609ee2 93fd78260bd1 c0ed59d05ff7",
            ],
            flags: [
                .bool("all", short: "a", help: "Remove all images"),
                .bool("force", short: "f", help: "Force Removal of the image"),
                .bool("ignore", short: "i", help: "Ignore errors if a specified image does not exist"),
                .bool("no-prune", help: "Accepted for compatibility: there are no intermediate images to keep"),
            ],
            run: remove)
    }
}

private func remove(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let (all, force) = (arguments.bool("all"), arguments.bool("force"))
    if arguments.positional.isEmpty, !all { throw Failure("image name or ID must be specified") }
    if !arguments.positional.isEmpty, all {
        throw Failure("when using the --all switch, you may not pass any images names or IDs")
    }
    let engine = try session.engine(arguments)
    try engine.enterUserNamespace()
    defer { engine.releaseIfIdle() }
    let names = all ? try engine.images.list().map(\.record.id.hex) : arguments.positional
    var failures = Failures()
    for name in names {
        do {
            if force { try removeContainers(of: name, engine) }
            let users = try ImageLookup.users(engine)
            let report = try engine.images.remove(name, force: force || all) { id in users[id]?.map(\.record.id) ?? [] }
            try session.print(ImageRemoval.text(report))
        } catch let error as ImageStoreError {
            if ImageLookup.isMissing(error), force || arguments.bool("ignore") { continue }
            failures.add(error, exitCode: error.removalExitStatus)
        }
    }
    return failures.report(session)
}

/// --force: the containers made from the image go first.
private func removeContainers(of name: String, _ engine: Engine) throws {
    guard let image = try ImageLookup.find(name, engine) else { return }
    for container in try ImageLookup.users(engine)[image.record.id.hex] ?? [] {
        try engine.remove(container, force: true, removesVolumes: true, timeout: nil)
    }
}

enum ImageRemoval {
    static func text(_ report: RemovalReport) -> String {
        (report.untagged.map { "Untagged: \($0)\n" } + report.deleted.map { "Deleted: \($0)\n" }).joined()
    }
}

func imagePruneCommand() -> Command<Session> {
    Command("prune", summary: "Remove unused images") {
        CommandDeclaration(
            description: """
                Removes dangling or unused images from local storage.

                If an image is not in use by a container, it can be removed.
                """,
            usage: "[options]", examples: ["samara image prune", "samara image prune --all --force"],
            flags: [
                .bool("all", short: "a", help: "Remove all images not in use by containers, not just dangling ones"),
                .bool("build-cache", help: "Accepted for compatibility: there is no build cache"),
                .bool("external", help: "Accepted for compatibility: the store has no containers of other engines"),
                .stringArray(
                    "filter", help: "Provide filter values (e.g. 'label=<key>=<value>', 'until=<timestamp>')"),
                .bool("force", short: "f", help: "Do not prompt for confirmation"),
            ],
            positional: .none,
            run: { session, arguments in
                let all = arguments.bool("all")
                let filter = try PruneFilter(arguments.strings("filter"), now: .now)
                if !arguments.bool("force") {
                    let which =
                        all ? "all images without at least one container associated with them" : "all dangling images"
                    try session.print("WARNING! This command removes \(which).\n")
                    guard try session.confirm() else { return 0 }
                }
                let engine = try session.engine(arguments)
                try engine.enterUserNamespace()
                defer { engine.releaseIfIdle() }
                let users = try ImageLookup.users(engine)
                let report = try engine.images.prune(
                    all: all, usedBy: { id in users[id]?.map(\.record.id) ?? [] }, accepts: filter.acceptsImage)
                try session.print(report.deleted.map { $0 + "\n" }.joined())
                return 0
            })
    }
}
