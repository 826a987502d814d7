// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Attacks on `samara-runtime` from images and from inside containers, one for each lesson of other runtimes.
    @Suite struct RuntimeSecurity {
        /// CVE-2019-5736: a container executes the runtime's file through /proc/self/exe and reopens it for writing.
        @Test func theRuntimeCannotBeOverwritten() throws {
            let bundle = try RuntimeBundle(ownsProgram: true)
            let before = try Data(contentsOf: URL(fileURLWithPath: bundle.program))
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            // It waits in open(2) of a FIFO, so that it can be looked at, and ends with the container.
            _ = try bundle.succeed("exec", "c", "sh", "-c", "mkdir /fifo; mkfifo /fifo/config.json")
            let victim = try ChildProcess(
                [
                    bundle.program, "--root", bundle.folder + "/state", "exec", "c", "/proc/self/exe", "create", "-b",
                    "/fifo", "x",
                ],
                environment: bundle.environment)
            defer { victim.killAndReap() }
            var attack = ""
            try eventually("the container runs the runtime") {
                attack = try bundle.run(
                    "exec", "c", "sh", "-c",
                    """
                    for p in /proc/[0-9]*; do
                      if tr '\\0' ' ' <$p/cmdline | grep -q '^/proc/self/exe create'; then
                        exec 3<$p/exe || exit 1
                        kill -9 ${p#/proc/}; while [ -e $p/exe ]; do :; done
                        (echo overwritten >/proc/self/fd/3) 2>&1; echo attacked
                        exit
                      fi
                    done
                    """
                ).stdout
                return attack.contains("attacked")
            }
            #expect(attack.contains("Read-only file system"), "\(attack)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: bundle.program)) == before)
        }

        /// The same where it is the container's own program: truncating is refused for the mount before it is for the file
        /// that is being executed.
        @Test func theRuntimeAsAProgramCannotBeOverwritten() throws {
            let bundle = try RuntimeBundle(ownsProgram: true)
            _ = try runCommand(["/usr/bin/mkfifo", bundle.rootfs + "/fifo"], environment: bundle.environment)
            // It waits in open(2) of its log.
            bundle.setProcess("args", ["/proc/self/exe", "--log", "/fifo", "state", "nobody"])
            try bundle.create(detachedRun: true)
            let attack = try bundle.run("exec", "c", "sh", "-c", ": >/proc/1/exe")
            #expect(attack.stderr.contains("Read-only file system"), "\(attack)")
        }

        /// CVE-2024-21626: a working directory through a leaked descriptor, and descriptors in the program.
        @Test func noDescriptorOfTheHostIsInReach() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["ls", "/proc/self/fd"])
            // ls itself has the folder open as 3.
            #expect(try bundle.run("run", "c").lines == ["0", "1", "2", "3"])
            bundle.setProcess("args", ["pwd"])
            for number in 3...20 {
                bundle.setProcess("cwd", "/proc/self/fd/\(number)")
                let result = try bundle.run("run", "c")
                #expect(result.status != 0, "descriptor \(number): \(result)")
            }
        }

        /// The same with a caller that itself passes on a directory of the host.
        @Test func descriptorsOfTheCallerAreNotInReach() throws {
            let bundle = try RuntimeBundle()
            let caller = "exec 7</"
            bundle.shell("ls /proc/self/fd/7/ 2>&1")
            #expect(try bundle.run(after: caller, "run", "c").stdout.contains("No such file"))
            bundle.shell("echo escaped")
            bundle.setProcess("cwd", "/proc/self/fd/7")
            let result = try bundle.run(after: caller, "run", "c")
            #expect(result.status != 0 && result.stdout.isEmpty, "\(result)")
            #expect(result.stderr.contains("outside of the container's root"), "\(result)")
        }

        /// The same for a further process.
        @Test func aFurtherProcessReachesNoDescriptorOfTheHost() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            for number in 3...20 {
                let result = try bundle.run("exec", "--cwd", "/proc/self/fd/\(number)", "c", "pwd")
                #expect(result.status != 0 && result.stdout.isEmpty, "descriptor \(number): \(result)")
            }
            #expect(try bundle.run("exec", "c", "ls", "/proc/self/fd").lines == ["0", "1", "2", "3"])
            let caller = "exec 7</"
            #expect(try bundle.run(after: caller, "exec", "c", "ls", "/proc/self/fd").lines == ["0", "1", "2", "3"])
            let attack = try bundle.run(after: caller, "exec", "--cwd", "/proc/self/fd/7", "c", "echo", "escaped")
            #expect(attack.status != 0 && attack.stdout.isEmpty, "\(attack)")
            #expect(attack.stderr.contains("outside of the container's root"), "\(attack)")
        }

        /// CVE-2016-9962: what waits inside a container holds no file or directory of the host.
        @Test func aWaitingProcessHoldsNothingOfTheHost() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create()
            // A directory of the host would read as "/" or "(unreachable)": what it is says whether it can be entered.
            let script = """
                for f in /proc/1/fd/*; do readlink $f; [ ! -d $f/ ] || echo "directory $f"; done
                for f in cwd root; do [ /proc/1/$f/ -ef / ] || echo "outside $f"; done
                """
            // The waiting process has every capability still; only who may trace it can look.
            let lines = try bundle.succeed("exec", "-c", "CAP_SYS_PTRACE", "c", "sh", "-c", script).split(
                separator: "\n"
            ).map(String.init)
            #expect(lines.count > 2, "\(lines)")
            for line in lines {
                #expect(["socket:", "pipe:", "/dev/null"].contains { line.hasPrefix($0) }, "\(lines)")
            }
        }

        /// CVE-2021-43784 and its kind: a config that is too deep, in the parsed part and in the one that is cut out.
        @Test(arguments: ["annotations", "linux"])
        func aConfigThatIsTooDeepIsRefused(key: String) throws {
            let bundle = try RuntimeBundle()
            try bundle.save()
            let text = try String(contentsOfFile: bundle.folder + "/config.json", encoding: .utf8)
            let bomb = String(repeating: "[", count: 1 << 20) + String(repeating: "]", count: 1 << 20)
            let value = key == "linux" ? "{\"seccomp\":{\"defaultAction\":\(bomb)}," : "{\"x\":\(bomb)},\"linux\":{"
            let marker = try #require(text.range(of: "\"linux\":{") ?? text.range(of: "\"linux\" : {"))
            let deep = text.replacingCharacters(
                in: marker, with: key == "linux" ? "\"linux\":" + value : "\"annotations\":" + value)
            let file = bundle.folder + "/deep.json"
            try deep.write(toFile: file, atomically: true, encoding: .utf8)
            let result = try bundle.run("run", "--config", file, "c")
            #expect(result.status == 1 && result.stderr.contains("nested too deeply"), "\(result.stderr.prefix(300))")
        }

        @Test func maskedFilesAreTheNullDeviceAndCannotBeWritten() throws {
            let bundle = try RuntimeBundle()
            try "secret".write(toFile: bundle.rootfs + "/secret", atomically: true, encoding: .utf8)
            bundle.setLinux("maskedPaths", ["/secret", "/home", "/missing"])
            bundle.shell("cat /secret | wc -c; ls /home | wc -l; touch /home/x 2>&1 | grep -o 'Read-only'")
            let lines = try bundle.succeed("run", "c").split(separator: "\n").map(String.init)
            #expect(lines == ["0", "0", "Read-only"])
        }

        /// CVE-2022-29162: nothing is inheritable unless the config says so.
        @Test func inheritableCapabilitiesAreEmpty() throws {
            let bundle = try RuntimeBundle()
            let look = ["grep", "-E", "CapInh|CapAmb|CapEff", "/proc/self/status"]
            func sets(_ text: String) -> [String] { text.split(whereSeparator: \.isWhitespace).map(String.init) }
            let none = String(repeating: "0", count: 16)
            bundle.setProcess("args", look)
            // The three of `spec`: audit_write, kill, net_bind_service.
            #expect(
                sets(try bundle.succeed("run", "c")) == [
                    "CapInh:", none, "CapEff:", "0000000020000420", "CapAmb:", none,
                ])
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            let text = try bundle.succeed(
                "exec", "-c", "CAP_SYS_ADMIN", "c", "grep", "-E", "CapInh|CapAmb|CapEff", "/proc/self/status")
            #expect(sets(text) == ["CapInh:", none, "CapEff:", "0000000020200420", "CapAmb:", none])
        }

        /// CVE-2023-25809, by the host's /sys and by a mount of the cgroups that nobody asked to be read-only.
        @Test(arguments: [false, true]) func theHostsCgroupsAreReadOnly(asMount: Bool) throws {
            let bundle = try RuntimeBundle()
            if asMount {
                bundle.setNamespaces("pid", "mount", "uts", "ipc", "user")
                bundle.addMount(["destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"])
            }
            bundle.shell(
                """
                for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -d $d ] || continue; mkdir $d/x 2>/dev/null && echo made
                grep " $d .* rw" /proc/mounts; done; ls /sys/fs/cgroup | head -n 1 | wc -l
                """)
            #expect(try bundle.succeed("run", "c") == "1")
        }

        /// Names of cgroups are paths.
        @Test func cgroupsStayBelowTheirParents() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["true"])
            for path in ["../x", "/../x", "/a/../../x"] {
                bundle.setLinux("cgroupsPath", path)
                let result = try bundle.run("run", "c")
                #expect(result.status != 0 && result.stderr.contains("must not contain `..`"), "\(result)")
            }
            bundle.setLinux("cgroupsPath", NSNull())
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            for path in ["../x", "/../x", "a/../../x"] {
                let result = try bundle.run("exec", "--cgroup", path, "c", "true")
                #expect(result.status != 0 && result.stderr.contains("must not contain `..`"), "\(result)")
            }
        }

        @Test(arguments: ["../x", ".", "", "a/b", "a\nb", String(repeating: "x", count: 2000)])
        func idsThatArePathsAreRefused(id: String) throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["true"])
            for verb in ["create", "run", "state", "delete", "kill", "start", "exec"] {
                let result = try verb == "exec" ? bundle.run(verb, id, "true") : bundle.run(verb, id)
                #expect(result.status != 0 && result.stderr.contains("container ID"), "\(verb): \(result)")
            }
        }

        @Test(arguments: ["1x", "-1", "4294967296", ":0"])
        func usersThatAreNotNumbersAreRefused(user: String) throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            #expect(try bundle.run("exec", "--user=\(user)", "c", "true").status != 0)
        }
    }
}
