// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem

// The kernel stacks the layers, samara-image writes and compares the files.

func exportCommand() -> Command<Session> {
    Command("export", summary: "Export container's filesystem contents as a tar archive") {
        CommandDeclaration(
            description: "Exports container's filesystem contents as a tar archive and saves it on the local machine.",
            usage: "[options] CONTAINER",
            examples: ["samara export ctrID > myCtr.tar", "samara export --output=\"myCtr.tar\" ctrID"],
            flags: [
                .string(
                    "output", short: "o", help: "Write to a specified file (default: stdout, which must be redirected)")
            ],
            positional: .exactly(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let container = try engine.container(arguments.positional[0])
                try engine.prepareTrees()
                let tree = try engine.tree(of: container)
                let line = ["export"] + (arguments.stringIfSet("output").map { ["-o", $0] } ?? [])
                return try engine.runImageTool(line, descriptors: [tree.raw])
            })
    }
}

/// Which objects `diff` compares.
enum DiffSubject {
    case any, container, image
}

func diffCommand(_ subject: DiffSubject = .any) -> Command<Session> {
    let noun: String =
        switch subject {
        case .any: "container or image"
        case .container: "container"
        case .image: "image"
        }
    return Command("diff", summary: "Display the changes to the \(noun)'s file system") {
        CommandDeclaration(
            description:
                "Displays changes to the \(noun)'s file system: of a container those since its start from the image, of an image those of its topmost layer, and with a second name those from the second to the first.",
            usage: subject == .any
                ? "[options] CONTAINER|IMAGE [CONTAINER|IMAGE]"
                : "[options] \(noun.uppercased()) [\(noun.uppercased())]",
            examples: ["samara diff ctrID", "samara diff --format json ctrID"],
            flags: [
                .string("format", help: "Change the output format (json)"),
                .bool("latest", short: "l", help: "Act on the latest container samara is aware of"),
            ],
            positional: .between(0, 2),
            run: { session, arguments in try diff(session, arguments, subject) })
    }
}

private func diff(_ session: Session, _ arguments: ParsedArguments, _ subject: DiffSubject) throws -> Int32 {
    let format = arguments.string("format")
    if !format.isEmpty, format != "json" {
        throw Failure("only supported value for '--format' is 'json', not \"\(format)\"")
    }
    let engine = try session.engine(arguments)
    var names = arguments.positional
    if arguments.bool("latest") {
        if !names.isEmpty { throw Failure("--latest and containers cannot be used together") }
        names = [try ContainerTargets.latest(engine).text]
    }
    guard let name = names.first else { throw Failure("container, image or --latest must be specified") }
    let first = try DiffedTree(name, engine, subject)
    let second = try names.count > 1 ? DiffedTree(names[1], engine, subject) : nil
    try engine.prepareTrees()
    var line = ["diff"]
    if format == "json" { line.append("--json") }
    if let second {
        let lower = try second.whole(engine)
        let upper = try first.whole(engine)
        return try engine.runImageTool(line + ["--whole"], descriptors: [lower.raw, upper.raw])
    }
    switch first {
    case .container(let container):
        if container.record.rootDirectory != nil {
            throw Failure("the container \(name) has no image to compare its root directory with")
        }
        let lower = try engine.imageTree(of: container)
        let upper = try engine.changes(of: container)
        return try engine.runImageTool(line, descriptors: [lower.raw, upper.raw])
    case .image(let image):
        let lower = try engine.treeBelowTop(of: image.record)
        let upper = try engine.topLayer(of: image.record)
        return try engine.runImageTool(line, descriptors: [lower.raw, upper.raw])
    }
}

private enum DiffedTree {
    case container(Container)
    case image(NamedImage)

    init(_ name: String, _ engine: Engine, _ subject: DiffSubject) throws {
        if subject != .image {
            do throws(EngineError) {
                self = .container(try engine.container(name))
                return
            } catch {
                if subject == .container || error.kind != .noSuchContainer { throw error }
            }
        }
        guard let image = try ImageLookup.find(name, engine) else {
            throw Failure(
                subject == .image ? "\(name): image not known" : "\(name) not found: no such container or image")
        }
        self = .image(image)
    }

    func whole(_ engine: Engine) throws(EngineError) -> OwnedFD {
        switch self {
        case .container(let container): try engine.tree(of: container)
        case .image(let image): try engine.tree(of: image.record)
        }
    }
}
