// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import JSON
import LinuxSystem
import OCISpec

func commitCommand() -> Command<Session> {
    Command("commit", summary: "Create new image based on the changed container") {
        CommandDeclaration(
            description:
                "Create an image from a container's changes. Optionally tag the image created, set the author with the --author flag, set the commit message with the --message flag, and make changes to the instructions with the --change flag.",
            usage: "[options] CONTAINER [IMAGE]",
            examples: [
                "samara commit -q --message \"committing container to image\" reverent_golick image-committed",
                "samara commit -q --author \"firstName lastName\" reverent_golick image-committed",
                "samara commit -q --change CMD=/bin/bash --change ENTRYPOINT=/bin/sh --change \"LABEL blue=image\" reverent_golick image-committed",
            ],
            flags: [
                .string("author", short: "a", help: "Set the author for the image committed"),
                .stringArray(
                    "change", short: "c",
                    help:
                        "Apply the following possible instructions to the created image (default []): CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR"
                ),
                .string("format", short: "f", default: "oci", help: "Format of the image manifest and metadata"),
                .string("iidfile", help: "Write the image ID to the file"),
                .bool("include-volumes", help: "Include container volumes as image volumes"),
                .string("message", short: "m", help: "Set commit message for imported image"),
                .bool("pause", short: "p", help: "Pause container during commit").hidden(),
                .bool("quiet", short: "q", help: "Suppress output"),
                .bool("squash", short: "s", help: "Squash newly built layers into a single new layer"),
            ],
            positional: .between(1, 2), run: commit)
    }
}

private func commit(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    if arguments.bool("pause") {
        throw Failure(
            "--pause is not supported: containers have no cgroup of their own that could be frozen; stop the container first, or commit it while it runs"
        )
    }
    let engine = try session.engine(arguments)
    let container = try engine.container(arguments.positional[0])
    let record = container.record
    let format = arguments.string("format")
    guard format == "oci" || format == "docker" else {
        throw Failure("unrecognized image format \"\(format)\": must be oci or docker")
    }
    let image = record.imageID.isEmpty ? nil : try engine.images.resolve("sha256:" + record.imageID)
    var config = CommittedConfig.config(record, image: image?.config, volumes: arguments.bool("include-volumes"))
    for change in arguments.strings("change") { try config.apply(change: change) }

    var line = ["commit", "--format", format]
    line += ["--config", String(decoding: config.json.serialized(), as: UTF8.self)]
    line += ["--created-by", (record.entrypoint + record.command).joined(separator: " ")]
    if arguments.isSet("author") { line += ["--author", arguments.string("author")] }
    if arguments.isSet("message") { line += ["--message", arguments.string("message")] }
    if let image { line += ["--parent", "sha256:" + image.id.hex] }
    // A root directory that is no image's has no layer to stand on.
    let isWhole = arguments.bool("squash") || image == nil
    if isWhole { line.append("--squash") }
    line += arguments.positional.dropFirst()
    if arguments.isSet("iidfile") { line += ["--iidfile", arguments.string("iidfile")] }
    try engine.prepareTrees()
    let tree: OwnedFD
    if isWhole { tree = try engine.tree(of: container) } else { tree = try engine.changes(of: container) }
    return try engine.runImageTool(line, descriptors: [tree.raw])
}

/// What containers of a committed image get.
enum CommittedConfig {
    /// Set for each container by the engine; they are not the image's.
    private static let ownVariables: Set<String> = ["HOSTNAME", "HOME", "TERM", "container"]

    static func config(_ record: ContainerRecord, image: ContainerConfig?, volumes: Bool) -> ContainerConfig {
        var config = image ?? ContainerConfig()
        config.user = record.user
        config.entrypoint = record.entrypoint
        config.cmd = record.command
        config.workingDir = record.workingDirectory
        for variable in record.environment {
            let name = variable.prefix { $0 != "=" }
            if config.env.contains(variable) || ownVariables.contains(String(name)) { continue }
            config.env.removeAll { $0.prefix { $0 != "=" } == name }
            config.env.append(variable)
        }
        for (key, value) in record.labels { config.labels[key] = value }
        for port in record.exposedPorts + record.ports.map({ "\($0.containerPort)/\($0.transport)" })
        where !config.exposedPorts.contains(port) { config.exposedPorts.append(port) }
        if volumes {
            for mount in record.mounts where mount.kind != .tmpfs && !config.volumes.contains(mount.destination) {
                config.volumes.append(mount.destination)
            }
        }
        return config
    }
}
