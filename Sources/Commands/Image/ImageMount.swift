// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import JSON
import Presentation

func imageMountCommand() -> Command<Session> {
    Command("mount", summary: "Mount an image's root filesystem") {
        CommandDeclaration(
            description:
                "Mounts the specified images' root file systems read-only and prints where; without images, lists the mounted ones. Works inside \"samara unshare\": a mount of a user's own is seen nowhere else.",
            usage: "[options] [IMAGE...]",
            examples: ["samara unshare sh -c 'samara image mount imgID && ls …'"],
            flags: [
                .bool("all", short: "a", help: "Mount all images"),
                .string("format", help: "Print the mounted images in specified format (json)"),
            ],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let format = arguments.string("format")
                if !format.isEmpty, format != "json" {
                    throw Failure("only supported value for '--format' is 'json', not \"\(format)\"")
                }
                try ImageMounts.requireUnshared(engine, "mount")
                if arguments.positional.isEmpty, !arguments.bool("all") {
                    try session.print(try ImageMounts.list(engine, isJSON: format == "json"))
                    return 0
                }
                let names =
                    arguments.bool("all") ? try engine.images.list().map(\.record.id.hex) : arguments.positional
                for name in names {
                    let path = try engine.mountImage(try engine.images.resolve(name))
                    try session.print(names.count == 1 ? path + "\n" : "\(name) \(path)\n")
                }
                return 0
            })
    }
}

func imageUnmountCommand() -> Command<Session> {
    Command("unmount", aliases: ["umount"], summary: "Unmount an image's root filesystem") {
        CommandDeclaration(
            description: "Unmounts images that \"samara image mount\" mounted in the same \"samara unshare\".",
            usage: "[options] IMAGE [IMAGE...]",
            examples: ["samara image unmount imgID", "samara image unmount --all"],
            flags: [
                .bool("all", short: "a", help: "Unmount all of the currently mounted images"),
                .bool("force", short: "f", help: "Accepted for compatibility: an unmount is never refused"),
            ],
            run: { session, arguments in
                let engine = try session.engine(arguments)
                try ImageMounts.requireUnshared(engine, "unmount")
                let all = arguments.bool("all")
                if arguments.positional.isEmpty, !all { throw Failure("image name or ID must be specified") }
                let mounted = engine.mountedImages().map(\.id)
                let ids = all ? mounted : try arguments.positional.map { try engine.images.resolve($0).id }
                for id in ids {
                    if !mounted.contains(id) { throw Failure("image \(id.hex) is not mounted") }
                    try engine.unmountImage(id)
                    try session.print(id.hex + "\n")
                }
                return 0
            })
    }
}

enum ImageMounts {
    /// A mount needs a mount namespace that lasts longer than this command.
    static func requireUnshared(_ engine: Engine, _ verb: String) throws(Failure) {
        if engine.isUnshared { return }
        throw Failure(
            "cannot run command \"samara image \(verb)\" in rootless mode, must execute `samara unshare` first")
    }

    static func list(_ engine: Engine, isJSON: Bool) throws -> String {
        let mounts = try engine.mountedImages().map { mount in
            (mount.id, try engine.images.names(of: mount.id).sorted(), mount.path)
        }
        if isJSON {
            return FormattedOutput.json(
                .array(
                    mounts.map { id, names, path in
                        ["id": .string(id.hex), "Repositories": .strings(names), "mountpoint": .string(path)]
                    }), indent: 2)
        }
        return mounts.map { id, names, path in
            "\(names.first ?? String(id.hex.prefix(12)))  \(path)\n"
        }.joined()
    }
}
