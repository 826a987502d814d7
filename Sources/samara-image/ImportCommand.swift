// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LayerArchive
import LinuxSystem
import OCISpec
import Presentation

/// `samara-image import`: podman-import(1).
struct ImportCommand {
    private let store: ImageStore
    private var config = ContainerConfig()
    private var comment = ""
    private var platform = Platform.host
    private var words: [String] = []

    init(_ store: ImageStore, _ arguments: ArraySlice<String>) throws(CommandFailure) {
        self.store = store
        var rest = arguments
        while let argument = rest.popFirst() {
            switch argument {
            case "-c", "--change":
                do { try config.apply(change: try Flags.value(argument, &rest)) } catch {
                    throw CommandFailure(String(describing: error))
                }
            case "-m", "--message": comment = try Flags.value(argument, &rest)
            case "--os": platform.os = try Flags.value(argument, &rest)
            case "--arch": platform = Platform(os: platform.os, architecture: try Flags.value(argument, &rest))
            case "--variant": platform.variant = try Flags.value(argument, &rest)
            case "--":
                words += rest
                rest = []
            case "-": words.append(argument)
            case _ where argument.hasPrefix("-"): throw CommandFailure("unknown argument of import: \"\(argument)\"")
            default: words.append(argument)
            }
        }
        if !(1...2).contains(words.count) { throw CommandFailure("import needs an archive and may have a name") }
    }

    func run() throws(CommandFailure) {
        let path = words[0]
        if path.hasPrefix("http://") || path.hasPrefix("https://") {
            throw CommandFailure("\(path) is not a file; download it first, or pipe it into \"import -\"")
        }
        if path == "-", isatty(0) == 1 {
            throw CommandFailure("cannot read from terminal, use command-line redirection or a file")
        }
        var names: [ImageReference] = []
        if words.count == 2 {
            do { names = [try ImageReference(local: words[1])] } catch { throw CommandFailure(error.description) }
        }
        let warnings = WarningLog { Output.error("Warning: \($0)") }
        let options = LayerOptions(ownership: try ImageCommand.ownership(warnings), warnings: warnings)
        let now = Timestamp.now
        let description = ImageImporter.Description(
            platform: platform,
            created: Presentation.Timestamp(seconds: now.seconds, nanoseconds: Int64(now.nanoseconds)).rfc3339Nano(),
            comment: comment.isEmpty ? "imported from \(path == "-" ? "tarball" : path)" : comment, config: config)
        do throws(LayerArchiveError) {
            let id = try ImageImporter(store: store, options: options).run(
                try ImportCommand.open(path), name: path == "-" ? "standard input" : path, description, names: names)
            Output.line(id.description)
        } catch { throw CommandFailure(error.description) }
    }

    private static func open(_ path: String) throws(LayerArchiveError) -> OwnedFD {
        if path == "-" { return OwnedFD(0) }
        do { return try File.open(path, O_RDONLY) } catch { throw LayerArchiveError("open", path, error) }
    }
}
