// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LayerArchive
import LinuxSystem
import SystemPackage

/// Trees that `samara` hands over: it knows containers and mounts their layers, this program knows archives.
enum GivenTree {
    /// Descriptor 3, an open directory.
    static func first() -> OwnedFD { OwnedFD(3) }
    /// Descriptor 4, an open directory.
    static func second() -> OwnedFD { OwnedFD(4) }
}

/// `samara-image export [-o FILE]`: the directory at descriptor 3 as a tar, podman-export(1).
enum ExportCommand {
    static func run(_ arguments: ArraySlice<String>) throws(CommandFailure) {
        var rest = arguments
        var output: String?
        while let argument = rest.popFirst() {
            switch argument {
            case "-o", "--output": output = try Flags.value(argument, &rest)
            default: throw CommandFailure("unknown argument of export: \"\(argument)\"")
            }
        }
        if output == nil, isatty(1) == 1 {
            throw CommandFailure("refusing to export to terminal. Use -o flag or redirect")
        }
        let tree = GivenTree.first()
        do {
            if let output {
                let file = try OutputFile.open(output)
                try file.write { (fd) throws(LayerArchiveError) in
                    try TreeExport.write(tree, to: fd, name: output)
                }
            } else {
                try TreeExport.write(tree, to: OwnedFD(1), name: "standard output")
            }
        } catch { throw CommandFailure(error.description) }
    }
}

/// `samara-image diff [--whole] [--format json]`: what the tree at descriptor 4 has that the one at 3 has not,
/// podman-diff(1).
enum DiffCommand {
    static func run(_ arguments: ArraySlice<String>) throws(CommandFailure) {
        var rest = arguments
        var form = TreeChanges.Form.overlay
        var isJSON = false
        while let argument = rest.popFirst() {
            switch argument {
            case "--whole": form = .whole
            case "--json": isJSON = true
            default: throw CommandFailure("unknown argument of diff: \"\(argument)\"")
            }
        }
        let lower = GivenTree.first()
        let upper = GivenTree.second()
        let changes: TreeChanges
        do { changes = try TreeChanges(upper, form, over: lower, omitting: MountPlaces.paths) } catch {
            throw CommandFailure(error.description)
        }
        let kinds = [
            ("changed", "C", changes.changed), ("added", "A", changes.added), ("deleted", "D", changes.deleted),
        ]
        if isJSON {
            var object = JSONObject()
            for (key, _, paths) in kinds where !paths.isEmpty {
                object[key] = .strings(paths.map { String(decoding: $0, as: UTF8.self) })
            }
            Output.bytes(JSON.object(object).serialized() + [10])
            return
        }
        // Names are bytes, not text.
        var text: [UInt8] = []
        for (_, letter, paths) in kinds {
            for path in paths { text += Array("\(letter) ".utf8) + path + [10] }
        }
        Output.bytes(text)
    }
}
