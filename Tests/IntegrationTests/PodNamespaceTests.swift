// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What the containers of a pod share and what they keep for themselves.
    @Suite struct PodNamespaceTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func podOfTwo(_ options: String...) throws -> (one: Int, two: Int) {
            let created = try samara.run(["pod", "create", "--name", "twins"] + options)
            try #require(created.status == 0, "\(created)")
            for name in ["one", "two"] {
                try samara.succeed("run", "-d", "--pod", "twins", "--name", name, "busybox", "sleep", "1000")
            }
            return (try samara.pid(of: "one"), try samara.pid(of: "two"))
        }

        private func shared(_ pids: (one: Int, two: Int)) throws -> Set<String> {
            Set(
                try ["user", "net", "ipc", "uts", "pid", "mnt"].filter {
                    let (one, two) = (
                        try HostProcess.namespace($0, of: pids.one), try HostProcess.namespace($0, of: pids.two)
                    )
                    #expect(try one != HostProcess.namespace($0, of: Int(getpid())), "\($0) must not be the host's")
                    return one == two
                })
        }

        @Test func networkIPCAndHostNameAreShared() throws {
            #expect(try shared(podOfTwo()) == ["user", "net", "ipc", "uts"])
        }

        @Test func podsAreApart() throws {
            let first = try podOfTwo()
            try samara.succeed("run", "-d", "--pod", "new:other", "--name", "three", "busybox", "sleep", "1000")
            #expect(try shared((first.one, samara.pid(of: "three"))).isEmpty)
        }

        @Test func processesAreSharedWhenAsked() throws {
            let pids = try podOfTwo("--share", "pid")
            #expect(try shared(pids) == ["user", "net", "ipc", "uts", "pid"])
            let listing = try samara.succeed("exec", "one", "ps", "-o", "pid,args")
            #expect(listing.components(separatedBy: "sleep 1000").count == 3, "both members: \(listing)")
            // PID 1 is the pod's keeper, and nobody in the pod may end it.
            #expect(try samara.succeed("exec", "one", "cat", "/proc/1/cmdline").contains("keeper"))
            let keeper = try HostProcess.one(titled: "samara: keeper twins")
            _ = try samara.run("exec", "one", "kill", "-9", "1")
            #expect(keeper.isAlive)
            #expect(try samara.succeed("exec", "two", "echo", "here") == "here")
        }

        @Test func whatAMemberLeavesBehindInASharedNamespaceIsEnded() throws {
            _ = try podOfTwo("--share", "ipc,net,pid,uts")
            let left = try samara.run(
                "run", "--rm", "--pod", "twins", "busybox", "sh", "-c", "setsid sleep 4242 & sleep 0.1; pidof sleep")
            #expect(left.status == 0)
            #expect(left.text.split(separator: " ").count >= 3, "the shell sees its own and the members': \(left)")
            try eventually("the leftover is gone") {
                try !samara.succeed("exec", "one", "ps", "-o", "args").contains("sleep 4242")
            }
        }

        @Test func addressHostsAndHostNameAreThePods() throws {
            try samara.succeed(
                "pod", "create", "--name", "twins", "--hostname", "castor", "--add-host", "far:192.0.2.9")
            try samara.succeed("run", "-d", "--pod", "twins", "--name", "web", "nginx")
            try samara.succeed("run", "-d", "--pod", "twins", "--name", "db", "redis")
            var addresses: Set<String> = []
            for name in ["web", "db"] {
                let text = try samara.succeed("exec", name, "ip", "-o", "-4", "address", "show", "scope", "global")
                addresses.insert(
                    try #require(text.firstMatch(of: /inet ([0-9.]+)\/24/).map { String($0.1) }, "\(text)"))
                #expect(try samara.succeed("exec", name, "hostname") == "castor")
                #expect(try samara.succeed("exec", name, "cat", "/etc/hostname") == "castor")
                let hosts = try samara.succeed("exec", name, "cat", "/etc/hosts")
                for line in [
                    /127\.0\.0\.1\s+localhost/, /10\.0\.2\.100\s.*castor/, /192\.0\.2\.9\s+far/, /127\.0\.0\.1\s+db/,
                ] {
                    #expect(hosts.contains(line), "\(hosts)")
                }
                #expect(try samara.succeed("exec", name, "cat", "/etc/resolv.conf").contains("nameserver"))
            }
            #expect(addresses == ["10.0.2.100"])
            #expect(try samara.succeed("exec", "web", "getent", "ahostsv4", "db").contains("127.0.0.1"))
        }

        @Test func sharedMemoryIsThePods() throws {
            _ = try podOfTwo("--shm-size", "1m")
            try samara.succeed("exec", "one", "sh", "-c", "echo hello >/dev/shm/note")
            #expect(try samara.succeed("exec", "two", "cat", "/dev/shm/note") == "hello")
            let full = try samara.run("exec", "two", "dd", "if=/dev/zero", "of=/dev/shm/big", "bs=64k", "count=64")
            #expect(full.status != 0 && full.stderr.contains("No space left"), "\(full)")
            try samara.succeed("run", "-d", "--name", "alone", "busybox", "sleep", "1000")
            #expect(try samara.run("exec", "alone", "test", "-e", "/dev/shm/note").status == 1)
        }

        @Test func filesAreNotShared() throws {
            _ = try podOfTwo()
            try samara.succeed("exec", "one", "touch", "/mine")
            #expect(try samara.run("exec", "two", "test", "-e", "/mine").status == 1)
        }

        @Test func nothingIsSharedWithoutWishing() throws {
            #expect(try shared(podOfTwo("--share", "none", "--infra=false")).subtracting(["user"]).isEmpty)
        }

        @Test func onlyPublishedPortsAreReachable() throws {
            let port = try freePort()
            let before = HostSnapshot.currentListeners()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "127.0.0.1:\(port):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "nginx")
            try samara.succeed("run", "-d", "--pod", "mypod", "redis")
            _ = try samara.waitForPage(port, "/")
            let added = HostSnapshot.currentListeners().subtracting(before)
            #expect(added == ["tcp 0100007F:" + hexadecimal(port)], "\(added)")
            // 10.0.2.100 is nobody's on the host.
            let direct = try runCommand(
                ["/usr/bin/curl", "-sS", "--noproxy", "*", "--max-time", "1", "http://10.0.2.100:80/"],
                environment: samara.environment)
            #expect(!direct.stdout.contains("nginx"), "\(direct)")
        }

        private func hexadecimal(_ port: UInt16) -> String {
            let text = String(port, radix: 16, uppercase: true)
            return String(repeating: "0", count: 4 - text.count) + text
        }
    }
}
