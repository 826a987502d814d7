// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What a program of `samara-runtime` starts with: what its config says, whatever the caller had.
    @Suite struct RuntimePrograms {
        /// Fields of /proc/self/status by name.
        private static func status(_ text: String) -> [String: String] {
            var fields: [String: String] = [:]
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2 { fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces) }
            }
            return fields
        }

        /// Nodes and directories have the modes that they are made with, and the program has the config's umask.
        @Test func theCallersUmaskIsNotTheContainers() throws {
            let bundle = try RuntimeBundle()
            bundle.addMount(["destination": "/made/here", "type": "tmpfs", "source": "tmpfs"])
            bundle.setLinux("devices", [["path": "/dev/sub/fifo", "type": "p", "fileMode": 0o666]])
            bundle.setProcess("cwd", "/inside/dir")
            bundle.shell("umask; stat -c %a /made /inside /inside/dir /dev/sub /dev/sub/fifo")
            let first = try bundle.run(after: "umask 077", "run", "c")
            #expect(first.lines == ["0022", "755", "755", "755", "755", "666"], "\(first)")
            bundle.setProcess("user", ["uid": 0, "gid": 0, "umask": 0o027])
            #expect(try bundle.run(after: "umask 0", "run", "c").lines.first == "0027")

            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            let further = try bundle.run(after: "umask 077", "exec", "c", "sh", "-c", "umask")
            #expect(further.lines == ["0027"], "\(further)")
        }

        /// Of the caller, who is root of a user namespace here and may have any.
        @Test func groupsOfTheCallerAreDropped() throws {
            let bundle = try RuntimeBundle()
            bundle.setNamespaces("pid", "mount", "uts", "ipc")
            bundle.setLinux("uidMappings", NSNull())
            bundle.setLinux("gidMappings", NSNull())
            bundle.shell("id -G")
            let preparation = "set -- setpriv --groups 7,8 \"$@\""
            let none = try bundle.runNested(after: preparation, "run", "c")
            #expect(none.lines == ["0"], "\(none)")
            bundle.setProcess("user", ["uid": 3, "gid": 4, "additionalGids": [5]])
            let some = try bundle.runNested(after: preparation, "run", "c")
            #expect(some.lines == ["4 5"], "\(some)")
        }

        /// Ignored and blocked signals survive execve(2).
        @Test func signalsAreAsAProgramExpectsThem() throws {
            let bundle = try RuntimeBundle()
            let look = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
            // Ignored by the shell, blocked by the runtime in the foreground and by the caller elsewhere.
            let ignoring = "trap '' HUP USR1 TERM 37"
            let expected = ["SigBlk": "0000000000000000", "SigIgn": "0000000000000000"]
            bundle.setProcess("args", look)
            let first = try bundle.run(after: ignoring, "run", "c")
            #expect(Self.status(first.stdout) == expected, "\(first)")
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            let further = try bundle.run(
                after: ignoring, "exec", "c", "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
            #expect(Self.status(further.stdout) == expected, "\(further)")
        }

        /// The config's score is set also where the caller's is another; without one the caller's stays.
        @Test func theScoreForTheOutOfMemoryKillerIsTheConfigs() throws {
            let bundle = try RuntimeBundle()
            let caller = "echo 300 >/proc/self/oom_score_adj"
            bundle.setProcess("args", ["cat", "/proc/self/oom_score_adj"])
            #expect(try bundle.run(after: caller, "run", "c").lines == ["300"])
            for score in [0, 500] {
                bundle.setProcess("oomScoreAdj", score)
                let result = try bundle.run(after: caller, "run", "c")
                #expect(result.lines == ["\(score)"], "\(result)")
            }
            // Lower than the user may: left as it is, which is no error for a container without privilege.
            bundle.setProcess("oomScoreAdj", -500)
            #expect(try bundle.succeed("run", "c") == "0")

            bundle.setProcess("oomScoreAdj", 400)
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            #expect(try bundle.run(after: caller, "exec", "c", "cat", "/proc/self/oom_score_adj").lines == ["400"])
            #expect(try bundle.succeed("exec", "c", "cat", "/proc/1/oom_score_adj") == "400")
        }

        /// A caller that is pinned to one processor does not pin its containers.
        @Test func processorsOfTheCallerAreNotTheContainers() throws {
            let bundle = try RuntimeBundle()
            let own = Self.status(try String(contentsOfFile: "/proc/self/status", encoding: .utf8))
            let all = try #require(own["Cpus_allowed_list"])
            let last = try #require(all.split(whereSeparator: { !$0.isNumber }).last)
            let pinned = "set -- taskset -c \(last) \"$@\""
            let look = ["grep", "Cpus_allowed_list", "/proc/self/status"]
            bundle.setProcess("args", look)
            let first = try bundle.run(after: pinned, "run", "c")
            #expect(Self.status(first.stdout)["Cpus_allowed_list"] == all, "\(first)")
            bundle.setProcess("args", ["sleep", "1000"])
            try bundle.create(detachedRun: true)
            let further = try bundle.run(after: pinned, "exec", "c", "grep", "Cpus_allowed_list", "/proc/self/status")
            #expect(Self.status(further.stdout)["Cpus_allowed_list"] == all, "\(further)")
        }

        /// Bounding set first, gid before uid, and the sets after both: capabilities(7).
        @Test func aUserKeepsExactlyTheCapabilitiesOfTheConfig() throws {
            let bundle = try RuntimeBundle()
            try bundle.mapSubordinateIDs()
            bundle.setProcess("user", ["uid": 7, "gid": 8])
            let one = ["CAP_NET_BIND_SERVICE"]
            bundle.setProcess(
                "capabilities",
                [
                    "bounding": one + ["CAP_KILL"], "permitted": one, "effective": one, "inheritable": one,
                    "ambient": one,
                ])
            bundle.setProcess("args", ["grep", "-E", "^(Cap|Uid|Gid)", "/proc/self/status"])
            let fields = Self.status(try bundle.succeed("run", "c"))
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                #expect(fields[set].flatMap { UInt64($0, radix: 16) } == 1 << 10, "\(set) of \(fields)")
            }
            #expect(fields["CapBnd"].flatMap { UInt64($0, radix: 16) } == 1 << 10 | 1 << 5, "\(fields)")
            #expect(fields["Uid"] == "7\t7\t7\t7" && fields["Gid"] == "8\t8\t8\t8", "\(fields)")
        }

        /// With no_new_privs a filter comes last and need not allow the calls of the set-up.
        @Test func aFilterMayForbidTheCallsOfTheSetUp() throws {
            let bundle = try RuntimeBundle()
            let calls = ["setresuid", "setresgid", "setgroups", "capset", "prctl", "close_range", "umask", "chdir"]
            bundle.setLinux(
                "seccomp",
                ["defaultAction": "SCMP_ACT_ALLOW", "syscalls": [["names": calls, "action": "SCMP_ACT_ERRNO"]]])
            bundle.setProcess("noNewPrivileges", true)
            bundle.setProcess("args", ["echo", "inside"])
            #expect(try bundle.succeed("run", "c") == "inside")
        }

        /// Without it the filter needs CAP_SYS_ADMIN, which the program does not have.
        @Test func aFilterIsLoadedBeforeThePrivilegeIsGone() throws {
            let bundle = try RuntimeBundle()
            bundle.setLinux(
                "seccomp",
                [
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [["names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 19]],
                ])
            bundle.setProcess("noNewPrivileges", false)
            bundle.shell(
                "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; mkdir /tmp/x 2>&1 | grep -o 'No such device'")
            let result = try bundle.run("run", "c")
            #expect(result.lines == ["NoNewPrivs:\t0", "Seccomp:\t2", "No such device"], "\(result)")
        }
    }
}
