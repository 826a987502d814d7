// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Processes of `samara-runtime` that enter a container, seen from inside, and processes that took a container's pid.
    @Suite struct RuntimeJoining {
        /// An agent for SCMP_ACT_NOTIFY that lets the first process go on, prints whom it was handed, and holds the
        /// second until its standard input ends.
        private static let agent = """
            import array, fcntl, json, os, socket, struct, sys
            server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(1)
            for number in range(2):
                peer, _ = server.accept()
                text, control, _, _ = peer.recvmsg(1 << 16, socket.CMSG_SPACE(4))
                fd = array.array('i', control[0][2])[0]
                notification = bytearray(80)
                fcntl.ioctl(fd, 0xc0502100, notification)
                identity, pid = struct.unpack_from('QI', notification)
                print(json.dumps({'state': json.loads(text), 'stopped': pid}), flush=True)
                if number: sys.stdin.read()
                fcntl.ioctl(fd, 0xc0182101, bytearray(struct.pack('QqiI', identity, 0, 0, 1)))
            """

        private static func objects(_ text: String) -> [[String: Any]] {
            text.split(separator: "\n").compactMap {
                (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
            }
        }

        /// CVE-2016-9962, CVE-2019-19921: the joining process has every capability and is not to be looked into. A
        /// seccomp agent stops it in the middle; a container with CAP_SYS_PTRACE then tries.
        @Test func aJoiningProcessCannotBeLookedInto() throws {
            let bundle = try RuntimeBundle()
            let socket = bundle.folder + "/agent"
            let agent = try BackgroundCommand(
                ["/usr/bin/python3", "-c", Self.agent, socket], environment: bundle.environment, hasInput: true)
            eventually("the agent listens") { FileManager.default.fileExists(atPath: socket) }
            bundle.setLinux(
                "seccomp",
                [
                    "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "m",
                    "syscalls": [["names": ["setresgid"], "action": "SCMP_ACT_NOTIFY"]],
                ])
            // So that the filter is there before the identity changes.
            bundle.setProcess("noNewPrivileges", false)
            lookAround(bundle, at: "[ $p != /proc/1 ] && grep -q ^NSpid $p/status")
            try bundle.create(detachedRun: true)
            let exec = try BackgroundCommand(
                [bundle.program, "--root", bundle.folder + "/state", "exec", "c", "echo", "joined"],
                environment: bundle.environment)
            eventually("the joining process is stopped") { Self.objects(agent.stdout).count == 2 }
            _ = FileManager.default.createFile(atPath: bundle.rootfs + "/look", contents: nil)
            eventually("the container has tried") {
                FileManager.default.fileExists(atPath: bundle.rootfs + "/done")
            }
            let found = try String(contentsOfFile: bundle.rootfs + "/done", encoding: .utf8)
            #expect(found == "seen\n", "\(found)")
            agent.closeInput()
            #expect(try exec.waitForExit().text == "joined")

            // config-linux.md, "The Container Process State": what the agent was handed with each descriptor.
            let handed = Self.objects(agent.stdout)
            let state = try JSONSerialization.jsonObject(with: Data(try bundle.succeed("state", "c").utf8))
            let container = try #require(state as? [String: Any])
            for (number, object) in handed.enumerated() {
                let process = try #require(object["state"] as? [String: Any])
                #expect(process["ociVersion"] as? String == container["ociVersion"] as? String)
                #expect(process["fds"] as? [String] == ["seccompFd"] && process["metadata"] as? String == "m")
                #expect(process["pid"] as? Int == object["stopped"] as? Int, "\(process)")
                let inner = try #require(process["state"] as? [String: Any])
                #expect(inner["id"] as? String == "c" && inner["bundle"] as? String == bundle.folder, "\(inner)")
                #expect(inner["pid"] as? Int == container["pid"] as? Int, "\(inner)")
                // The container's own process, then the further one.
                #expect((process["pid"] as? Int == container["pid"] as? Int) == (number == 0), "\(process)")
            }
        }

        /// The same while nothing holds it, and with a score for the out-of-memory killer, whose file belongs to a process
        /// only while it can be looked into: a container that tries again and again finds no moment.
        @Test func aJoiningProcessIsNeverOpenForAMoment() throws {
            let bundle = try RuntimeBundle()
            let capabilities = ["CAP_SYS_PTRACE", "CAP_KILL"]
            bundle.setProcess(
                "capabilities", ["bounding": capabilities, "permitted": capabilities, "effective": capabilities])
            // The program itself may be looked into; it is the one that runs busybox, and it does not end.
            bundle.shell(
                """
                while :; do
                  for p in /proc/[0-9]*; do
                    [ $p = /proc/1 ] || { [ -d $p/cwd/ ] && ! [ $p/exe -ef /bin/busybox ] && echo $p >>/found; }
                  done
                done
                """)
            bundle.setProcess("oomScoreAdj", 100)
            try bundle.create(detachedRun: true)
            for _ in 0..<8 {
                let child = try ChildProcess(
                    [bundle.program, "--root", bundle.folder + "/state", "exec", "--detach", "c", "sleep", "1000"],
                    environment: bundle.environment)
                eventually("exec returns") { child.ended() != nil }
            }
            #expect(!FileManager.default.fileExists(atPath: bundle.rootfs + "/found"))
        }

        /// Makes the bundle's program one with CAP_SYS_PTRACE that, told so by /look, tries to look into the processes `p` for
        /// which `condition` holds, and says in /done which it has seen and what of them it has reached.
        private func lookAround(_ bundle: RuntimeBundle, at condition: String) {
            let capabilities = ["CAP_SYS_PTRACE", "CAP_KILL"]
            bundle.setProcess(
                "capabilities", ["bounding": capabilities, "permitted": capabilities, "effective": capabilities])
            bundle.shell(
                """
                until [ -e /look ]; do sleep 0.02; done
                for p in /proc/[0-9]*; do
                  \(condition) || continue
                  echo seen
                  for f in cwd root fd; do ls $p/$f/ >/dev/null && echo reached $f; done
                done >/result 2>/dev/null
                mv /result /done; sleep 1000
                """)
        }

        /// A container that joins the namespaces of another one, as in a pod: its process is to be looked into neither, which
        /// still has the host's root while the hook keeps it waiting.
        @Test func aProcessThatIsBeingSetUpCannotBeLookedInto() throws {
            let bundle = try RuntimeBundle()
            lookAround(bundle, at: "grep -q samara-runtim[e] $p/cmdline")
            try bundle.create(detachedRun: true)
            let state = try JSONSerialization.jsonObject(with: Data(try bundle.succeed("state", "c").utf8))
            let pid = try #require((state as? [String: Any])?["pid"] as? Int)
            bundle.setLinux(
                "namespaces",
                [["type": "user", "path": "/proc/\(pid)/ns/user"], ["type": "pid", "path": "/proc/\(pid)/ns/pid"]]
                    + ["mount", "uts", "ipc"].map { ["type": $0] })
            for map in ["uidMappings", "gidMappings"] { bundle.setLinux(map, NSNull()) }
            let script = "touch '\(bundle.folder)/hook'; until [ -e '\(bundle.folder)/go' ]; do sleep 0.02; done"
            bundle.config["hooks"] = [
                "createContainer": [["path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]]]
            ]
            bundle.setProcess("args", ["echo", "joined"])
            bundle.setProcess("oomScoreAdj", 200)
            try bundle.save()
            let second = try BackgroundCommand(
                [bundle.program, "--root", bundle.folder + "/state", "run", "-b", bundle.folder, "d"],
                environment: bundle.environment)
            eventually("the hook runs") { FileManager.default.fileExists(atPath: bundle.folder + "/hook") }
            _ = FileManager.default.createFile(atPath: bundle.rootfs + "/look", contents: nil)
            eventually("the container has tried") {
                FileManager.default.fileExists(atPath: bundle.rootfs + "/done")
            }
            let found = try String(contentsOfFile: bundle.rootfs + "/done", encoding: .utf8)
            #expect(found == "seen\n", "\(found)")
            _ = FileManager.default.createFile(atPath: bundle.folder + "/go", contents: nil)
            let result = try second.waitForExit()
            #expect(result.text == "joined", "\(result)")
        }

        /// A pid that belongs to another process by now is not the container's.
        @Test func aPidThatWasUsedAgainIsNotTheContainers() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            let file = URL(fileURLWithPath: bundle.folder + "/state/c/state.json")
            let original = try Data(contentsOf: file)
            var record = try #require(try JSONSerialization.jsonObject(with: original) as? [String: Any])
            // A record of an earlier boot, by chance with the pid and the start time of a process of this one.
            let boot = record.updateValue("another", forKey: "bootID")
            try JSONSerialization.data(withJSONObject: record).write(to: file)
            #expect(try bundle.status == "stopped")
            try original.write(to: file)
            #expect(try bundle.status == "running")

            _ = try bundle.succeed("kill", "c", "KILL")
            try eventually("the container has stopped") { try bundle.status == "stopped" }
            let other = try ChildProcess(["/bin/sleep", "1000"], environment: bundle.environment)
            defer { other.killAndReap() }
            record["bootID"] = boot
            record["pid"] = Int(other.pid)
            try JSONSerialization.data(withJSONObject: record).write(to: file)
            #expect(try bundle.status == "stopped")
            for arguments in [["kill", "c", "KILL"], ["exec", "c", "true"], ["ps", "c"], ["pause", "c"]] {
                let result = try runCommand(
                    [bundle.program, "--root", bundle.folder + "/state"] + arguments, environment: bundle.environment)
                #expect(result.status != 0 && result.stderr.contains("not running"), "\(result)")
            }
            #expect(try bundle.run("delete", "--force", "c").status == 0)
            #expect(other.ended() == nil, "the other process lives")
        }

        /// The parent-death signal of the set-up: here the container's process waits for a hook, not for its command.
        @Test func aCreationThatIsKilledTakesTheContainersProcessWithIt() throws {
            let bundle = try RuntimeBundle()
            let state = bundle.folder + "/hook"
            let script = "cat >'\(state).new'; mv '\(state).new' '\(state)'; exec sleep 1000"
            bundle.config["hooks"] = [
                "createContainer": [["path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]]]
            ]
            try bundle.save()
            let create = try ChildProcess(
                [bundle.program, "--root", bundle.folder + "/state", "create", "-b", bundle.folder, "c"],
                environment: bundle.environment)
            eventually("the hook runs") { FileManager.default.fileExists(atPath: state) }
            let data = try Data(contentsOf: URL(fileURLWithPath: state))
            let pid = try #require((try JSONSerialization.jsonObject(with: data) as? [String: Any])?["pid"] as? Int)
            #expect(FileManager.default.fileExists(atPath: "/proc/\(pid)"))
            create.killAndReap()
            eventually("the container's process has ended") {
                !FileManager.default.fileExists(atPath: "/proc/\(pid)/root")
                    && (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8))?.contains("State:\tS")
                        != true
            }
        }
    }
}
