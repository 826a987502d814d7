// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// An image with everything that images rarely have, seen from inside a container.
    @Suite struct OddImageTests {
        private func extracted(_ archive: String, _ member: String) throws -> [UInt8] {
            let file = archive + ".member"
            defer { try? FileManager.default.removeItem(atPath: file) }
            let result = try runCommand(
                ["/bin/sh", "-c", "tar -xOf \"$0\" --wildcards \"$1\" >\"$2\"", archive, member, file],
                environment: ["PATH": "/usr/bin:/bin"])
            try #require(result.status == 0, "\(result)")
            return try Array(Data(contentsOf: URL(fileURLWithPath: file)))
        }

        @Test func everythingArrivesInTheContainer() throws {
            let samara = try Samara.shared()
            let folder = try samara.folder("odd")
            let archive = folder + "/odd.tar"
            try FileManager.default.copyItem(atPath: "\(samara.images)/busybox.tar", toPath: folder + "/base.tar")
            var image = ImageArchive(name: "localhost/odd:1")
            let base = try extracted(folder + "/base.tar", "*/layer.tar")
            image.base = base
            try Data(base).write(to: URL(fileURLWithPath: folder + "/layer.tar"))
            // A hard link there, whose content is another entry's.
            let busybox = try extracted(folder + "/layer.tar", "bin/*")

            let longName = String(repeating: "n", count: 255)
            image.layer.add("odd", type: "5", mode: 0o751, owner: 1000)
            // VFS_CAP_REVISION_2, effective, cap_net_bind_service: capabilities(7), linux/capability.h.
            let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0] + [UInt8](repeating: 0, count: 12)
            image.layer.extend([
                ("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", [1, 0, 255]),
            ])
            image.layer.add("odd/grep", mode: 0o755, owner: 33, busybox)
            image.layer.add("odd/setid", mode: 0o6755, owner: 65535, Array("x".utf8))
            image.layer.add("odd/hard", type: "1", link: "odd/setid")
            image.layer.add("odd/soft", type: "2", link: "../../../odd/setid")
            image.layer.add("odd/null", type: "3", device: (1, 3))
            image.layer.add("odd/disk", type: "4", device: (8, 0))
            image.layer.add("odd/fifo", type: "6", mode: 0o620)
            image.layer.extend([("path", Array("odd/\(longName)".utf8))])
            image.layer.add("x", Array("long".utf8))
            image.layer.extend([("path", Array("odd/".utf8) + [0x66, 0xff, 0xe9])])
            image.layer.add("x", Array("bytes".utf8))
            // 9 GiB with one block of content: GNU tar, "PAX Format, Version 1.0".
            let size = 9 << 30
            image.layer.extend([
                ("GNU.sparse.major", [0x31]), ("GNU.sparse.minor", [0x30]),
                ("GNU.sparse.name", Array("odd/sparse".utf8)),
                ("GNU.sparse.realsize", Array("\(size)".utf8)),
            ])
            let map = Array("1\n\(size - 512)\n512\n".utf8)
            image.layer.add(
                "x", map + [UInt8](repeating: 0, count: 512 - map.count) + [UInt8](repeating: 0x73, count: 512))
            // A directory goes, one goes and comes again, one becomes a file, and in one all is hidden.
            image.layer.add(".wh.usr")
            image.layer.add(".wh.home")
            image.layer.add("home/only", Array("here".utf8))
            image.layer.add("root", Array("a file".utf8))
            image.layer.add("var", type: "5", mode: 0o755)
            image.layer.add("var/.wh..wh..opq")
            image.layer.add("var/new", type: "5", mode: 0o755)
            try image.write(to: archive)

            let loaded = try samara.run("load", "-i", archive, timeout: .seconds(60))
            #expect(loaded.status == 0 && loaded.stderr.contains("device nodes elsewhere"), "\(loaded)")
            defer { _ = try? samara.run("rmi", "-f", "localhost/odd:1") }
            let script = """
                cd /odd; stat -c '%n %u %g %a %h %s' . grep setid hard fifo sparse | sed 's/ [0-9]*$//;/grep/!b'
                stat -c '%s %b' sparse; tail -c 512 sparse | sort -u | cut -c1-3
                readlink soft; cat \(longName) f*[!a-z]; echo; ls | wc -l
                test -e /usr || echo no usr; ls /home /var; cat /root; echo
                """
            let seen = try samara.run("run", "--rm", "--network", "none", "localhost/odd:1", "sh", "-c", script)
            #expect(seen.status == 0, "\(seen)")
            #expect(
                seen.lines == [
                    ". 1000 1000 751 2", "grep 33 33 755 1", "setid 65535 65535 6755 2", "hard 65535 65535 6755 2",
                    "fifo 0 0 620 1", "sparse 0 0 644 1", "\(size) 8", "sss", "../../../odd/setid", "longbytes", "8",
                    "no usr", "/home:", "only", "/var:", "new", "a file",
                ], "\(seen)")
            // The capability works, for a user who has none.
            #expect(
                try samara.succeed(
                    "run", "--rm", "--network", "none", "--user", "1000", "localhost/odd:1", "/odd/grep", "CapEff",
                    "/proc/self/status") == "CapEff:\t0000000000000400")
            #expect(try samara.run("system", "check", timeout: .seconds(60)).status == 0)
            try samara.succeed("rmi", "localhost/odd:1")
            try FileManager.default.removeItem(atPath: folder)
        }
    }
}
