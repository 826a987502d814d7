// SPDX-License-Identifier: Apache-2.0
import ImageStore
import JSON
import LayerArchive
import LinuxSystem
import OCISpec
import Presentation

/// `samara-image commit`: the changes of a container, overlay's upper directory at descriptor 3, as a new image.
///
///     --config JSON      what containers of the image get: image-spec, config.md, "config"
///     --parent ID        the container's image; with --squash only its platform is taken from it
///     --squash           descriptor 3 is the whole root, and the image has one layer
///     --created-by, --author, --message, --format oci|docker, --iidfile FILE
///     [NAME…]            prints the image's id
struct CommitCommand {
    private let store: ImageStore
    private var description: ImageCommitter.Description
    private var parent: String?
    private var isSquashed = false
    private var idFile: String?
    private var names: [ImageReference] = []

    init(_ store: ImageStore, _ arguments: ArraySlice<String>) throws(CommandFailure) {
        self.store = store
        let now = LinuxSystem.Timestamp.now
        description = ImageCommitter.Description(
            created: Presentation.Timestamp(seconds: now.seconds, nanoseconds: Int64(now.nanoseconds)).rfc3339Nano(),
            createdBy: "")
        var rest = arguments
        while let argument = rest.popFirst() {
            switch argument {
            case "--config":
                do {
                    description.config = try ContainerConfig(
                        try JSON.parse(Array(try Flags.value(argument, &rest).utf8)))
                } catch { throw CommandFailure(String(describing: error)) }
            case "--parent": parent = try Flags.value(argument, &rest)
            case "--squash": isSquashed = true
            case "--iidfile": idFile = try Flags.value(argument, &rest)
            case "--created-by": description.createdBy = try Flags.value(argument, &rest)
            case "--author": description.author = try Flags.value(argument, &rest)
            case "--message": description.comment = try Flags.value(argument, &rest)
            case "--format":
                let text = try Flags.value(argument, &rest)
                guard text == "oci" || text == "docker" else {
                    throw CommandFailure("unknown format \"\(text)\": must be oci or docker")
                }
                description.isDocker = text == "docker"
            case _ where argument.hasPrefix("-"): throw CommandFailure("unknown argument of commit: \"\(argument)\"")
            default:
                do { names.append(try ImageReference(local: argument)) } catch {
                    throw CommandFailure(error.description)
                }
            }
        }
    }

    mutating func run() throws(CommandFailure) {
        var below: ImageRecord?
        if let parent {
            do { below = try store.resolve(parent) } catch { throw CommandFailure(error.description) }
            if let below { description.platform = below.platform }
        }
        let warnings = WarningLog { Output.error("Warning: \($0)") }
        let options = LayerOptions(ownership: try ImageCommand.ownership(warnings), warnings: warnings)
        do throws(LayerArchiveError) {
            let id = try ImageCommitter(store: store, options: options).commit(
                GivenTree.first(), on: isSquashed ? nil : below, description, names: names)
            if let idFile {
                do { try File.write(idFile, Array(id.description.utf8), mode: 0o644) } catch {
                    throw LayerArchiveError("write the image's id to", idFile, error)
                }
            }
            Output.line(id.hex)
        } catch { throw CommandFailure(error.description) }
    }
}
