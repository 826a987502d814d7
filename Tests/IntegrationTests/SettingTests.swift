// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What the flags of `run` and `exec` give the program: environment, user, folders, names, mounts.
    @Suite struct SettingTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// Output of a program in a fresh busybox with these flags.
        private func output(_ flags: [String], _ program: String...) throws -> String {
            let result = try samara.run(["run", "--rm", "--network", "none"] + flags + ["busybox"] + program)
            #expect(result.status == 0, "\(result)")
            return result.text
        }

        @Test func environment() throws {
            let folder = try samara.folder("env")
            try Data("# comment\n\nFROM_FILE=file value\nBOTH=file\n".utf8).write(
                to: URL(fileURLWithPath: folder + "/list"))
            let result = try samara.run(
                [
                    "run", "--rm", "-e", "PLAIN=one=1", "-e", "EMPTY=", "-e", "OUTER", "-e", "NOSUCHVARIABLE", "-e",
                    "BOTH=flag",
                    "--env-file", "\(folder)/list", "--hostname", "tower", "busybox", "env",
                ], environment: ["OUTER": "from outside"])
            let lines = Set(result.lines)
            let wanted: Set = [
                "PLAIN=one=1", "EMPTY=", "OUTER=from outside", "FROM_FILE=file value", "BOTH=flag", "HOSTNAME=tower",
                "HOME=/root",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ]
            #expect(lines.isSuperset(of: wanted), "\(result)")
            #expect(!result.stdout.contains("NOSUCHVARIABLE"))
            try samara.succeed("run", "-d", "--name", "box", "-e", "WHO=container", "busybox", "sleep", "1000")
            #expect(try samara.succeed("exec", "box", "sh", "-c", "echo $WHO") == "container")
            #expect(try samara.succeed("exec", "-e", "WHO=exec", "box", "sh", "-c", "echo $WHO") == "exec")
        }

        static let users: [(user: String, id: String)] = [
            ("0", "uid=0(root) gid=0(root)"), ("nobody", "uid=65534(nobody) gid=65534(nogroup)"),
            ("33", "uid=33(www-data) gid=33(www-data)"), ("1000:100", "uid=1000 gid=100(users)"),
            ("www-data:mail", "uid=33(www-data) gid=8(mail)"), ("1234", "uid=1234 gid=0(root)"),
        ]

        @Test(arguments: users)
        func user(user: String, id: String) throws {
            #expect(try output(["-u", user], "id").hasPrefix(id))
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            #expect(try samara.succeed("exec", "-u", user, "box", "id").hasPrefix(id))
        }

        @Test func unknownUserIsRefused() throws {
            for user in ["nosuchuser", "0:nosuchgroup"] {
                let result = try samara.run("run", "--rm", "-u", user, "busybox", "true")
                #expect([125, 126].contains(result.status), "\(result)")
                #expect(result.stderr.hasPrefix("Error: ") && result.stderr.contains("nosuch"), "\(result)")
            }
        }

        @Test func directoryEntrypointAndHostName() throws {
            #expect(try output(["-w", "/var"], "pwd") == "/var")
            #expect(try output(["-w", "/made/on/the/way"], "pwd") == "/made/on/the/way")
            #expect(try output(["--entrypoint", "echo"], "a", "b") == "a b")
            #expect(try output(["--entrypoint", "[\"sh\", \"-c\"]"], "echo $0", "zero") == "zero")
            #expect(try samara.succeed("run", "--rm", "--hostname", "tower", "busybox", "hostname") == "tower")
            let id = try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            #expect(try samara.succeed("exec", "box", "hostname") == id.prefix(12))
            #expect(try samara.succeed("exec", "box", "cat", "/etc/hosts").contains(String(id.prefix(12))))
        }

        @Test func readOnlyRootAndTemporaryFilesystems() throws {
            let result = try samara.run(
                "run", "--rm", "--read-only", "busybox", "sh", "-c", "touch /tmp/ok && touch /new")
            #expect(result.status == 1 && result.stderr.contains("Read-only file system"), "\(result)")
            let mount = try output(
                ["--tmpfs", "/scratch:size=1m,mode=1700"], "sh", "-c", "stat -c %a /scratch; df -k /scratch | tail -n 1"
            )
            #expect(mount.contains(#/^1700\n.* 1024 /#), "\(mount)")
            #expect(
                try output(
                    ["--read-only", "--read-only-tmpfs=false"], "sh", "-c", "touch /tmp/x 2>/dev/null || echo no")
                    == "no")
        }

        @Test func bindMountsAndVolumes() throws {
            let folder = try samara.folder("shared")
            try Data("from the host\n".utf8).write(to: URL(fileURLWithPath: folder + "/note"))
            #expect(try output(["-v", "\(folder):/in:ro"], "cat", "/in/note") == "from the host")
            let readOnly = try samara.run("run", "--rm", "-v", "\(folder):/in:ro", "busybox", "touch", "/in/new")
            #expect(readOnly.status == 1 && readOnly.stderr.contains("Read-only"), "\(readOnly)")
            _ = try output(["-v", "\(folder):/in"], "sh", "-c", "echo back >/in/reply; chown 33:33 /in/reply")
            let owner = try FileManager.default.attributesOfItem(atPath: folder + "/reply")[.ownerAccountID] as? Int
            #expect(owner != Int(getuid()) && owner != 33, "a subordinate id: \(owner ?? -1)")
            _ = try output(["-v", "\(folder):/in"], "rm", "/in/reply")
            // One file over another, and a volume in a bind mount.
            #expect(try output(["-v", "\(folder)/note:/etc/hostname:ro"], "cat", "/etc/hostname") == "from the host")
            #expect(
                try output(
                    ["--mount", "type=bind,source=\(folder),target=/in,readonly", "-v", "kept:/in2"], "sh", "-c",
                    "cat /in/note; echo v >/in2/v; cat /in2/v"
                ).hasSuffix("v"))
        }

        @Test func volumesAreFilledFromTheImage() throws {
            #expect(try output(["-v", "kept:/etc"], "cat", "/etc/passwd").contains("root:x:0:0"))
            #expect(try output(["-v", "kept:/elsewhere"], "cat", "/elsewhere/passwd").contains("root:x:0:0"))
            let inspected = try samara.inspect("volume", "inspect", "kept")
            #expect(inspected["Name"].text == "kept" && inspected["Driver"].text == "local")
            let inUse = try {
                try samara.succeed("run", "-d", "--name", "user", "-v", "kept:/k", "busybox", "sleep", "1000");
                return try samara.run("volume", "rm", "kept")
            }()
            #expect(
                inUse.status == 2 && inUse.stderr.contains("is being used by the following container(s)"), "\(inUse)")
            try samara.succeed("rm", "-f", "-t", "0", "user")
            try samara.succeed("volume", "rm", "kept")
            #expect(try samara.run("volume", "exists", "kept").status == 1)
        }

        @Test func networks() throws {
            let none = try output([], "cat", "/proc/net/dev")
            #expect(none.contains("lo:") && none.split(separator: "\n").count == 3, "\(none)")
            let host = try samara.run("run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net")
            #expect(try host.text == HostProcess.namespace("net", of: Int(getpid())), "\(host)")
            let own = try samara.run("run", "--rm", "busybox", "cat", "/proc/net/dev")
            #expect(own.stdout.contains("tap0:"), "\(own)")
        }

        @Test(arguments: ["ipc", "pid", "uts"]) func namespacesOfTheHost(kind: String) throws {
            let result = try samara.run(
                "run", "--rm", "--\(kind)", "host", "busybox", "readlink", "/proc/self/ns/\(kind)")
            #expect(try result.text == HostProcess.namespace(kind, of: Int(getpid())), "\(result)")
        }

        @Test func inputFromAPipe() throws {
            #expect(
                try samara.run(
                    "run", "-i", "--rm", "busybox", "wc", "-c", stdin: String(repeating: "x", count: 300_000)
                ).text == "300000")
            let command = try samara.start(
                "run", "-i", "--rm", "busybox", "sh", "-c", "while read line; do echo got $line; done; echo end",
                hasInput: true)
            command.type("one\n")
            eventually("the answer to the first line") { command.stdout == "got one\n" }
            command.type("two\n")
            command.closeInput()
            let result = try command.waitForExit()
            #expect(result.status == 0 && result.stdout == "got one\ngot two\nend\n", "\(result)")
        }

        @Test func limitsAndSharedMemory() throws {
            #expect(try output(["--ulimit", "nofile=123:456"], "sh", "-c", "ulimit -n; ulimit -Hn") == "123\n456")
            #expect(
                try output(["--shm-size", "2m"], "sh", "-c", "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2")
                    == "2048")
            #expect(try output(["--umask", "0077"], "sh", "-c", "umask") == "0077")
        }
    }
}
