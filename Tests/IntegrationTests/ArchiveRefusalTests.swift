// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Archives that are damaged or hostile: refused with a reason, nothing of them stays, nothing outside is written.
    @Suite struct ArchiveRefusalTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private var archive: String { samara.home + "/archive.tar" }

        /// Files below the image folders of the shared installation.
        private func imageFiles() -> Set<String> {
            var found: Set<String> = []
            for folder in HostSnapshot.imageFolders {
                // Two levels: the layers' own files are many.
                for name in names(folder) {
                    found.formUnion(
                        ["\(folder)/\(name)"] + names("\(folder)/\(name)").map { "\(folder)/\(name)/\($0)" })
                }
            }
            return found
        }

        private func names(_ folder: String) -> [String] {
            (try? FileManager.default.contentsOfDirectory(atPath: "\(samara.root)/\(folder)")) ?? []
        }

        /// Loads the archive, which must fail, say why, and change nothing.
        private func expectRefusal(_ texts: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) throws {
            let before = imageFiles()
            let result = try samara.run("load", "-i", archive)
            #expect(result.status == 125, "\(result)", sourceLocation: sourceLocation)
            #expect(result.stderr.contains("Error: "), "\(result)", sourceLocation: sourceLocation)
            #expect(result.stdout.isEmpty, "\(result)", sourceLocation: sourceLocation)
            for text in texts {
                #expect(result.stderr.contains(text), "no \"\(text)\": \(result)", sourceLocation: sourceLocation)
            }
            let added = imageFiles().subtracting(before)
            #expect(added.isEmpty, "left: \(added.sorted())", sourceLocation: sourceLocation)
        }

        private func copy(of image: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: "\(samara.images)/\(image).tar"))
        }

        @Test(arguments: [0.02, 0.3, 0.7, 0.97])
        func truncated(part: Double) throws {
            // The same images under another name would share blobs with the ones that are there.
            var image = ImageArchive()
            image.layer.add("file", [UInt8](repeating: 0x41, count: 300_000))
            let bytes = try image.bytes()
            try Data(bytes.prefix(Int(Double(bytes.count) * part))).write(to: URL(fileURLWithPath: archive))
            try expectRefusal()
        }

        @Test func garbage() throws {
            for bytes in [
                Data(), Data("not an archive\n".utf8), Data([UInt8](repeating: 0, count: 10_240)),
                Data((0..<9_000).map { UInt8(truncatingIfNeeded: $0 &* 37) }),
            ] {
                try bytes.write(to: URL(fileURLWithPath: archive))
                try expectRefusal()
            }
            try FileManager.default.removeItem(atPath: archive)
            try expectRefusal(["archive.tar", "No such file or directory"])
        }

        @Test func wrongDigest() throws {
            var image = ImageArchive()
            image.layer.add("file", Array("content".utf8))
            image.diffID = String(repeating: "ab", count: 32)
            try image.write(to: archive)
            try expectRefusal([String(repeating: "ab", count: 32)])
        }

        @Test(arguments: ["nginx", "busybox"])
        func corrupted(image: String) throws {
            // Its own store: an image that is known already need not be read again.
            let own = try Samara.fresh()
            defer { try? own.destroy() }
            var random = SeededGenerator(announcing: "corrupted \(image)")
            var data = try copy(of: image)
            // In the middle of the largest file, which is a layer.
            let place = Int.random(in: data.count * 2 / 5..<data.count * 3 / 5, using: &random)
            data[place] ^= 0x55
            let path = own.home + "/archive.tar"
            try data.write(to: URL(fileURLWithPath: path))
            let result = try own.run("load", "-i", path, timeout: .seconds(60))
            #expect(result.status == 125 && result.stderr.contains("Error: "), "byte \(place): \(result)")
            #expect(try own.succeed("images", "-q").isEmpty)
            // The whole one can be loaded after that.
            try own.succeed("load", "-i", "\(own.images)/\(image).tar", timeout: .seconds(60))
            #expect(try own.succeed("run", "--rm", "--network", "none", image, "sh", "-c", "echo fine") == "fine")
        }

        @Test func partsThatAreMissing() throws {
            var image = ImageArchive()
            image.layer.add("file", Array("content".utf8))
            image.layerPath = "nosuch.tar"
            try image.write(to: archive)
            try expectRefusal(["nosuch.tar"])
            image.layerPath = "../../etc/passwd"
            try image.write(to: archive)
            try expectRefusal()
            image.layerPath = "/etc/passwd"
            try image.write(to: archive)
            try expectRefusal()
            image.layerPath = nil
            image.name = "UPPER CASE:latest"
            try image.write(to: archive)
            try expectRefusal(["UPPER CASE"])
            var empty = Tar()
            empty.add("readme", Array("no image here".utf8))
            try Data(empty.bytes).write(to: URL(fileURLWithPath: archive))
            try expectRefusal()
        }

        /// An entry outside of the layer, after entries that prepare it.
        struct Attack: Sendable, CustomTestStringConvertible {
            var testDescription: String
            /// type, name, link; OUTSIDE stands for a folder of the host.
            var entries: [(type: Character, name: String, link: String)]
            var isRefused = true
        }

        static let attacks: [Attack] = [
            Attack(testDescription: "parent", entries: [("0", "../escaped", "")]),
            Attack(testDescription: "parent of a folder", entries: [("5", "a", ""), ("0", "a/../../escaped", "")]),
            Attack(
                testDescription: "many parents",
                entries: [("0", String(repeating: "../", count: 12) + "tmp/escaped", "")]),
            Attack(testDescription: "absolute path", entries: [("0", "OUTSIDE/escaped", "")], isRefused: false),
            Attack(
                testDescription: "absolute link", entries: [("2", "out", "OUTSIDE"), ("0", "out/escaped", "")],
                isRefused: false),
            Attack(
                testDescription: "relative link",
                entries: [("2", "out", String(repeating: "../", count: 12) + "tmp"), ("0", "out/escaped", "")],
                isRefused: false),
            Attack(
                testDescription: "link over a folder",
                entries: [("5", "d", ""), ("2", "d", "OUTSIDE"), ("0", "d/escaped", "")], isRefused: false),
            Attack(
                testDescription: "file through a link", entries: [("2", "f", "OUTSIDE/secret"), ("0", "f", "")],
                isRefused: false),
            Attack(testDescription: "hard link to a file", entries: [("1", "h", "OUTSIDE/secret"), ("0", "h", "")]),
            Attack(
                testDescription: "hard link through a link",
                entries: [("2", "out", "OUTSIDE"), ("1", "h", "out/secret"), ("0", "h", "")]),
            Attack(testDescription: "hard link to a parent", entries: [("1", "h", "../../../secret")]),
            Attack(
                testDescription: "folder with a link's mode", entries: [("2", "out", "OUTSIDE"), ("5", "out", "")],
                isRefused: false),
        ]

        @Test(arguments: attacks)
        func hostile(attack: Attack) throws {
            let outside = try samara.folder("outside")
            let secret = outside + "/secret"
            try Data("mine".utf8).write(to: URL(fileURLWithPath: secret))
            let before = try state(of: outside)
            var image = ImageArchive()
            for entry in attack.entries {
                let (name, link) = (
                    entry.name.replacing("OUTSIDE", with: outside), entry.link.replacing("OUTSIDE", with: outside)
                )
                image.layer.add(
                    name, type: entry.type, link: link, mode: 0o777, entry.type == "0" ? Array("escaped".utf8) : [])
            }
            try image.write(to: archive)
            if attack.isRefused {
                try expectRefusal()
            } else {
                // Refused or kept inside the layer: both are safe.
                let result = try samara.run("load", "-i", archive)
                #expect(result.status == 0 || result.stderr.contains("Error: "), "\(result)")
                if result.status == 0 { try samara.succeed("rmi", "-f", "localhost/small:latest") }
            }
            #expect(try state(of: outside) == before)
            for path in [
                "/tmp/escaped", samara.root + "/escaped", samara.root + "/layers/escaped", samara.home + "/escaped",
            ] {
                #expect(!FileManager.default.fileExists(atPath: path), "\(path)")
            }
        }

        /// Names, contents, modes and link counts.
        private func state(of folder: String) throws -> [String] {
            let files = FileManager.default
            return try ([""] + files.contentsOfDirectory(atPath: folder).sorted()).map { name in
                let path = folder + "/" + name
                let attributes = try files.attributesOfItem(atPath: path)
                let content = files.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
                return "\(name) \(attributes[.posixPermissions] ?? 0) \(attributes[.referenceCount] ?? 0) \(content)"
            }
        }

        @Test func smallImagesAreFine() throws {
            // What the refusals differ from.
            var image = ImageArchive()
            image.layer.add("bin", type: "5", mode: 0o755)
            image.layer.add("bin/file", Array("content".utf8))
            try image.write(to: archive)
            #expect(try samara.succeed("load", "-i", archive) == "Loaded image: localhost/small:latest")
            #expect(try samara.run("run", "--rm", "--network", "none", "small", "/bin/file").status == 126)
            try samara.succeed("rmi", "small")
        }
    }
}
