// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// The tutorial of the README, command by command.
    @Suite struct TutorialTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func fetch(_ port: UInt16) throws -> CommandResult {
            try runCommand(
                ["/usr/bin/curl", "-sS", "--max-time", "5", "http://localhost:\(port)/"],
                environment: samara.environment)
        }

        @Test func podWithNginxAndRedis() throws {
            let port = try freePort()
            let pod = try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            #expect(pod.wholeMatch(of: /[0-9a-f]{64}/) != nil, "\(pod)")
            let listed = try samara.run("pod", "ps")
            #expect(listed.lines.count == 2)
            #expect(listed.lines.last?.contains("Created") == true, "\(listed)")
            #expect(try samara.succeed("pod", "inspect", "mypod").contains("\"HostPort\": \"\(port)\""))

            try samara.succeed("run", "-d", "--pod", "mypod", "nginx")
            try samara.succeed("run", "-d", "--pod", "mypod", "redis")
            let names = try samara.run("ps", "--format", "{{.Names}} {{.PodName}}").lines
            #expect(names.contains("mypod-nginx mypod"), "\(names)")
            #expect(names.contains("mypod-redis mypod"), "\(names)")
            #expect(try samara.succeed("ps", "--pod").contains("PODNAME"))

            var page = try fetch(port)
            try eventually("nginx answers through the published port") {
                page = try fetch(port)
                return page.status == 0
            }
            #expect(page.stdout.contains("Welcome to nginx!"), "\(page)")

            try samara.succeed("pod", "stop", "mypod")
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}}") == "Exited")
            #expect(try fetch(port).status == 7, "the port must be closed once the pod is stopped")
            try samara.succeed("pod", "rm", "mypod")
            #expect(try samara.succeed("ps", "-a", "--noheading").isEmpty)
        }

        @Test func redisIsOnLocalhostForNginx() throws {
            try samara.succeed("pod", "create", "--name", "mypod")
            try samara.succeed("run", "-d", "--pod", "mypod", "nginx")
            try samara.succeed("run", "-d", "--pod", "mypod", "redis")
            try eventually("redis answers") {
                try samara.run("exec", "mypod-redis", "redis-cli", "ping").text == "PONG"
            }

            let bash = try samara.terminal("exec", "-it", "mypod-nginx", "bash")
            try bash.expect("[#$] $")
            bash.type("exec 3<>/dev/tcp/localhost/6379; printf 'PING\\r\\n' >&3; head -n 1 <&3\r")
            // The echo of the typed line is no answer: an answer begins a line.
            try bash.expect("[\r\n]\\+PONG[^#$]*[#$] $")
            bash.type("exit 3\r")
            #expect(try bash.waitForExit() == 3)

            let shell = try samara.terminal("exec", "-it", "mypod-redis", "sh")
            try shell.expect("[#$] $")
            shell.type("redis-cli ping\r")
            try shell.expect("[\r\n]PONG[^#$]*[#$] $")
            shell.type("\u{4}")
            #expect(try shell.waitForExit() == 0)
        }

        @Test func dataOutlivesItsPod() throws {
            try samara.succeed("pod", "create", "--name", "mypod")
            try samara.succeed("run", "-d", "--pod", "mypod", "-v", "data:/data", "redis")
            try eventually("redis answers") {
                try samara.run("exec", "mypod-redis", "redis-cli", "ping").text == "PONG"
            }
            #expect(try samara.succeed("exec", "mypod-redis", "redis-cli", "set", "greeting", "hello") == "OK")
            try samara.succeed("pod", "rm", "-f", "mypod")

            try samara.succeed("pod", "create", "--name", "mypod", "--share", "pid")
            try samara.succeed("run", "-d", "--pod", "mypod", "-v", "data:/data", "redis")
            var answer = ""
            try eventually("the second redis answers") {
                answer = try samara.run("exec", "mypod-redis", "redis-cli", "get", "greeting").text
                return !answer.isEmpty && !answer.contains("refused")
            }
            #expect(answer == "hello")
        }

        @Test func podsAreFoundByLabelAndAllRemovedAtOnce() throws {
            let dev = try samara.succeed("pod", "create", "--label", "env=dev")
            try samara.succeed("pod", "create", "--label", "env=test")
            #expect(try samara.succeed("pod", "ps", "-q", "--no-trunc", "--filter", "label=env=dev") == dev)
            let removed = try samara.run("pod", "rm", "-f", "-a")
            #expect(removed.status == 0)
            #expect(removed.lines.count == 2)
            #expect(try samara.succeed("pod", "ps", "--noheading").isEmpty)
        }
    }
}
