// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// `samara-runtime` as engines use it: what the runtime specification and its callers rely on.
    @Suite struct RuntimeLifecycle {
        @Test func theLifeOfAContainer() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create()
            #expect(try bundle.status == "created")
            let pid = try String(contentsOfFile: bundle.folder + "/pid", encoding: .utf8)
            #expect(Int32(pid) != nil, "the pid file is a number without a newline")
            #expect(try bundle.succeed("exec", "c", "echo", "inside") == "inside")

            _ = try bundle.succeed("start", "c")
            #expect(try bundle.status == "running")
            #expect(try bundle.succeed("ps", "--format", "json", "c") == "[\(pid)]")
            let again = try bundle.run("start", "c")
            #expect(again.status != 0 && again.stderr.contains("cannot start"))
            let second = try bundle.run("create", "c")
            #expect(second.status != 0 && second.stderr.contains("already exists"))
            #expect(try bundle.run("delete", "c").status != 0)
            #expect(try bundle.status == "running")

            _ = try bundle.succeed("kill", "c", "KILL")
            try eventually("the container has stopped") { try bundle.status == "stopped" }
            let late = try bundle.run("kill", "c")
            #expect(late.status != 0 && late.stderr.contains("container not running"))
            #expect(try bundle.run("start", "c").status != 0)
            #expect(try bundle.run("exec", "c", "true").status != 0)
            _ = try bundle.succeed("delete", "c")
            let gone = try bundle.run("state", "c")
            #expect(gone.status != 0 && gone.stderr.contains("container does not exist"))
            #expect(try bundle.run("delete", "--force", "c").status == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bundle.folder + "/state").isEmpty)
        }

        @Test func aKilledCreatedContainerIsStopped() throws {
            let bundle = try RuntimeBundle()
            try bundle.create()
            _ = try bundle.succeed("kill", "c", "9")
            try eventually("the container has stopped") { try bundle.status == "stopped" }
            #expect(try bundle.run("start", "c").stderr.contains("stopped"))
        }

        @Test func runReturnsTheProgramsStatus() throws {
            let bundle = try RuntimeBundle()
            bundle.shell("exit 7")
            #expect(try bundle.run("run", "c").status == 7)
            bundle.shell("kill -9 $$")
            // A first process is not killed by its own signals; it goes on to the end of the script.
            #expect(try bundle.run("run", "c").status == 0)
        }

        @Test func execReturnsTheProgramsStatus() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            #expect(try bundle.run("exec", "c", "sh", "-c", "exit 3").status == 3)
            #expect(try bundle.run("exec", "c", "sh", "-c", "kill -9 $$").status == 137)
            #expect(
                try bundle.succeed("exec", "--cwd", "/tmp", "-e", "A=b", "c", "sh", "-c", "echo $PWD $A") == "/tmp b")
            let process = #"{"args":["sh","-c","exit 4"],"cwd":"/","user":{"uid":0,"gid":0},"env":["PATH=/bin"]}"#
            try process.write(toFile: bundle.folder + "/process.json", atomically: true, encoding: .utf8)
            #expect(try bundle.run("exec", "--process", bundle.folder + "/process.json", "c").status == 4)
            let missing = try bundle.run("exec", "c", "nothing")
            #expect(
                missing.status != 0
                    && missing.stderr.contains(
                        "executable file `nothing` not found in $PATH: No such file or directory")
            )
        }

        @Test func aMissingProgramFailsAtCreate() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["nothing"])
            let result = try bundle.run("create", "c")
            #expect(result.status != 0)
            #expect(result.stderr.contains("executable file `nothing` not found in $PATH: No such file or directory"))
            #expect(try bundle.run("state", "c").status != 0, "nothing is left")
        }

        @Test func hooksRunInOrderWithTheStateAsInput() throws {
            let bundle = try RuntimeBundle()
            let log = bundle.folder + "/hooks"
            func hook(_ kind: String, _ output: String) -> [[String: Any]] {
                [
                    [
                        "path": "/bin/sh",
                        "args": [
                            "sh", "-c", "echo \(kind) $(sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/') >> \(output)",
                        ],
                        "env": ["PATH=/bin:/usr/bin"],
                    ]
                ]
            }
            bundle.config["hooks"] = [
                "prestart": hook("prestart", log), "createRuntime": hook("createRuntime", log),
                "createContainer": hook("createContainer", log), "startContainer": hook("startContainer", "/log"),
                "poststart": hook("poststart", log), "poststop": hook("poststop", log),
            ]
            bundle.shell("cat /log")
            #expect(try bundle.succeed("run", "c") == "startContainer created")
            let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(String.init)
            #expect(
                lines == [
                    "prestart creating", "createRuntime creating", "createContainer creating", "poststart running",
                    "poststop stopped",
                ])
        }

        @Test(arguments: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
        func aFailingHookStopsTheContainer(kind: String) throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            bundle.config["hooks"] = [
                kind: [["path": "/bin/true"], ["path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]]]
            ]
            let result = try bundle.run("run", "c")
            #expect(result.status != 0)
            #expect(result.stderr.contains("error running \(kind) hook #1:"))
            #expect(result.stderr.contains("because"))
            #expect(try bundle.run("state", "c").status != 0, "nothing is left")
        }

        @Test func aHookThatTakesTooLongIsKilled() throws {
            let bundle = try RuntimeBundle()
            bundle.config["hooks"] = [
                "createRuntime": [["path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1]]
            ]
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && result.stderr.contains("hook ran past specified timeout"))
        }

        @Test func errorsAreOneLineOfJSONInTheLog() throws {
            let bundle = try RuntimeBundle()
            let log = bundle.folder + "/log.json"
            let result = try runCommand(
                [
                    bundle.program, "--root", bundle.folder + "/state", "--log", log, "--log-format=json", "start",
                    "nobody",
                ],
                environment: bundle.environment)
            #expect(result.status != 0)
            let line = try #require(try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").last)
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
            #expect(
                object?["level"] == "error" && object?["msg"]?.contains("does not exist") == true
                    && object?["time"] != nil)
        }

        @Test func descriptorsOfTheCallerArePassedOnWhenAsked() throws {
            let bundle = try RuntimeBundle()
            try "passed".write(toFile: bundle.folder + "/file", atomically: true, encoding: .utf8)
            bundle.shell("cat <&3; echo; ls /proc/self/fd")
            let result = try bundle.run(
                after: "exec 3<'\(bundle.folder)/file' 4</", "run", "--preserve-fds", "1", "--no-pivot",
                "--no-new-keyring", "c")
            // 4 is the folder that ls reads.
            #expect(result.lines == ["passed", "0", "1", "2", "3", "4"], "\(result)")
        }

        /// What `--console-socket` and `--pidfd-socket` are sent.
        @Test func socketsOfTheCallerReceiveTheTerminalAndThePidfd() throws {
            let bundle = try RuntimeBundle()
            let script = """
                import array, os, socket, sys
                def listen(name):
                    server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1] + name); server.listen(1)
                    return server
                def receive(server):
                    text, control, _, _ = server.accept()[0].recvmsg(64, socket.CMSG_SPACE(4))
                    return text.decode(), array.array('i', control[0][2])[0]
                console, process = listen('/console'), listen('/process')
                (name, master), (text, pidfd) = receive(console), receive(process)
                info = open('/proc/self/fdinfo/%d' % pidfd).read()
                print(name, text, [line for line in info.split('\\n') if line.startswith('Pid:')], flush=True)
                print(os.read(master, 64).decode().strip(), flush=True)
                """
            let receiver = try BackgroundCommand(
                ["/usr/bin/python3", "-c", script, bundle.folder], environment: bundle.environment)
            eventually("it listens") { FileManager.default.fileExists(atPath: bundle.folder + "/process") }
            bundle.setProcess("terminal", true)
            bundle.shell("echo from $(tty)")
            let options = ["--console-socket", "console", "--pidfd-socket", "process", "--pid-file", "pid"].map {
                $0.hasPrefix("--") ? $0 : bundle.folder + "/" + $0
            }
            try bundle.save()
            let created = try runCommand(
                [bundle.program, "--root", bundle.folder + "/state", "create", "-b", bundle.folder] + options + ["c"],
                environment: bundle.environment)
            #expect(created.status == 0, "\(created)")
            _ = try bundle.succeed("start", "c")
            let pid = try String(contentsOfFile: bundle.folder + "/pid", encoding: .utf8)
            let lines = try receiver.waitForExit().lines
            #expect(lines == ["/dev/ptmx pidfd ['Pid:\\t\(pid)']", "from /dev/pts/0"], "\(lines)")
        }

        @Test func whatCannotBeHonouredIsAnError() throws {
            let bundle = try RuntimeBundle()
            bundle.shell("true")
            bundle.setLinux("intelRdt", ["closID": "x"])
            #expect(try bundle.run("run", "c").stderr.contains("linux.intelRdt"))
            bundle.setLinux("intelRdt", NSNull())
            bundle.setProcess("terminal", true)
            #expect(try bundle.run("create", "c").stderr.contains("--console-socket"))
            bundle.setProcess("terminal", false)
            #expect(try bundle.run("create", "--console-socket", "/nowhere", "c").stderr.contains("--console-socket"))
            #expect(try bundle.run("create", "--preserve-fds", "1", "c").stderr.contains("descriptor 3 is not open"))
            #expect(try bundle.run("run", "--systemd-cgroup", "c").status != 0)
        }

        @Test func theConfigIsApplied() throws {
            let bundle = try RuntimeBundle()
            bundle.config["hostname"] = "box"
            bundle.setLinux(
                "seccomp",
                [
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [["names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 19]],
                ])
            bundle.setProcess("rlimits", [["type": "RLIMIT_NOFILE", "soft": 77, "hard": 99]])
            bundle.setProcess("oomScoreAdj", 500)
            bundle.addMount([
                "destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "ro", "noexec"],
            ])
            bundle.shell(
                """
                hostname; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; mkdir /tmp/x 2>&1 | grep -o 'No such device'
                grep -o '/data tmpfs ro,noexec' /proc/mounts | head -1; mount | grep -c 'proc/sys.*ro'; pwd
                """)
            let lines = try bundle.succeed("run", "c").split(separator: "\n").map(String.init)
            #expect(lines.prefix(5) == ["box", "77", "99", "500", "No such device"], "\(lines)")
        }
    }
}
