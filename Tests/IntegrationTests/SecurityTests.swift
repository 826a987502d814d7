// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What a container may not do, unless asked.
    @Suite struct SecurityTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func status(_ flags: String...) throws -> [String: String] {
            let result = try samara.run(
                ["run", "--rm", "--network", "none"] + flags + ["busybox", "cat", "/proc/self/status"])
            #expect(result.status == 0, "\(result)")
            var fields: [String: String] = [:]
            for line in result.lines {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2 { fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces) }
            }
            return fields
        }

        private func capabilities(_ hexadecimal: String?) -> UInt64 {
            hexadecimal.flatMap { UInt64($0, radix: 16) } ?? .max
        }

        /// Podman's eleven: chown, dac_override, fowner, fsetid, kill, net_bind_service, setfcap, setgid, setpcap,
        /// setuid, sys_chroot; numbers from capabilities(7).
        private static let standard: UInt64 = [0, 1, 3, 4, 5, 10, 31, 6, 8, 7, 18].reduce(0) { $0 | 1 << UInt64($1) }

        @Test func capabilitiesAreFew() throws {
            let plain = try status()
            for set in ["CapPrm", "CapEff", "CapBnd"] { #expect(capabilities(plain[set]) == Self.standard, "\(set)") }
            #expect(capabilities(plain["CapInh"]) == 0 && capabilities(plain["CapAmb"]) == 0)
            #expect(capabilities(try status("--cap-drop", "all")["CapBnd"]) == 0)
            #expect(capabilities(try status("--cap-drop", "all", "--cap-add", "chown")["CapEff"]) == 1)
            #expect(capabilities(try status("--cap-add", "NET_ADMIN")["CapEff"]) == Self.standard | 1 << 12)
            #expect(capabilities(try status("--cap-drop", "CAP_KILL")["CapBnd"]) == Self.standard & ~(1 << 5))
            let user = try status("-u", "33")
            #expect(capabilities(user["CapEff"]) == 0 && capabilities(user["CapBnd"]) == Self.standard)
            #expect(capabilities(try status("--privileged")["CapEff"]).nonzeroBitCount > 35)
            let unknown = try samara.run("run", "--rm", "--cap-add", "NOSUCH", "busybox", "true")
            #expect(unknown.status == 125 && unknown.stderr.contains("NOSUCH"), "\(unknown)")
        }

        @Test func systemCallsAreFiltered() throws {
            #expect(try status()["Seccomp"] == "2")
            #expect(try status("--security-opt", "seccomp=unconfined")["Seccomp"] == "0")
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            #expect(try samara.succeed("exec", "box", "grep", "Seccomp:", "/proc/self/status").hasSuffix("2"))
            let mount = try samara.run("exec", "box", "mount", "-t", "tmpfs", "none", "/mnt")
            #expect(mount.status != 0, "\(mount)")
            let namespace = try samara.run("exec", "box", "unshare", "-U", "true")
            #expect(namespace.status != 0, "\(namespace)")
        }

        @Test func privilegesAreNotGainedWhenForbidden() throws {
            #expect(try status()["NoNewPrivs"] == "0")
            #expect(try status("--security-opt", "no-new-privileges")["NoNewPrivs"] == "1")
        }

        @Test func kernelIsMasked() throws {
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/interrupts"] {
                let result = try samara.run("exec", "box", "sh", "-c", "test ! -e \(path) || head -c 1 \(path) | wc -c")
                #expect(result.text == "0" || result.text.isEmpty, "\(path): \(result)")
            }
            for folder in ["/proc/scsi", "/proc/acpi", "/sys/firmware"] {
                #expect(
                    try samara.run("exec", "box", "sh", "-c", "test ! -e \(folder) || ls -A \(folder)").text.isEmpty,
                    "\(folder)")
            }
            for path in ["/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern"] {
                let result = try samara.run("exec", "box", "sh", "-c", "echo x >\(path)")
                #expect(result.status != 0 && result.stderr.contains("Read-only file system"), "\(path): \(result)")
            }
            let cgroup = try samara.run("exec", "box", "sh", "-c", "mkdir /sys/fs/cgroup/mine")
            #expect(cgroup.status != 0, "\(cgroup)")
        }

        @Test func devicesAreTheUsualOnes() throws {
            let list = try samara.succeed("run", "--rm", "busybox", "ls", "/dev").split(separator: "\n").map(
                String.init)
            let usual: Set = [
                "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
                "stdout", "tty",
                "urandom", "zero",
            ]
            #expect(Set(list).isSubset(of: usual), "\(list)")
            #expect(
                Set(list).isSuperset(of: ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"]),
                "\(list)")
            let write = try samara.run(
                "run", "--rm", "busybox", "sh", "-c",
                "echo x >/dev/null && head -c 4 /dev/urandom | wc -c; mknod /d b 7 0")
            #expect(write.lines.first == "4" && write.status != 0, "\(write)")
        }

        /// The user is root inside only.
        @Test func rootInsideIsNotRootOutside() throws {
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            let pid = try samara.pid(of: "box")
            let status = String(
                decoding: FileManager.default.contents(atPath: "/proc/\(pid)/status") ?? Data(), as: UTF8.self)
            #expect(status.contains("Uid:\t\(getuid())\t"), "\(status)")
            let secret = samara.home + "/secret"
            try Data("mine".utf8).write(to: URL(fileURLWithPath: secret))
            #expect(chmod(secret, 0o600) == 0)
            // A subordinate user cannot read the user's own files, container root can.
            let other = try samara.run(
                "run", "--rm", "-u", "33", "-v", "\(secret):/secret", "busybox", "cat", "/secret")
            #expect(other.status == 1 && other.stderr.contains("Permission denied"), "\(other)")
            #expect(try samara.succeed("run", "--rm", "-v", "\(secret):/secret", "busybox", "cat", "/secret") == "mine")
        }

        /// Runs `samara ARGUMENTS` from a shell that has executed `preparation` first.
        private func run(after preparation: String, _ arguments: String...) throws -> CommandResult {
            try runCommand(
                ["/bin/sh", "-c", preparation + "\n\"$@\"", "sh"] + samara.command(arguments),
                environment: samara.environment)
        }

        /// Umask, ignored signals and open files of the caller; and nobody's groups but those that were asked for.
        @Test func whatTheCallerHasIsNotTheContainers() throws {
            let caller = "umask 077; trap '' HUP USR1; exec 7</"
            let look = "umask; ls /proc/self/fd; grep SigIgn /proc/self/status"
            // Only the two that the caller ignores: busybox's shell ignores SIGQUIT by itself.
            func expect(_ result: CommandResult, _ lines: [String], sourceLocation: SourceLocation = #_sourceLocation) {
                let head = ["0022", "0", "1", "2", "3"]
                #expect(result.lines.prefix(5) == head[...], "\(result)", sourceLocation: sourceLocation)
                let ignored = result.lines.dropFirst(5).first?.split(separator: "\t").last
                #expect(
                    ignored.flatMap { UInt64($0, radix: 16) }.map { $0 & (1 << 0 | 1 << 9) } == 0, "\(result)",
                    sourceLocation: sourceLocation)
                #expect(Array(result.lines.dropFirst(6)) == lines, "\(result)", sourceLocation: sourceLocation)
            }
            expect(
                try run(
                    after: caller, "run", "--rm", "--network", "none", "-u", "33:44", "--group-add", "55", "-v",
                    "data:/new/dir", "busybox", "sh", "-c", look + "; id -G; stat -c %a / /new"),
                ["44 55", "755", "755"])
            _ = try run(after: caller, "run", "-d", "--network", "none", "--name", "box", "busybox", "sleep", "1000")
            expect(try run(after: caller, "exec", "-u", "33:44", "box", "sh", "-c", look), [])
            let outside = try run(
                after: caller, "run", "--rm", "--network", "none", "-w", "/proc/self/fd/7", "busybox", "echo", "escaped"
            )
            #expect(outside.status != 0 && outside.stdout.isEmpty, "\(outside)")
        }

        /// CVE-2021-30465: what a container left in a volume is not followed out of the next container's root.
        @Test(arguments: ["", "../../../../../..", "/proc/self/root"])
        func linksInAVolumeDoNotMoveMounts(prefix: String) throws {
            let outside = samara.home + "/outside-of-links"
            try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: outside) }
            try samara.succeed(
                "run", "--rm", "--network", "none", "-v", "links:/v", "busybox", "ln", "-s", prefix + outside, "/v/l")
            // Whether it fails or stays inside: nothing may appear outside.
            let result = try samara.run(
                "run", "--rm", "--network", "none", "-v", "links:/v", "-v", "data:/v/l/made", "busybox", "true")
            let found = try FileManager.default.subpathsOfDirectory(atPath: outside)
            #expect(found.isEmpty, "\(outside): \(result)")
        }

        /// Nothing of the engine's own is open in the program.
        @Test func programHasOnlyItsOwnDescriptors() throws {
            for flags in [["--network", "none"], []] {
                let result = try samara.run(["run", "--rm"] + flags + ["busybox", "ls", "/proc/self/fd"])
                // ls itself has the folder open as 3.
                #expect(result.lines == ["0", "1", "2", "3"], "\(result)")
            }
            try samara.succeed("run", "-d", "--pod", "new:mypod", "busybox", "sleep", "1000")
            #expect(try samara.run("exec", "mypod-busybox", "ls", "/proc/self/fd").lines == ["0", "1", "2", "3"])
            #expect(try samara.run("exec", "mypod-busybox", "ls", "/proc/1/fd").lines == ["0", "1", "2"])
        }
    }
}
