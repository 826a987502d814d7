// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

// Archives are read and written by samara-image, which runs with this command's standard streams: what it prints is
// the output.

func loadCommand() -> Command<Session> {
    Command("load", summary: "Load image(s) from a tar archive") {
        CommandDeclaration(
            description:
                "Loads an image from a locally stored archive (tar file) or image directory into container storage.",
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
                "Save an image to docker-archive, oci-archive, oci-dir or docker-dir on the local machine. Default is docker-archive.",
            usage: "[options] IMAGE [IMAGE...]",
            examples: [
                "samara save --quiet -o myimage.tar imageID", "samara save --format oci-archive -o myimage.tar imageID",
                "samara save > image.tar imageID",
            ],
            flags: [
                .bool("compress", help: "Compress layers that are not compressed (only for docker-dir)"),
                .string(
                    "format", default: "docker-archive",
                    help:
                        "Save image to oci-archive, oci-dir (directory with an OCI layout), docker-archive, docker-dir (directory with a manifest of Docker's schema 2)"
                ),
                .bool(
                    "multi-image-archive", short: "m",
                    help:
                        "Interpret additional arguments as images not tags and create a multi-image-archive (only for docker-archive)"
                ),
                .string(
                    "output", short: "o", help: "Write to a specified file (default: stdout, which must be redirected)"),
                .bool("quiet", short: "q", help: "Suppress the output"),
                .bool("uncompressed", help: "Accepted for compatibility: OCI forms have the layers as they are stored"),
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
    private static let formats = ["oci-archive", "oci-dir", "docker-archive", "docker-dir"]

    static func load(_ arguments: ParsedArguments) -> [String] {
        var line = ["load"]
        if let path = arguments.stringIfSet("input") { line += ["-i", path] }
        if arguments.bool("quiet") { line.append("-q") }
        return line
    }

    static func save(_ arguments: ParsedArguments) throws(Failure) -> [String] {
        let format = arguments.string("format")
        guard formats.contains(format) else {
            throw Failure("unknown format \"\(format)\": must be one of \(formats.joined(separator: ", "))")
        }
        var line = ["save", "--format", format]
        if arguments.bool("compress") { line.append("--compress") }
        if let path = arguments.stringIfSet("output") { line += ["-o", path] }
        if arguments.bool("quiet") { line.append("-q") }
        if arguments.bool("multi-image-archive") { line.append("-m") }
        return line + ["--"] + arguments.positional
    }
}
