// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

// Archives are read and written by samara-image, which runs with this command's standard streams: what it prints is
// the output.

func loadCommand() -> Command<Session> {
    Command("load", summary: "Load image(s) from a tar archive") {
        CommandDeclaration(
            description: "Loads an image from a locally stored archive (tar file) into container storage.",
            usage: "[options]", examples: ["samara load < archive.tar", "samara load -i archive.tar"],
            flags: [
                .string("input", short: "i", help: "Load images from specified file (default: stdin)"),
                .bool("quiet", short: "q", help: "Suppress the output"),
            ],
            positional: .none,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                defer { engine.releaseIfIdle() }
                return try engine.runImageTool(ArchiveArguments.load(arguments))
            })
    }
}

func saveCommand() -> Command<Session> {
    Command("save", summary: "Save image(s) to an archive") {
        CommandDeclaration(
            description:
                "Save an image to docker-archive or oci-archive on the local machine. Default is docker-archive.",
            usage: "[options] IMAGE [IMAGE...]",
            examples: [
                "samara save --quiet -o myimage.tar imageID", "samara save --format oci-archive -o myimage.tar imageID",
                "samara save > image.tar imageID",
            ],
            flags: [
                .string("format", default: "docker-archive", help: "Save image to docker-archive or oci-archive"),
                .bool(
                    "multi-image-archive", short: "m",
                    help:
                        "Interpret additional arguments as images not tags and create a multi-image-archive (only for docker-archive)"
                ),
                .string(
                    "output", short: "o", help: "Write to a specified file (default: stdout, which must be redirected)"),
                .bool("quiet", short: "q", help: "Suppress the output"),
            ],
            positional: .atLeast(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                defer { engine.releaseIfIdle() }
                return try engine.runImageTool(ArchiveArguments.save(arguments))
            })
    }
}

/// The command lines of samara-image.
enum ArchiveArguments {
    static func load(_ arguments: ParsedArguments) -> [String] {
        var line = ["load"]
        if let path = arguments.stringIfSet("input") { line += ["-i", path] }
        if arguments.bool("quiet") { line.append("-q") }
        return line
    }

    static func save(_ arguments: ParsedArguments) throws(Failure) -> [String] {
        let format = arguments.string("format")
        guard format == "docker-archive" || format == "oci-archive" else {
            throw Failure("unknown format \"\(format)\": must be docker-archive or oci-archive")
        }
        var line = ["save", "--format", format]
        if let path = arguments.stringIfSet("output") { line += ["-o", path] }
        if arguments.bool("quiet") { line.append("-q") }
        if arguments.bool("multi-image-archive") { line.append("-m") }
        return line + ["--"] + arguments.positional
    }
}
