// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import Testing

extension Integration {
    /// Against a real registry, with skopeo as the other side.
    @Suite struct RegistryTests {
        private func withRegistry(
            _ guardedBy: Registry.Guard = .nobody, tls: Bool = false, _ body: (Registry, Samara) throws -> Void
        ) throws {
            let registry = try Registry(guardedBy, tls: tls)
            defer { registry.destroy() }
            let samara = try Samara.fresh()
            try body(registry, samara)
            try samara.destroy()
        }

        private func load(_ samara: Samara) throws {
            try samara.succeed("load", "-i", "\(samara.images)/busybox.tar", timeout: .seconds(60))
        }

        @Test func pushedAndPulledIsTheSame() throws {
            try withRegistry { registry, samara in
                try load(samara)
                let name = "\(registry.host)/team/busybox:1"
                let before = try samara.succeed(
                    "image", "inspect", "--format", "{{.Id}} {{.Digest}} {{.RootFS.Layers}}", "busybox")
                let pushed = try samara.run("push", "busybox", name)
                #expect(pushed.status == 0 && pushed.stdout.isEmpty, "\(pushed)")
                #expect(pushed.stderr.contains("Writing manifest to image destination"), "\(pushed)")
                // Everything is there: nothing is sent again.
                let again = try samara.run("push", "busybox", name)
                #expect(again.stderr.contains("skipped: already exists"), "\(again)")

                // skopeo sees the very bytes.
                let digest = try samara.succeed("image", "inspect", "--format", "{{.Digest}}", "busybox")
                let raw = try registry.tool(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://\(name)"])
                #expect(raw.stdout.utf8.count > 100)
                let seen = try registry.tool([
                    "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://\(name)",
                ])
                #expect(seen.text == digest)

                try samara.succeed("rmi", "--all", "--force")
                #expect(samara.storeContents.isEmpty, "\(samara.storeContents)")
                let pulled = try samara.run("pull", name)
                #expect(pulled.status == 0, "\(pulled)")
                #expect(
                    pulled.stderr.hasPrefix("Trying to pull \(name)...\nGetting image source signatures\n"), "\(pulled)"
                )
                #expect(before.hasPrefix(pulled.text + " "), "\(pulled)")
                let after = try samara.succeed(
                    "image", "inspect", "--format", "{{.Id}} {{.Digest}} {{.RootFS.Layers}}", name)
                #expect(after == before)
                #expect(try samara.succeed("run", "--rm", name, "echo", "works") == "works")

                // By digest, quietly, from nothing but the digest.
                try samara.succeed("rmi", "--all", "--force")
                let byDigest = try samara.run("pull", "-q", "\(registry.host)/team/busybox@\(digest)")
                #expect(byDigest.status == 0 && byDigest.stderr.isEmpty && byDigest.text == pulled.text, "\(byDigest)")
                #expect(try samara.run("image", "exists", "\(registry.host)/team/busybox@\(digest)").status == 0)
            }
        }

        @Test func runPullsWhatIsMissing() throws {
            try withRegistry { registry, samara in
                try load(samara)
                let name = "\(registry.host)/app:1"
                try samara.succeed("push", "-q", "busybox", name)
                try samara.succeed("rmi", "--all", "--force")
                let never = try samara.run("run", "--rm", "--pull=never", name, "true")
                #expect(never.status == 125 && never.stderr.contains("image not known"), "\(never)")
                let first = try samara.run("run", "--rm", name, "echo", "hello")
                #expect(first.status == 0 && first.stdout == "hello\n", "\(first)")
                #expect(first.stderr.contains("Trying to pull \(name)..."), "\(first)")
                let second = try samara.run("run", "--rm", name, "echo", "hello")
                #expect(second.stdout == "hello\n" && second.stderr.isEmpty, "\(second)")
                let always = try samara.run("run", "--rm", "--pull=always", name, "true")
                #expect(always.status == 0 && always.stderr.contains("Trying to pull"), "\(always)")
                // The registry is gone: what is here is good enough for newer, not for always.
                registry.end()
                let newer = try samara.run("run", "--rm", "--retry=0", "--pull=newer", name, "echo", "here")
                #expect(newer.status == 0 && newer.stdout == "here\n", "\(newer)")
                let gone = try samara.run("run", "--rm", "--retry=0", "--pull=always", name, "true")
                #expect(gone.status == 125 && gone.stderr.contains("cannot connect to \(registry.host)"), "\(gone)")
            }
        }

        @Test func passwords() throws {
            try withRegistry(.password) { registry, samara in
                try load(samara)
                let name = "\(registry.host)/private/app:1"
                let refused = try samara.run("push", "busybox", name)
                #expect(refused.status == 125, "\(refused)")
                #expect(refused.stderr.contains("log in with \"samara login \(registry.host)\""), "\(refused)")

                let wrong = try samara.run(
                    ["login", "-u", "me", "--password-stdin", registry.host], stdin: "guess\n")
                #expect(
                    wrong.status == 125 && wrong.stderr.contains("refuses the user name or the password"), "\(wrong)")
                let right = try samara.run(
                    ["login", "-u", "me", "--password-stdin", registry.host], stdin: "secret\n")
                #expect(right.status == 0 && right.text == "Login Succeeded!", "\(right)")
                #expect(try samara.succeed("login", "--get-login", registry.host) == "me")
                try samara.succeed("push", "busybox", name)
                try samara.succeed("rmi", "--all", "--force")
                try samara.succeed("pull", name)

                // skopeo understands the file that login wrote.
                try registry.tool([
                    "skopeo", "inspect", "--tls-verify=false", "--authfile",
                    samara.home + "/.config/containers/auth.json",
                    "docker://\(name)",
                ])
                #expect(try samara.succeed("logout", registry.host).contains("Removed login credentials"))
                #expect(try samara.run("pull", name).status == 125)
                try samara.succeed("pull", "--creds", "me:secret", name)
            }
        }

        @Test func certificates() throws {
            try withRegistry(tls: true) { registry, samara in
                try load(samara)
                let name = "\(registry.host)/app:1"
                let untrusted = try samara.run("push", "busybox", name)
                #expect(untrusted.status == 125 && untrusted.stderr.contains("is not trusted"), "\(untrusted)")
                try samara.succeed("push", "--cert-dir", registry.certificates, "busybox", name)
                try samara.succeed("pull", "--tls-verify=false", name)
                // certs.d of the user
                let folder = samara.home + "/.config/containers/certs.d/\(registry.host)"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                try FileManager.default.copyItem(atPath: registry.certificates + "/ca.crt", toPath: folder + "/ca.crt")
                try samara.succeed("pull", name)
            }
        }

        @Test func plainHTTPOnlyWhereAllowed() throws {
            try withRegistry { registry, samara in
                try load(samara)
                try samara.succeed("push", "busybox", "\(registry.host)/app:1")
                let strict = try samara.run("pull", "--tls-verify=true", "\(registry.host)/app:1")
                #expect(strict.status == 125 && strict.stderr.contains("does not speak TLS"), "\(strict)")
            }
        }

        @Test func shortNamesAndMirrors() throws {
            try withRegistry { registry, samara in
                try load(samara)
                try samara.succeed("push", "busybox", "\(registry.host)/proxy/library/busybox:latest")
                try samara.succeed("rmi", "--all", "--force")
                let file = samara.home + "/registries.conf"
                let text = """
                    unqualified-search-registries = ["docker.io"]
                    [[registry]]
                    prefix = "docker.io"
                    [[registry.mirror]]
                    location = "\(registry.host)/proxy"
                    """
                try Data(text.utf8).write(to: URL(fileURLWithPath: file))
                let environment = ["CONTAINERS_REGISTRIES_CONF": file]
                let result = try samara.run(["pull", "busybox"], environment: environment)
                #expect(result.status == 0, "\(result)")
                #expect(
                    try samara.succeed("images", "--format", "{{.Repository}}:{{.Tag}}")
                        == "docker.io/library/busybox:latest")
            }
        }

        @Test func theRightPlatformOfAnIndex() throws {
            try withRegistry { registry, samara in
                try load(samara)
                let repository = "\(registry.host)/multi"
                try samara.succeed("push", "busybox", "\(repository):native")
                let digest = try samara.succeed("image", "inspect", "--format", "{{.Digest}}", "busybox")
                let manifest = try registry.tool([
                    "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://\(repository):native",
                ]).stdout
                let type =
                    manifest.contains("vnd.docker")
                    ? "application/vnd.docker.distribution.manifest.v2+json"
                    : "application/vnd.oci.image.manifest.v1+json"
                func entry(_ architecture: String) -> String {
                    "{\"mediaType\":\"\(type)\",\"digest\":\"\(digest)\",\"size\":\(manifest.utf8.count),\"platform\":{\"os\":\"linux\",\"architecture\":\"\(architecture)\"}}"
                }
                let index =
                    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[\(entry("mips")),\(entry("amd64")),\(entry("arm64"))]}"
                try Data(index.utf8).write(to: URL(fileURLWithPath: registry.folder + "/index.json"))
                try registry.tool([
                    "curl", "-sf", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.index.v1+json",
                    "--data-binary",
                    "@\(registry.folder)/index.json", "http://\(registry.host)/v2/multi/manifests/all",
                ])
                try samara.succeed("pull", "\(repository):all")
                #expect(try samara.succeed("run", "--rm", "\(repository):all", "echo", "ok") == "ok")
                let none = try samara.run("pull", "--platform", "linux/s390x", "\(repository):all")
                #expect(none.status == 125, "\(none)")
                #expect(
                    none.stderr.contains("has no image for linux/s390x; it has linux/mips, linux/amd64, linux/arm64"),
                    "\(none)")
            }
        }

        @Test func proxiesOfTheEnvironment() throws {
            let samara = try Samara.shared()
            let image = try ServedImage([[1, 2, 3]])
            let proxy = try FaultyServer { request in
                // A proxy is asked for the whole address: RFC 9112, 3.2.2.
                let place = "http://registry.invalid"
                guard request.path.hasPrefix(place + "/") else { return .notFound }
                var inner = request
                inner.path = String(request.path.dropFirst(place.count))
                return image.reply(inner)
            }
            defer { proxy.stop() }
            let through = try samara.run(
                ["pull", "-q", "--tls-verify=false", "registry.invalid/app:1"],
                environment: ["HTTP_PROXY": "http://\(proxy.host)"])
            #expect(through.status == 0, "\(through)")
            // A registry of this machine is asked directly.
            let local = try FaultyServer { image.reply($0) }
            defer { local.stop() }
            let direct = try samara.run(
                ["pull", "-q", "\(local.host)/app:1"], environment: ["http_proxy": "http://127.0.0.1:1"])
            #expect(direct.status == 0, "\(direct)")
            try samara.succeed("rmi", "registry.invalid/app:1", "\(local.host)/app:1")
        }

        /// An archive that Samara wrote is what skopeo reads, and the other way round: the very bytes.
        @Test func archivesAreExchangedWithSkopeo() throws {
            try withRegistry { registry, samara in
                try samara.succeed("load", "-i", "\(samara.images)/nginx.tar", timeout: .seconds(60))
                let facts = "{{.Digest}} {{.RootFS.Layers}}"
                let before = try samara.succeed("image", "inspect", "--format", facts, "nginx")
                let saved = registry.folder + "/saved.tar"
                try samara.succeed("save", "--format", "oci-archive", "-o", saved, "nginx")
                let name = "\(registry.host)/exchanged"
                try registry.tool([
                    "skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false",
                    "oci-archive:" + saved, "docker://\(name):1",
                ])
                try samara.succeed("rmi", "--all", "--force")
                try samara.succeed("pull", "-q", "\(name):1")
                #expect(try samara.succeed("image", "inspect", "--format", facts, "\(name):1") == before)
                let fetched = registry.folder + "/fetched.tar"
                try registry.tool([
                    "skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", "--src-tls-verify=false",
                    "docker://\(name):1", "oci-archive:\(fetched):example.com/fetched:1",
                ])
                try samara.succeed("rmi", "--all", "--force")
                try samara.succeed("load", "-i", fetched, timeout: .seconds(60))
                #expect(try samara.succeed("image", "inspect", "--format", facts, "example.com/fetched:1") == before)

                // Docker's form has no manifest; the diff ids say that the layers are the same.
                let docker = registry.folder + "/docker.tar"
                try samara.succeed("save", "-o", docker, "example.com/fetched:1")
                let config = try registry.tool(["skopeo", "inspect", "--config", "docker-archive:" + docker])
                for layer in before.split(separator: " ").dropFirst() {
                    let diffID = layer.filter { $0 != "[" && $0 != "]" }
                    #expect(config.stdout.contains(diffID), "\(diffID) is not in \(config)")
                }
            }
        }
    }
}
