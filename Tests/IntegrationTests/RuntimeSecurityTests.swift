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

        /// CVE-2024-21626: a working directory through a leaked descriptor, and descriptors in the program.
        @Test func noDescriptorOfTheHostIsInReach() throws {
            let bundle = try RuntimeBundle()
            bundle.shell("for f in /proc/self/fd/*; do echo ${f##*/}; done")
            // The shell itself may hold the directory that it lists.
            let open = Set(try bundle.succeed("run", "c").split(separator: "\n").map(String.init))
            #expect(open.isSubset(of: ["0", "1", "2", "3", "10"]), "\(open)")
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
            func run() throws -> CommandResult {
                try bundle.save()
                let command =
                    "exec 7</; exec '\(bundle.program)' --root '\(bundle.folder)/state' run -b '\(bundle.folder)' c"
                return try runCommand(["/bin/sh", "-c", command], environment: bundle.environment)
            }
            bundle.shell("ls /proc/self/fd/7/ 2>&1")
            #expect(try run().stdout.contains("No such file"))
            bundle.shell("echo escaped")
            bundle.setProcess("cwd", "/proc/self/fd/7")
            let result = try run()
            #expect(result.status != 0 && result.stdout.isEmpty, "\(result)")
            #expect(result.stderr.contains("outside of the container's root"), "\(result)")
        }

        /// The same for a further process.
        @Test func aFurtherProcessReachesNoDescriptorOfTheHost() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            for number in 3...12 {
                let result = try bundle.run("exec", "--cwd", "/proc/self/fd/\(number)", "c", "pwd")
                #expect(result.status != 0 && result.stdout.isEmpty, "descriptor \(number): \(result)")
            }
            let open = try bundle.succeed("exec", "c", "sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done")
            #expect(Set(open.split(separator: "\n")).isSubset(of: ["0", "1", "2", "3", "10"]), "\(open)")
        }

        /// CVE-2016-9962: what waits inside a container holds no file or directory of the host.
        @Test func aWaitingProcessHoldsNothingOfTheHost() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create()
            let links = try bundle.succeed(
                "exec", "c", "sh", "-c", "for f in /proc/1/fd/*; do readlink $f; done 2>&1; readlink /proc/1/cwd; true")
            for link in links.split(separator: "\n") {
                #expect(
                    ["socket:", "pipe:", "/dev/null", "readlink:"].contains { link.hasPrefix($0) } || link == "/",
                    "\(links)")
            }
        }

        /// CVE-2021-30465 and its successors: destinations that are, or become, links.
        @Test func linksInTheImageDoNotMoveMounts() throws {
            let bundle = try RuntimeBundle()
            let outside = bundle.folder + "/outside"
            try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(atPath: bundle.rootfs + "/a", withDestinationPath: outside)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/b", withDestinationPath: "../../../../../.." + outside)
            for name in ["a", "b"] {
                bundle.addMount(["destination": "/\(name)/made", "type": "tmpfs", "source": "tmpfs"])
            }
            bundle.shell("grep -c ' tmpfs ' /proc/mounts")
            // Whether it fails or stays inside: nothing may appear outside.
            _ = try bundle.run("run", "c")
            #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
        }

        @Test func aRacerDoesNotMoveMounts() throws {
            let bundle = try RuntimeBundle()
            let outside = bundle.folder + "/outside"
            try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: bundle.rootfs + "/v", withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: bundle.rootfs + "/v/d", withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(atPath: bundle.rootfs + "/v/l", withDestinationPath: outside)
            let racer = try ChildProcess(
                [
                    "/usr/bin/python3", "-c",
                    """
                    import ctypes,sys
                    libc=ctypes.CDLL(None)
                    while True: libc.renameat2(-100,b'\(bundle.rootfs)/v/d',-100,b'\(bundle.rootfs)/v/l',2)
                    """,
                ], environment: bundle.environment)
            defer { racer.killAndReap() }
            for number in 0..<10 {
                bundle.addMount(["destination": "/v/d/m\(number)", "type": "tmpfs", "source": "tmpfs"])
            }
            bundle.setProcess("args", ["true"])
            for _ in 0..<20 {
                _ = try bundle.run("run", "c")
                #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
            }
        }

        /// CVE-2026-41579, CVE-2023-28642, CVE-2025-31133: what the runtime itself relies on is a link of the image.
        @Test(arguments: ["dev", "proc"])
        func aLinkInPlaceOfASpecialDirectoryIsRefused(name: String) throws {
            let bundle = try RuntimeBundle()
            try FileManager.default.createDirectory(
                atPath: bundle.rootfs + "/elsewhere", withIntermediateDirectories: true)
            try? FileManager.default.removeItem(atPath: bundle.rootfs + "/" + name)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/" + name, withDestinationPath: "/elsewhere")
            bundle.setProcess("args", ["true"])
            let result = try bundle.run("run", "c")
            #expect(result.status != 0, "\(result)")
            #expect(result.stderr.contains("/" + name))
        }

        /// CVE-2019-16884: the destination is a link of the image to what must not be covered.
        @Test(arguments: ["/proc", "/proc/sys/kernel", "proc/self/attr"])
        func aLinkDoesNotCoverProc(target: String) throws {
            let bundle = try RuntimeBundle()
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/link", withDestinationPath: target)
            bundle.addMount(["destination": "/link", "type": "tmpfs", "source": "tmpfs"])
            bundle.shell("echo reached")
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && result.stdout.isEmpty, "\(result)")
            #expect(result.stderr.contains("/link"), "\(result)")
        }

        /// CVE-2025-52565: the terminal is bound on what the image has as /dev/console.
        @Test func aLinkAsConsoleIsRefused() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            bundle.addMount([
                "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"],
            ])
            try FileManager.default.createDirectory(atPath: bundle.rootfs + "/dev", withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/dev/console", withDestinationPath: "/etc/passwd")
            bundle.setProcess("terminal", true)
            bundle.shell("echo reached")
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && !result.stdout.contains("reached"), "\(result)")
            #expect(result.stderr.contains("terminal"), "\(result)")
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

        @Test func theImagesNullDeviceIsNotUsed() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            try FileManager.default.createDirectory(atPath: bundle.rootfs + "/dev", withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/dev/null", withDestinationPath: "/etc/passwd")
            bundle.setProcess("args", ["true"])
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && result.stderr.contains("/dev/null"), "\(result)")
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
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            let text = try bundle.succeed(
                "exec", "-c", "CAP_SYS_ADMIN", "c", "grep", "-E", "CapInh|CapAmb", "/proc/self/status")
            #expect(
                text.split(whereSeparator: \.isWhitespace).filter { $0.allSatisfy(\.isHexDigit) }.allSatisfy {
                    Int($0, radix: 16) == 0
                })
        }

        /// CVE-2023-25809.
        @Test func theHostsCgroupsAreReadOnly() throws {
            let bundle = try RuntimeBundle()
            bundle.shell(
                "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -d $d ] || continue; mkdir $d/x 2>/dev/null && echo made; grep \" $d .* rw\" /proc/mounts; done; true"
            )
            #expect(try bundle.succeed("run", "c") == "")
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
