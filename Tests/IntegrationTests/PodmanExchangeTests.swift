// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Images between Podman and Samara, both ways and in every form: through a registry the very manifest, in archives
    /// and directories the same diff ids, and the same image id where Podman does not compress the layers anew.
    @Suite struct PodmanExchangeTests {
        private static let formats = ["docker-archive", "oci-archive", "docker-dir", "oci-dir"]
        private static let facts = "{{.Id}} {{.Digest}} {{.RootFS.Layers}}"

        /// The id and the diff ids: without the manifest's digest, which is a new one in archives and directories.
        private static func content(_ facts: String) -> [Substring] {
            var fields = facts.split(separator: " ")
            if fields.count > 1 { fields.remove(at: 1) }
            return fields
        }

        /// A base that is not compressed and a layer that is, with a whiteout; loaded and pushed under `name`.
        private func image(_ samara: Samara, _ name: String) throws -> String {
            try samara.succeed("load", "-i", "\(samara.images)/busybox.tar", timeout: .seconds(60))
            try samara.succeed(
                "run", "--name", "c", "--network", "none", "busybox", "sh", "-c", "rm /bin/wc; echo more > /more")
            try samara.succeed("commit", "-q", "c", name)
            try samara.succeed("rm", "c")
            try samara.succeed("push", "-q", name)
            return try samara.succeed("image", "inspect", "--format", Self.facts, name)
        }

        /// One after the other with one registry and one store: making them is what takes the time.
        @Test func bothWays() throws {
            let registry = try Registry()
            defer { registry.destroy() }
            let samara = try Samara.fresh()
            let name = "\(registry.host)/exchanged:1"
            let before = try image(samara, name)
            try exchangeWithPodman(registry, samara, name, before)
            try samara.succeed("pull", "-q", name)
            try exchangeDirectoriesWithSkopeo(registry, samara, name, before)
            try samara.succeed("pull", "-q", name)
            try pushInAnotherForm(registry, samara, name)
            #expect(try samara.run("system", "check").status == 0)
            try samara.destroy()
        }

        private func exchangeWithPodman(
            _ registry: Registry, _ samara: Samara, _ name: String, _ before: String
        ) throws {
            let podman = try Podman()
            defer { podman.destroy() }
            // Podman takes what Samara pushed and saved; Samara what Podman pushes and saves.
            for format in Self.formats {
                try samara.succeed("save", "--format", format, "-o", "\(podman.folder)/from-samara-\(format)", name)
            }
            let again = "\(registry.host)/exchanged:2"
            let lines = try podman.run(
                """
                podman pull -q --tls-verify=false \(name) >/dev/null
                podman image inspect --format '\(Self.facts)' \(name)
                podman push -q --tls-verify=false \(name) \(again)
                for format in \(Self.formats.joined(separator: " ")); do
                    podman save -q --format $format -o from-podman-$format \(name)
                done
                for format in \(Self.formats.joined(separator: " ")); do
                    podman rmi -af >/dev/null
                    loaded=$(podman load -q -i from-samara-$format)
                    podman image inspect --format '\(Self.facts)' ${loaded##* }
                done
                """)
            try #require(lines.count == 5, "\(lines)")
            #expect(lines[0] == before)
            for (format, after) in zip(Self.formats, lines.dropFirst()) {
                #expect(Self.content(after) == Self.content(before), "\(format)")
                if format.hasPrefix("oci") { #expect(after == before, "\(format)") }
            }

            try samara.succeed("rmi", "--all", "--force")
            try samara.succeed("pull", "-q", again)
            let pulled = try samara.succeed("image", "inspect", "--format", Self.facts, again)
            let pushed = try registry.tool([
                "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://\(again)",
            ])
            #expect(pulled.contains(" \(pushed.text) "), "\(pulled)")
            #expect(Self.content(pulled) == Self.content(before), "\(pulled)")
            for format in Self.formats {
                try samara.succeed("rmi", "--all", "--force")
                let loaded = try samara.succeed("load", "-i", "\(podman.folder)/from-podman-\(format)")
                let id = loaded.split(separator: " ").last.map(String.init) ?? ""
                // The transport dir: has no names.
                #expect(id == name || format == "docker-dir", "\(format): \(loaded)")
                let after = try samara.succeed("image", "inspect", "--format", Self.facts, id)
                #expect(Self.content(after) == Self.content(before), "\(format): \(after)")
            }
            #expect(try samara.succeed("run", "--rm", "--network", "none", name, "cat", "/more") == "more")
        }

        /// skopeo's transports for directories.
        private func exchangeDirectoriesWithSkopeo(
            _ registry: Registry, _ samara: Samara, _ name: String, _ before: String
        ) throws {
            let folder = registry.folder
            try samara.succeed("save", "--format", "oci-dir", "-o", "\(folder)/layout", name)
            try samara.succeed("save", "--format", "docker-dir", "-o", "\(folder)/dir", name)
            for (from, to) in [
                ("oci:\(folder)/layout:\(name)", "dir:\(folder)/d"), ("dir:\(folder)/dir", "oci:\(folder)/o:x"),
            ] {
                try registry.tool(["skopeo", "--insecure-policy", "copy", "-q", from, to])
            }
            for path in ["d", "o"] {
                try samara.succeed("rmi", "--all", "--force")
                let loaded = try samara.succeed("load", "-i", "\(folder)/\(path)")
                let id = loaded.split(separator: " ").last.map(String.init) ?? ""
                let after = try samara.succeed("image", "inspect", "--format", Self.facts, id)
                // From Docker's manifest skopeo makes OCI's with a config that it writes anew.
                #expect(Self.content(after).dropFirst() == Self.content(before).dropFirst(), "\(path)")
                if path == "d" { #expect(after == before) }
            }
        }

        private func pushInAnotherForm(_ registry: Registry, _ samara: Samara, _ name: String) throws {
            let repository = "\(registry.host)/forms"
            try samara.succeed("push", "-q", name, "\(repository):plain")
            let digestFile = registry.folder + "/digest"
            try samara.succeed(
                "push", "-q", "--format", "v2s2", "--compression-format", "gzip", "--digestfile", digestFile,
                name, "\(repository):docker")
            let raw = try registry.tool([
                "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://\(repository):docker",
            ]).stdout
            #expect(raw.contains("application/vnd.docker.distribution.manifest.v2+json"), "\(raw)")
            #expect(
                raw.components(separatedBy: "application/vnd.docker.image.rootfs.diff.tar.gzip").count == 3, "\(raw)")
            let digest = try String(contentsOfFile: digestFile, encoding: .utf8)
            try samara.succeed("rmi", "--all", "--force")
            #expect(samara.storeContents.isEmpty, "\(samara.storeContents)")

            // Every tag of the repository.
            let all = try samara.run("pull", "-q", "--all-tags", repository)
            #expect(all.status == 0 && Set(all.lines).count == 1 && all.lines.count == 2, "\(all)")
            #expect(
                try samara.succeed("images", "--format", "{{.Tag}}").split(separator: "\n").sorted() == [
                    "docker", "plain",
                ])
            #expect(try samara.succeed("run", "--rm", "\(repository):docker", "cat", "/more") == "more")
            try samara.succeed("rmi", "--all", "--force")
            try samara.succeed("pull", "-q", "\(repository):docker")
            #expect(try samara.succeed("image", "inspect", "--format", "{{.Digest}}", "\(repository):docker") == digest)
            let tagged = try samara.run("pull", "--all-tags", "\(repository):plain")
            #expect(tagged.status == 125 && tagged.stderr.contains("takes a repository, without tag"), "\(tagged)")
            let zstd = try samara.run("push", "--compression-format", "zstd:chunked", "\(repository):docker")
            #expect(zstd.status == 125 && zstd.stderr.contains("must be gzip"), "\(zstd)")
        }
    }
}
