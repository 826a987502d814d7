// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import OCISpec

func pullCommand() -> Command<Session> {
    Command("pull", summary: "Pull an image from a registry") {
        CommandDeclaration(
            description: "Pulls an image from a registry and stores it locally.",
            usage: "[options] IMAGE [IMAGE...]",
            examples: [
                "samara pull imageName", "samara pull fedora:latest",
                "samara pull --platform linux/arm64 docker.io/library/debian",
            ],
            flags: RegistryFlags.forTransfers + RegistryFlags.platform + [
                .bool("all-tags", short: "a", help: "All tagged images in the repository will be pulled"),
                .string(
                    "policy", default: "always", help: "Pull image policy (\"always\"|\"missing\"|\"never\"|\"newer\")"),
            ],
            positional: .atLeast(1),
            run: { session, arguments in
                let policy = try PullPolicy(parsing: arguments.string("policy"))
                var line = ["pull", "--policy", policy.rawValue]
                if arguments.bool("all-tags") { line.append("--all-tags") }
                line += try RegistryFlags.line(arguments, RegistryFlags.transferNames)
                line += try RegistryFlags.platformLine(arguments)
                return try session.engine(arguments).runImageTool(line + ["--"] + arguments.positional)
            })
    }
}

func pushCommand() -> Command<Session> {
    Command("push", summary: "Push an image to a specified destination") {
        CommandDeclaration(
            description:
                "Pushes a source image to a specified destination. The image is sent as it is stored, unless --format or --compression-format asks for something else.",
            usage: "[options] IMAGE [DESTINATION]",
            examples: ["samara push quay.io/me/app:1", "samara push app docker://localhost:5000/app:1"],
            flags: RegistryFlags.forTransfers + [
                .string("compression-format", help: "Compression format of the pushed layers (gzip)"),
                .string("digestfile", help: "Write the digest of the pushed image to the specified file"),
                .bool(
                    "force-compression",
                    help:
                        "Accepted for compatibility: with --compression-format, layers of another format are always converted"
                ),
                .string("format", short: "f", help: "Manifest type (oci, v2s2) to use in the destination"),
                .bool("remove-signatures", help: "Accepted for compatibility: images in the store have no signatures"),
            ],
            positional: .between(1, 2),
            run: { session, arguments in
                var line = ["push"]
                line += try RegistryFlags.line(arguments, RegistryFlags.transferNames + ["digestfile"])
                line += try ImagePush.form(arguments)
                return try session.engine(arguments).runImageTool(line + ["--"] + arguments.positional)
            })
    }
}

private enum ImagePush {
    /// --format and --compression-format.
    static func form(_ arguments: ParsedArguments) throws(Failure) -> [String] {
        var line: [String] = []
        if let format = arguments.stringIfSet("format") {
            guard format == "oci" || format == "v2s2" else {
                throw Failure("unknown format \"\(format)\": must be oci or v2s2")
            }
            line += ["--format", format]
        }
        if let compression = arguments.stringIfSet("compression-format") {
            guard compression == "gzip" else {
                throw Failure(
                    "unsupported compression format \"\(compression)\": must be gzip; layers that are zstd already are sent so without this option"
                )
            }
            line.append("--gzip")
        }
        return line
    }
}

/// The image of `run` and `create`: --pull.
enum ContainerImage {
    /// Pulls the image when the policy says so; gives it when it had to be looked up for that. Its progress goes to standard error and its id nowhere: standard output
    /// is the container's.
    static func provide(_ image: String, _ arguments: ParsedArguments, _ engine: Engine) throws -> FoundImage? {
        // With --rootfs there is none.
        if image.isEmpty { return nil }
        let policy = try PullPolicy(parsing: arguments.string("pull"))
        let platform = try RegistryFlags.platformLine(arguments)
        switch policy {
        case .never: return nil
        case .missing:
            // With a platform, samara-image knows whether the local image fits.
            if platform.isEmpty, let found = try find(image, engine) { return found }
        case .always, .newer: break
        }
        let names = ["authfile", "cert-dir", "creds", "retry", "retry-delay", "tls-verify", "quiet"]
        let line =
            ["pull", "--policy", policy.rawValue, "--without-id"]
            + (try RegistryFlags.line(arguments, names)) + platform + ["--", image]
        let code = try engine.runImageTool(line)
        // It has said what went wrong.
        if code != 0 { throw Reported(exitCode: code) }
        return nil
    }

    private static func find(_ image: String, _ engine: Engine) throws(ImageStoreError) -> FoundImage? {
        do throws(ImageStoreError) { return try engine.images.find(image) } catch {
            guard ImageLookup.isMissing(error) else { throw error }
            return nil
        }
    }
}
