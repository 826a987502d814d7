// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Bad input on the command line: a clear error, the right code, and nothing half-made.
    @Suite struct ArgumentRefusalTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// A command that must be refused.
        struct Refusal: Sendable, CustomTestStringConvertible {
            var command: [String]
            var status: Int32 = 125
            /// What the message must contain.
            var texts: [String]
            var testDescription: String { command.joined(separator: " ") }
        }

        /// - Parameter isPrepared: something exists already; only what the command adds matters.
        private func expectRefusal(_ refusal: Refusal, sourceLocation: SourceLocation = #_sourceLocation) throws {
            let before = HostSnapshot(of: samara)
            let result = try samara.run(refusal.command)
            #expect(result.status == refusal.status, "\(result)", sourceLocation: sourceLocation)
            #expect(result.stderr.hasPrefix("Error: "), "\(result)", sourceLocation: sourceLocation)
            #expect(result.stdout.isEmpty, "\(result)", sourceLocation: sourceLocation)
            for text in refusal.texts {
                #expect(result.stderr.contains(text), "no \"\(text)\": \(result)", sourceLocation: sourceLocation)
            }
            let left = HostSnapshot(of: samara).added(since: before).filter { !$0.contains("holder") }
            #expect(left.isEmpty, "half-made: \(left.joined(separator: "\n"))", sourceLocation: sourceLocation)
        }

        private static let ports: [(text: String, why: [String])] = [
            ("0", ["between 1 and 65535"]), ("0:80", ["between 1 and 65535"]), ("80:0", ["between 1 and 65535"]),
            ("65536:80", ["65536"]), ("80:65536", ["65536"]), ("70000:80", ["70000"]), ("8080:70000", ["70000"]),
            ("99999999999999999999:80", ["99999999999999999999"]), ("a:b", ["invalid"]),
            ("80:", ["non-empty container port"]),
            (":", ["non-empty container port"]), ("1.2.3.4.5:80:80", ["1.2.3.4.5"]),
            ("80-90:80-85", ["different lengths"]),
            ("90-80:90-80", ["range"]), ("/tcp", ["non-empty container port"]), ("8080:80/sctp", ["SCTP"]),
            ("8080:80/xyz", ["xyz"]),
            ("8080:80/", ["protocol"]), ("8080:80/tcp/udp", ["protocol"]), ("-1:80", ["port"]),
            (" 8080:80", ["invalid"]), ("1:2:3:4", ["format"]),
            ("[::1:8080:80", ["format"]), ("::1:8080:80", ["format"]), ("8080:80:", []),
        ]

        static let publishing: [Refusal] = ports.flatMap { port in
            [
                Refusal(command: ["pod", "create", "--name", "refused", "-p", port.text], texts: port.why),
                Refusal(command: ["run", "--name", "refused", "-p", port.text, "busybox", "true"], texts: port.why),
            ]
        }

        @Test(arguments: publishing)
        func malformedPorts(refusal: Refusal) throws { try expectRefusal(refusal) }

        static let volumes: [(text: String, why: [String])] = [
            ("data:relative", ["relative"]), ("relative", ["relative"]), (":/data", ["empty"]), ("data:", ["empty"]),
            ("", ["empty"]),
            ("data::ro", ["empty"]), ("data:/data:nosuchoption", ["nosuchoption"]),
            ("data:/data:ro:more", ["volume format"]),
            ("/nosuch/folder:/data", ["/nosuch/folder"]), ("bad name:/data", ["bad name"]), ("data:/", ["/"]),
            ("data:/proc", ["/proc"]),
            ("data:/proc/sys", ["/proc"]),
        ]

        static let mounting: [Refusal] =
            volumes.map {
                Refusal(command: ["run", "--name", "refused", "-v", $0.text, "busybox", "true"], texts: $0.why)
            } + [
                Refusal(
                    command: ["run", "-v", "a:/data", "-v", "b:/data", "busybox", "true"],
                    texts: ["/data", "duplicate"]),
                Refusal(command: ["run", "--mount", "type=nosuch,target=/x", "busybox", "true"], texts: ["nosuch"]),
                Refusal(
                    command: ["run", "--mount", "type=bind,source=/nosuch,target=/x", "busybox", "true"],
                    texts: ["/nosuch"]),
                Refusal(command: ["run", "--mount", "type=volume,target=x", "busybox", "true"], texts: ["absolute"]),
                Refusal(command: ["run", "--tmpfs", "relative", "busybox", "true"], texts: ["relative"]),
                Refusal(command: ["volume", "create", "bad/name"], texts: ["names must match"]),
            ]

        @Test(arguments: mounting)
        func malformedVolumes(refusal: Refusal) throws { try expectRefusal(refusal) }

        static let others: [Refusal] = [
            Refusal(command: ["run", "-e", "=x", "busybox", "true"], texts: ["=x"]),
            Refusal(command: ["run", "-e", "", "busybox", "true"], texts: ["environment"]),
            Refusal(command: ["run", "--env-file", "/nosuch", "busybox", "true"], texts: ["/nosuch"]),
            Refusal(command: ["run", "--pull", "never", "nosuchimage"], texts: ["nosuchimage"]),
            Refusal(command: ["create", "--pull", "never", "nosuchimage"], texts: ["nosuchimage"]),
            Refusal(
                command: ["run", "-d", "--pod", "nosuch", "busybox"],
                texts: ["no pod with name or ID nosuch found: no such pod"]),
            Refusal(command: ["run", "--pull", "maybe", "busybox"], texts: ["maybe"]),
            Refusal(command: ["run", "upper/CASE"], texts: ["upper/CASE", "lowercase"]),
            Refusal(command: ["run", "busybox:bad tag"], texts: ["bad tag"]),
            Refusal(command: ["run", "--name", "-dash", "busybox", "true"], texts: ["names must match"]),
            Refusal(command: ["run", "--name", "sl/ash", "busybox", "true"], texts: ["names must match"]),
            Refusal(command: ["run", "--name", "../up", "busybox", "true"], texts: ["names must match"]),
            Refusal(command: ["pod", "create", "--name", "sl/ash"], texts: ["names must match"]),
            Refusal(command: ["pod", "create", "--name", ""], texts: ["name"]),
            Refusal(
                command: ["pod", "create", "--share", "bogus"],
                texts: ["invalid kernel namespace to share: bogus. Options are: cgroup, ipc, net, pid, uts or none"]),
            Refusal(command: ["pod", "create", "--infra=false", "-p", "8080:80"], texts: ["infra"]),
            Refusal(command: ["pod", "create", "--exit-policy", "maybe"], texts: ["maybe"]),
            Refusal(command: ["run", "--restart", "sometimes", "busybox"], texts: ["sometimes"]),
            Refusal(command: ["run", "--restart", "on-failure:x", "busybox"], texts: ["restart policy"]),
            Refusal(command: ["run", "-w", "relative", "busybox", "true"], texts: ["relative"]),
            Refusal(command: ["run", "--network", "nosuch", "busybox", "true"], texts: ["nosuch"]),
            Refusal(command: ["run", "--network", "none", "-p", "8080:80", "busybox", "true"], texts: ["ports"]),
            Refusal(command: ["run", "--stop-signal", "SIGNOPE", "busybox", "true"], texts: ["SIGNOPE"]),
            Refusal(command: ["run", "--cap-add", "NOPE", "busybox", "true"], texts: ["NOPE"]),
            Refusal(command: ["run", "--security-opt", "nope", "busybox", "true"], texts: ["nope"]),
            Refusal(command: ["run", "--shm-size", "lots", "busybox", "true"], texts: ["lots"]),
            Refusal(command: ["run", "--ulimit", "nope=1", "busybox", "true"], texts: ["nope"]),
            Refusal(command: ["run", "--label", "=x", "busybox", "true"], texts: ["=x"]),
            Refusal(command: ["run", "--add-host", "nonsense", "busybox", "true"], texts: ["nonsense"]),
            Refusal(command: ["run", "--dns", "nonsense", "busybox", "true"], texts: ["nonsense"]),
            Refusal(command: ["run", "--detach-keys", "ctrl-", "-it", "busybox", "true"], texts: ["ctrl-"]),
            Refusal(
                command: ["run", "--hostname", String(repeating: "h", count: 65), "busybox", "true"],
                texts: ["hostname"]),
            Refusal(command: ["run"], texts: ["requires at least 1 arg"]),
            Refusal(
                command: ["exec", "nosuch", "true"],
                texts: ["no container with name or ID \"nosuch\" found: no such container"]),
            Refusal(command: ["start", "nosuch"], texts: ["nosuch"]),
            Refusal(command: ["logs", "nosuch"], texts: ["nosuch"]),
            Refusal(command: ["pod", "start", "nosuch"], texts: ["nosuch"]),
            Refusal(command: ["pod", "stop", "nosuch"], texts: ["nosuch"]),
            Refusal(
                command: ["rm", "nosuch"], status: 1,
                texts: ["no container with ID or name \"nosuch\" found: no such container"]),
            Refusal(
                command: ["pod", "rm", "nosuch"], status: 1, texts: ["no pod with name or ID nosuch found: no such pod"]
            ),
            Refusal(
                command: ["volume", "rm", "nosuch"], status: 1,
                texts: ["no volume with name \"nosuch\" found: no such volume"]),
            Refusal(command: ["load", "-i", "/nosuch.tar"], texts: ["/nosuch.tar"]),
            Refusal(command: ["tag", "nosuch", "x"], texts: ["nosuch"]),
        ]

        @Test(arguments: others)
        func malformedRest(refusal: Refusal) throws { try expectRefusal(refusal) }

        @Test func namesThatAreTaken() throws {
            try samara.succeed("create", "--name", "box", "busybox", "true")
            let pod = try samara.succeed("pod", "create", "--name", "mypod")
            try expectRefusal(
                Refusal(
                    command: ["run", "--name", "box", "busybox", "true"],
                    texts: ["the container name \"box\" is already in use by", "--replace"]))
            try expectRefusal(
                Refusal(
                    command: ["pod", "create", "--name", "mypod"],
                    texts: ["name \"mypod\" is in use: pod already exists"]))
            // Containers and pods share their names.
            try expectRefusal(
                Refusal(command: ["run", "--name", "mypod", "busybox", "true"], texts: ["\"mypod\"", "in use"]))
            try expectRefusal(Refusal(command: ["pod", "create", "--name", "box"], texts: ["\"box\"", "in use"]))
            try expectRefusal(
                Refusal(
                    command: ["run", "--pod", "mypod", "-p", "8080:80", "busybox", "true"],
                    texts: ["published or exposed ports must be defined when the pod is created"]))
            try expectRefusal(
                Refusal(
                    command: ["run", "--pod", "mypod", "--hostname", "h", "busybox", "true"],
                    texts: ["cannot set hostname when joining the pod UTS namespace"]))
            let infra = String(pod.prefix(12)) + "-infra"
            let removal = try samara.run("rm", infra)
            #expect(removal.status != 0 && removal.stderr.contains("infra"), "\(removal)")
        }

        @Test func portsInUse() throws {
            let port = try freePort()
            let blocker = try Socket.bind("0.0.0.0", port)
            let result = try samara.run("run", "--name", "refused", "-p", "\(port):80", "busybox", "true")
            #expect(result.status == 126 || result.status == 125, "\(result)")
            #expect(result.stderr.hasPrefix("Error: ") && result.stderr.contains("\(port)"), "\(result)")
            #expect(result.stderr.contains("address already in use"), "\(result)")
            #expect(result.stderr.contains("process \(getpid())"), "who has it: \(result)")
            try samara.succeed("rm", "refused")
            withExtendedLifetime(blocker) {}

            try samara.succeed("pod", "create", "--name", "one", "-p", "\(port + 1):80")
            try samara.succeed("pod", "start", "one")
            // As with Podman, a pod may be made for a port that is taken now; it cannot start.
            try samara.succeed("pod", "create", "--name", "two", "-p", "\(port + 1):80")
            let start = try samara.run("pod", "start", "two")
            #expect(
                start.status == 125 && start.stderr.contains("\(port + 1)") && start.stderr.contains("in use"),
                "\(start)")
            #expect(start.stderr.contains("samara-net"), "who has it: \(start)")
            #expect(try samara.succeed("pod", "ps", "--filter", "name=two", "--format", "{{.Status}}") == "Created")
            try samara.succeed("pod", "stop", "one")
            try samara.succeed("pod", "start", "two")
        }

        @Test func portsBelowTheUnprivilegedOnes() throws {
            let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
            let start =
                FileManager.default.contents(atPath: file)
                .flatMap { Int(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) }
                ?? 1024
            // Where every port is free to all there is no such error to see, and port 999 must work.
            if start <= 999 {
                return _ = try samara.succeed("run", "--rm", "-p", "127.0.0.1:999:80", "busybox", "true")
            }
            let result = try samara.run("run", "--rm", "-p", "999:80", "busybox", "true")
            #expect(result.status == 126 || result.status == 125, "\(result)")
            #expect(result.stderr.hasPrefix("Error: "), "\(result)")
            for text in ["999", "net.ipv4.ip_unprivileged_port_start", "\(start)", "permission denied"] {
                #expect(result.stderr.contains(text), "no \(text): \(result)")
            }
            #expect(try samara.succeed("ps", "-aq").isEmpty)
        }

        @Test func commandsThatCannotRun() throws {
            for network in ["none", "private"] {
                for (command, status, text) in [
                    ("nosuchcmd", 127, "not found"), ("/nosuch/cmd", 127, "no such file"),
                    ("/etc", 126, "not a regular file"), ("/etc/passwd", 126, "denied"),
                ] {
                    let result = try samara.run("run", "--rm", "--network", network, "busybox", command)
                    #expect(result.status == Int32(status), "\(result)")
                    #expect(result.stderr.hasPrefix("Error: ") && result.stderr.contains(command), "\(result)")
                    #expect(result.stderr.lowercased().contains(text), "\(result)")
                }
            }
            try eventually("nothing stays") { try samara.succeed("ps", "-aq").isEmpty }
        }
    }
}
