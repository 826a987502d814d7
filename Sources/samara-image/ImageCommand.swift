// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LayerArchive
import LinuxSystem
import SystemPackage

/// A command line that cannot be carried out, or a command that failed.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
    /// 125 as for every engine error, podman-run(1).
    var status: Int32 = 125

    init(_ description: String) { self.description = description }
}

/// `samara-image --root DIR COMMAND …`.
///
///     load [-i FILE|-] [-q]                        prints "Loaded image: NAME" for each
///     save [-o PATH] [--format FORMAT] IMAGE…      FORMAT: docker-archive, oci-archive, docker-dir, oci-dir
///     import [FLAG…] FILE|- [NAME]                 prints the image's id
///     gc                                           removes what no image needs
///     pull [FLAG…] NAME…                           prints each image's id
///     push [FLAG…] IMAGE [DESTINATION]
///     login [FLAG…] REGISTRY, logout [FLAG…] [REGISTRY]
///     check [--quick] [--repair]                   compares the store's content with its names
///     export, diff, commit                         on directories that are descriptors 3 and 4; see there
enum ImageCommand {
    static func run(_ arguments: [String]) throws(CommandFailure) {
        var rest = arguments[...]
        guard rest.first == "--root", let root = rest.dropFirst().first, root.hasPrefix("/") else {
            throw CommandFailure(
                "usage: samara-image --root DIR COMMAND …; DIR is an absolute path, COMMAND one of \(commands)"
            )
        }
        rest = rest.dropFirst(2)
        let store = ImageStore(root: root)
        switch rest.popFirst() {
        case "load"?: try load(store, rest)
        case "save"?: try SaveCommand(rest).run(store)
        case "pull"?: try PullCommand(store, rest).run()
        case "push"?: try PushCommand(store, rest).run()
        case "import"?: try ImportCommand(store, rest).run()
        case "login"?: try LoginCommand(rest).login()
        case "logout"?: try LoginCommand(rest).logout()
        case "gc"?:
            if let extra = rest.first { throw CommandFailure("gc takes no argument, not \"\(extra)\"") }
            do { try store.garbageCollect() } catch { throw CommandFailure(error.description) }
        case "check"?: try CheckCommand.run(store, rest)
        case "export"?: try ExportCommand.run(rest)
        case "diff"?: try DiffCommand.run(rest)
        case "commit"?:
            var command = try CommitCommand(store, rest)
            try command.run()
        case let other?: throw CommandFailure("unknown command \"\(other)\" (\(commands))")
        case nil: throw CommandFailure("a command is missing (\(commands))")
        }
    }

    private static let commands =
        "load, save, import, gc, pull, push, login, logout, check, export, diff, commit"

    // MARK: load

    private static func load(_ store: ImageStore, _ arguments: ArraySlice<String>) throws(CommandFailure) {
        var rest = arguments
        var input = "-"
        while let argument = rest.popFirst() {
            switch argument {
            case "-i", "--input":
                guard let value = rest.popFirst() else { throw CommandFailure("flag needs an argument: \(argument)") }
                input = value
            case "-q", "--quiet":
                // Only the names are printed anyway.
                continue
            default: throw CommandFailure("unknown argument of load: \"\(argument)\"")
            }
        }
        if input == "-", isatty(0) == 1 {
            throw CommandFailure("cannot read from terminal, use command-line redirection or the --input flag")
        }
        let warnings = WarningLog { Output.error("Warning: \($0)") }
        let ownership = try self.ownership(warnings)
        let loader = ImageLoader(store: store, options: LayerOptions(ownership: ownership, warnings: warnings))
        let images: [ImageLoader.LoadedImage]
        do {
            images = input == "-" ? try loader.load(OwnedFD(0), name: "standard input") : try loader.load(path: input)
        } catch { throw CommandFailure(error.description) }
        for image in images {
            for name in image.names.isEmpty ? [image.id.description] : image.names {
                Output.line("Loaded image: \(name)")
            }
        }
    }

    /// With one id mapped there is nobody else to own a file; with more, what is not mapped is an error later.
    static func ownership(_ warnings: WarningLog) throws(CommandFailure) -> Ownership {
        for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
            let bytes: [UInt8]
            do { bytes = try File.read(map, limit: 65536) } catch {
                throw CommandFailure("read \(map): \(error.text)")
            }
            let ids = bytes.split(separator: UInt8(ascii: "\n")).reduce(into: 0) { total, line in
                let fields = line.split(separator: UInt8(ascii: " "))
                total += fields.count == 3 ? Int(String(decoding: fields[2], as: UTF8.self)) ?? 0 : 0
            }
            if ids <= 1 {
                warnings.warn(
                    "only one user or group id is mapped, so all files of the image belong to it; give the user a range in /etc/subuid and /etc/subgid"
                )
                return .unpacking
            }
        }
        return .asArchived
    }
}
