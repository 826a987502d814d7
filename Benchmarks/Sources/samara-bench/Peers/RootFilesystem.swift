// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The image's files as a plain directory, for the tools that take one: the floor, crun, runc, bubblewrap.
enum RootFilesystem {
    /// Unpacks a docker-archive.
    static func unpack(_ image: String, _ workspace: Workspace, _ runner: ProcessRunner) throws -> String {
        struct Entry: Decodable { let Layers: [String] }
        let archive = try workspace.directory("archive")
        let root = try workspace.directory("rootfs", mode: 0o755)
        let environment = try workspace.environment(home: "tar")
        func tar(_ arguments: String...) throws {
            try runner.output(Command(path: "/bin/tar", arguments: arguments, environment: environment))
        }
        try tar("-C", archive, "-xf", image)
        guard let manifest = FileManager.default.contents(atPath: archive + "/manifest.json"),
            let entry = try? JSONDecoder().decode([Entry].self, from: manifest).first
        else { throw BenchError("\(image) is not a docker-archive: it has no readable manifest.json") }
        for layer in entry.Layers { try tar("-C", root, "-xf", archive + "/" + layer) }
        // What every engine adds when the image lacks it; here it is there once for all.
        for name in ["proc", "dev", "sys"] {
            try FileManager.default.createDirectory(atPath: root + "/" + name, withIntermediateDirectories: true)
        }
        return root
    }
}
