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

        private func waitForRedis(_ container: String) throws {
            try eventually("redis answers in \(container)") {
                try samara.run("exec", container, "redis-cli", "ping").text == "PONG"
            }
        }

        @Test func podWithNginxAndRedis() throws {
            let port = try freePort()
            let pod = try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            #expect(pod.wholeMatch(of: /[0-9a-f]{64}/) != nil, "\(pod)")
            let listed = try samara.run("pod", "ps")
            #expect(
                listed.lines.first?.split(separator: " ").joined(separator: " ")
                    == "POD ID NAME STATUS CREATED INFRA ID # OF CONTAINERS")
            let row = try #require(listed.lines.dropFirst().first, "\(listed)")
            #expect(row.contains(/^[0-9a-f]{12} +mypod +Created +.* +[0-9a-f]{12} +1$/), "\(row)")
            let inspected = try samara.inspect("pod", "inspect", "mypod")
            #expect(inspected["Id"].text == pod)
            #expect(inspected["State"].text == "Created")
            #expect(inspected["InfraConfig"]["PortBindings"]["80/tcp"][0]["HostPort"].text == "\(port)")
            #expect(inspected["SharedNamespaces"].texts == ["ipc", "net", "uts"])

            for image in ["nginx", "redis"] {
                let id = try samara.succeed("run", "-d", "--pod", "mypod", image)
                #expect(id.wholeMatch(of: /[0-9a-f]{64}/) != nil, "\(id)")
            }
            let names = try samara.run("ps", "--format", "{{.Names}} {{.PodName}}").lines
            #expect(names.contains("mypod-nginx mypod"), "\(names)")
            #expect(names.contains("mypod-redis mypod"), "\(names)")
            let plain = try samara.run("ps")
            #expect(plain.lines.count == 4, "the infra container, nginx and redis below the headings: \(plain)")
            #expect(plain.stdout.contains("docker.io/library/nginx:latest"), "\(plain)")
            #expect(plain.stdout.contains("0.0.0.0:\(port)->80/tcp"), "\(plain)")
            let withPods = try samara.run("ps", "--pod")
            #expect(withPods.lines[0].contains("POD ID") && withPods.lines[0].contains("PODNAME"))
            #expect(withPods.lines.dropFirst().allSatisfy { $0.contains(/[0-9a-f]{12} +mypod$/) }, "\(withPods)")
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}} {{.NumberOfContainers}}") == "Running 3")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))

            try samara.succeed("pod", "stop", "mypod")
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}}") == "Exited")
            #expect(try samara.fetch(port).status == 7, "the port must be closed once the pod is stopped")
            try samara.succeed("pod", "rm", "mypod")
            #expect(try samara.succeed("ps", "-a", "--noheading").isEmpty)
        }

        @Test func redisIsOnLocalhostForNginx() throws {
            try samara.succeed("pod", "create", "--name", "mypod")
            try samara.succeed("run", "-d", "--pod", "mypod", "nginx")
            try samara.succeed("run", "-d", "--pod", "mypod", "redis")
            try waitForRedis("mypod-redis")

            let bash = try samara.terminal("exec", "-it", "mypod-nginx", "bash")
            try bash.expect("[#$] $")
            bash.type("exec 3<>/dev/tcp/localhost/6379; printf 'PING\\r\\n' >&3; head -n 1 <&3\r")
            // The echo of the typed line is no answer: an answer begins a line.
            try bash.expect("[\r\n]\\+PONG[^#$]*[#$] $")
            // As the tutorial types it: redis takes HTTP for its own words and closes, which curl reports.
            bash.type("curl -sS localhost:6379; echo \"curl: $?\"\r")
            let answer = try bash.expect("[\r\n]curl: [0-9]+[\r\n][^#$]*[#$] $")
            #expect(
                answer.contains("curl: 52") || answer.contains("curl: 1\r") || answer.contains("curl: 56"), "\(answer)")
            bash.type("exit 3\r")
            #expect(try bash.waitForExit() == 3)

            let shell = try samara.terminal("exec", "-it", "mypod-redis", "sh")
            try shell.expect("[#$] $")
            shell.type("redis-cli ping\r")
            try shell.expect("[\r\n]PONG[^#$]*[#$] $")
            shell.type("\u{4}")
            #expect(try shell.waitForExit() == 0)
            try samara.succeed("pod", "rm", "-f", "mypod")
            #expect(try samara.succeed("pod", "ps", "-q").isEmpty)
        }

        @Test func dataOutlivesItsPod() throws {
            try samara.succeed("pod", "create", "--name", "mypod")
            try samara.succeed("run", "-d", "--pod", "mypod", "-v", "data:/data", "redis")
            try waitForRedis("mypod-redis")
            #expect(try samara.succeed("exec", "mypod-redis", "redis-cli", "set", "greeting", "hello") == "OK")
            try samara.succeed("pod", "rm", "-f", "mypod")
            #expect(try samara.succeed("volume", "ls", "-q") == "data")

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
            #expect(try samara.run("pod", "ps", "-q", "--filter", "label=env").lines.count == 2)
            #expect(try samara.succeed("pod", "ps", "-q", "--filter", "label=env=prod").isEmpty)
            let removed = try samara.run("pod", "rm", "-f", "-a")
            #expect(removed.status == 0)
            #expect(removed.lines.count == 2)
            #expect(try samara.succeed("pod", "ps", "--noheading").isEmpty)
        }

        @Test func namesAreNumberedWhenTaken() throws {
            try samara.succeed("pod", "create", "--name", "mypod")
            for _ in 0..<3 { try samara.succeed("create", "--pod", "mypod", "busybox", "true") }
            let names = try samara.run("ps", "-a", "--format", "{{.Names}}", "--filter", "pod=mypod").lines
            #expect(Set(names).isSuperset(of: ["mypod-busybox", "mypod-busybox-2", "mypod-busybox-3"]), "\(names)")
            // A freed name is given again.
            try samara.succeed("rm", "mypod-busybox")
            try samara.succeed("create", "--pod", "mypod", "docker.io/library/busybox:latest", "true")
            #expect(try samara.run("ps", "-a", "--format", "{{.Names}}").lines.contains("mypod-busybox"))
        }

        @Test func aPodCanBeMadeOnTheWay() throws {
            let port = try freePort()
            try samara.succeed(
                "run", "-d", "--pod", "new:fresh", "-p", "\(port):80", "--name", "web", "nginx")
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Name}} {{.Status}}") == "fresh Running")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            try samara.succeed("pod", "restart", "fresh")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            #expect(try samara.run("pod", "exists", "fresh").status == 0)
        }

        @Test func stoppedPodStartsAgain() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "nginx")
            for _ in 0..<2 {
                #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
                try samara.succeed("pod", "stop", "mypod")
                try samara.succeed("pod", "start", "mypod")
            }
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}}") == "Running")
        }
    }
}
