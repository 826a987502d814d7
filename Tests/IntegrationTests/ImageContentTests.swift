// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import Testing

extension Integration {
    /// commit, diff, export, image mount and tree, system check: what is in images and containers.
    @Suite struct ImageContentTests {
        let samara: Samara
        init() throws { samara = try Samara.shared() }

        @Test func changesAreShownAndExported() throws {
            try samara.succeed(
                "run", "--name", "changed", "busybox", "sh", "-c",
                "mkdir /new && echo a > /new/file && rm /bin/wc && chmod 700 /home && ln /new/file /new/hard")
            let diff = try samara.run("diff", "changed")
            #expect(diff.status == 0, "\(diff)")
            #expect(diff.lines.contains("A /new/file") && diff.lines.contains("D /bin/wc"), "\(diff)")
            #expect(diff.lines.contains("C /bin") && diff.lines.contains("C /home"), "\(diff)")
            #expect(!diff.stdout.contains("/etc/hosts") && !diff.stdout.contains("/proc"), "\(diff)")
            let json = try samara.succeed("container", "diff", "--format", "json", "changed")
            #expect(json.hasPrefix("{") && json.contains("\"deleted\":[\"/bin/wc\"]"), "\(json)")
            #expect(try samara.run("diff", "nothing").status == 125)
            #expect(try samara.succeed("diff", "changed", "busybox").contains("A /new/file"))
            #expect(try samara.succeed("image", "diff", "busybox").contains("A /bin"))

            let file = samara.home + "/changed.tar"
            defer { try? FileManager.default.removeItem(atPath: file) }
            try samara.succeed("export", "-o", file, "changed")
            let list = try runCommand(["/usr/bin/tar", "-tvf", file], environment: ["PATH": "/usr/bin:/bin"])
            #expect(list.stdout.contains(" new/file\n") && list.stdout.contains("new/hard link to new/file"), "\(list)")
            #expect(!list.stdout.contains(" bin/wc\n") && list.stdout.contains(" bin/sh"), "\(list)")
            // Whoever imports it has the same.
            try samara.succeed("import", "-q", file, "imported")
            #expect(try samara.succeed("run", "--rm", "imported", "cat", "/new/file") == "a")
            try samara.succeed("rm", "changed")
            try samara.succeed("rmi", "imported")
        }

        @Test func aContainerBecomesAnImage() throws {
            try samara.succeed(
                "run", "--name", "made", "-e", "COLOUR=red", "busybox", "sh", "-c",
                "echo hello > /greeting; rm -r /home; mkdir /home; touch /home/only; echo x > /etc/hosts || true")
            let id = try samara.succeed(
                "commit", "-q", "--author", "me", "--message", "first", "--change", "CMD [\"cat\", \"/greeting\"]",
                "--change", "LABEL a=b", "made", "localhost/made:1")
            #expect(id.count == 64)
            #expect(try samara.succeed("run", "--rm", "localhost/made:1") == "hello")
            #expect(try samara.succeed("run", "--rm", "localhost/made:1", "ls", "/home") == "only")
            #expect(try samara.succeed("run", "--rm", "localhost/made:1", "sh", "-c", "echo $COLOUR") == "red")
            let shown = try samara.succeed(
                "image", "inspect", "--format", "{{.Author}} {{.Comment}} {{.Labels.a}} {{len .RootFS.Layers}}",
                "made:1")
            #expect(shown == "me first b 2")
            #expect(try samara.succeed("image", "tree", "made:1").contains("Top Layer of: [localhost/made:1]"))
            #expect(try samara.succeed("image", "tree", "--whatrequires", "busybox").contains("localhost/made:1"))
            #expect(try samara.succeed("diff", "made").contains("A /greeting"))

            // The base is gone for its name only: the layers stay while somebody needs them.
            try samara.succeed("commit", "-q", "--squash", "--format", "docker", "made", "localhost/made:flat")
            let flat = try samara.succeed(
                "image", "inspect", "--format", "{{.ManifestType}} {{len .RootFS.Layers}}", "made:flat")
            #expect(flat == "application/vnd.docker.distribution.manifest.v2+json 1")
            #expect(try samara.succeed("run", "--rm", "localhost/made:flat", "cat", "/greeting") == "hello")
            // Others understand it.
            let file = samara.home + "/made.tar"
            defer { try? FileManager.default.removeItem(atPath: file) }
            try samara.succeed("save", "--format", "oci-archive", "-o", file, "localhost/made:1")
            let seen = try runCommand(
                ["/usr/bin/skopeo", "inspect", "--config", "oci-archive:" + file],
                environment: ["PATH": "/usr/bin:/bin", "HOME": samara.home])
            #expect(seen.status == 0 && seen.stdout.contains("\"COLOUR=red\""), "\(seen)")
            try samara.succeed("rm", "made")
            try samara.succeed("rmi", "localhost/made:1", "localhost/made:flat")
            #expect(try samara.run("system", "check", timeout: .seconds(60)).status == 0)
        }

        @Test func anImageIsMounted() throws {
            let outside = try samara.run("image", "mount", "busybox")
            #expect(
                outside.status == 125 && outside.stderr.contains("must execute `samara unshare` first"), "\(outside)")
            let command = samara.command([]).joined(separator: " ")
            let script = """
                set -e; path=$(\(command) image mount busybox); test -x $path/bin/sh; \(command) image mount
                ! touch $path/x 2>/dev/null; stat -c %u $path; \(command) image unmount busybox; test ! -e $path
                """
            let inside = try samara.run("unshare", "sh", "-c", script)
            #expect(inside.status == 0 && inside.lines.contains("0"), "\(inside)")
            #expect(inside.stdout.contains("busybox:latest  \(samara.root)/mounts/"), "\(inside)")
            #expect(try samara.run("unshare", "no-such-program").status == 127)
        }

        @Test func fortyLayersAreOneTree() throws {
            let image = try ServedImage((0..<40).map { [UInt8](repeating: UInt8($0), count: 100) })
            let server = try FaultyServer { image.reply($0) }
            defer { server.stop() }
            let name = "\(server.host)/forty:1"
            try samara.succeed("pull", "-q", name)
            let command = samara.command(["image", "mount", name]).joined(separator: " ")
            let list = try samara.succeed("unshare", "sh", "-c", "ls $(\(command)) | wc -l")
            #expect(list == "40")
            try samara.succeed("rmi", name)
        }

        @Test func damageIsFoundAndRepaired() throws {
            let samara = try Samara.fresh()
            try samara.succeed("load", "-i", "\(samara.images)/busybox.tar", timeout: .seconds(60))
            #expect(try samara.run("system", "check").status == 0)
            // A file of the layer goes, as by a careless hand; layers are entered through the user namespace.
            try samara.succeed("unshare", "sh", "-c", "rm -f \(samara.root)/layers/*/diff/bin/sh")
            let quick = try samara.run("system", "check", "--quick")
            #expect(quick.status == 0, "\(quick)")
            let check = try samara.run("system", "check")
            #expect(check.status == 125 && check.stdout.contains("\"bin/sh\" is missing"), "\(check)")
            #expect(check.stderr.contains("damage detected in local storage"), "\(check)")
            try samara.succeed("create", "--name", "user", "busybox")
            let kept = try samara.run("system", "check", "--repair")
            #expect(kept.status == 125 && kept.stderr.contains("containers use damaged images"), "\(kept)")
            let repaired = try samara.run("system", "check", "--force")
            #expect(repaired.status == 0 && repaired.stdout.contains("Deleted container: "), "\(repaired)")
            #expect(try samara.run("system", "check").status == 0)
            #expect(samara.storeContents.isEmpty, "\(samara.storeContents)")
            try samara.destroy()
        }

        @Test func pruneTakesFilters() throws {
            let samara = try Samara.fresh()
            try samara.succeed("load", "-i", "\(samara.images)/busybox.tar", timeout: .seconds(60))
            #expect(try samara.succeed("image", "prune", "-af", "--filter", "label=none").isEmpty)
            #expect(try samara.succeed("image", "prune", "-af", "--filter", "until=2000-01-01").isEmpty)
            #expect(try samara.run("image", "prune", "-af", "--filter", "colour=red").status == 125)
            #expect(try samara.succeed("image", "prune", "-af", "--filter", "label!=none").count == 64)
            try samara.destroy()
        }
    }
}
