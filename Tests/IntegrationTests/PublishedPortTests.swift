// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Published ports, through the real forwarder to real servers.
    @Suite struct PublishedPortTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// A pod with one published port and a member `server` that runs a program in busybox.
        private func serve(_ program: String..., port: UInt16, at podPort: Int) throws {
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):\(podPort)")
            let result = try samara.run(["run", "-d", "--pod", "mypod", "--name", "server", "busybox"] + program)
            try #require(result.status == 0, "\(result)")
            try waitForListener("server", podPort)
        }

        /// Waits until a process in the container's network namespace listens at a TCP port.
        private func waitForListener(_ container: String, _ port: Int) throws {
            let wanted = String(port, radix: 16, uppercase: true)
            let field = ":" + String(repeating: "0", count: 4 - wanted.count) + wanted
            try eventually("port \(port) listens in \(container)") {
                try samara.run("exec", container, "cat", "/proc/net/tcp", "/proc/net/tcp6").lines.contains { line in
                    let fields = line.split(separator: " ")
                    return fields.count > 3 && fields[1].hasSuffix(field) && fields[3] == "0A"
                }
            }
        }

        @Test func everyLoopbackAddressReachesThePod() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "nginx")
            _ = try samara.waitForPage(port)
            for host in ["127.0.0.1", "127.0.0.2", "[::1]", "localhost"] {
                let page = try samara.fetch(port, host: host)
                #expect(page.stdout.contains("Welcome to nginx!"), "\(host): \(page)")
            }
        }

        @Test func addressesGivenAreTheOnlyOnes() throws {
            let (four, six) = (try freePort(), try freePort())
            try samara.succeed(
                "pod", "create", "--name", "mypod", "-p", "127.0.0.1:\(four):80", "-p", "[::1]:\(six):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "nginx")
            try waitForListener("web", 80)
            #expect(try samara.fetch(four, host: "127.0.0.1").stdout.contains("Welcome to nginx!"))
            #expect(try samara.fetch(six, host: "[::1]").stdout.contains("Welcome to nginx!"))
            for (port, host) in [(four, "127.0.0.2"), (four, "[::1]"), (six, "127.0.0.1")] {
                #expect(try samara.fetch(port, host: host).status == 7, "\(host):\(port)")
            }
        }

        @Test func loopbackClientsAreSeenAsTheGateway() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "nginx")
            _ = try samara.waitForPage(port)
            _ = try samara.fetch(port, "/six", host: "[::1]")
            var log = ""
            try eventually("nginx has logged both requests") {
                log = try samara.run("logs", "web").stdout
                return log.contains("GET / ") && log.contains("GET /six")
            }
            let lines = log.split(separator: "\n").filter { $0.contains("\"GET /") }
            for line in lines {
                let client = line.prefix { $0 != " " }
                #expect(client == "10.0.2.2" || client.hasPrefix("fd00"), "\(line)")
            }
        }

        @Test(arguments: ["127.0.0.1", "::1"])
        func halfClosedConnectionsGoOnTheOtherWay(host: String) throws {
            let port = try freePort()
            // The server answers only when the client has said that nothing more comes.
            try serve("nc", "-ll", "-p", "7", "-e", "wc", "-c", port: port, at: 7)
            for size in [0, 1, 70_000, 3_000_000] {
                let socket = try Socket.connect(host, port)
                try socket.send([UInt8](repeating: 0x61, count: size))
                socket.finishSending()
                let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
                #expect(answer == "\(size)\n")
            }
        }

        @Test(arguments: ["127.0.0.1", "::1"])
        func serverMayFinishFirst(host: String) throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):7")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "--name", "server", "-v", "\(try Self.probe()):/probe:ro", "busybox",
                "/probe", "tcp-farewell", "7")
            try eventually("the server runs") { try samara.run("logs", "server").stdout == "ready\n" }
            let socket = try Socket.connect(host, port)
            #expect(String(decoding: try socket.receiveAll(), as: UTF8.self) == "hello\n")
            try socket.send("late\n")
            try socket.send("later\n")
            socket.finishSending()
            #expect(try samara.succeed("wait", "server") == "0")
            #expect(try samara.run("logs", "server").stdout == "ready\nlate\nlater\nend\n")
        }

        @Test func nobodyListeningIsRefusedAtOnce() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):81")
            try samara.succeed("run", "-d", "--pod", "mypod", "busybox", "sleep", "1000")
            for host in ["127.0.0.1", "[::1]"] {
                let start = ContinuousClock.now
                let result = try samara.fetch(port, host: host)
                #expect([7, 52, 56].contains(result.status), "\(result)")
                #expect(ContinuousClock.now - start < .seconds(2))
            }
        }

        /// A service that listens on the pod's loopback only is for the pod; from outside it is reached where the port
        /// says so, and even there its clients do not look like the pod itself.
        @Test func theLoopbackOfAPodIsReachedWhenAsked() throws {
            let (own, loopback) = (try freePort(), try freePort())
            try samara.succeed(
                "pod", "create", "--name", "mypod", "-p", "\(own):80", "-p", "\(loopback):80,mode=loopback")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "--name", "web", "busybox", "sh", "-c",
                "mkdir -p /w/cgi-bin; printf '#!/bin/sh\necho; echo $REMOTE_ADDR' >/w/cgi-bin/who; chmod +x /w/cgi-bin/who; exec httpd -f -p 127.0.0.1:80 -h /w"
            )
            try waitForListener("web", 80)
            #expect(try samara.fetch(own).status != 0)
            let who = try samara.fetch(loopback, "/cgi-bin/who")
            #expect(who.stdout.contains("10.0.2.2") && who.status == 0, "\(who)")
            // The IPv6 client reaches the service, which has no IPv6, as IPv4's.
            #expect(try samara.fetch(loopback, "/cgi-bin/who", host: "[::1]").stdout.contains("10.0.2.2"))
        }

        @Test func twoHundredConnectionsAtOnce() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "nginx")
            _ = try samara.waitForPage(port)
            let sockets = try (0..<200).map { try Socket.connect($0 % 2 == 0 ? "127.0.0.1" : "::1", port) }
            for (number, socket) in sockets.enumerated() {
                try socket.send("GET /\(number) HTTP/1.0\r\n\r\n")
            }
            // nginx names the path that it does not have: each answer belongs to its connection.
            for (number, socket) in sockets.enumerated().reversed() {
                let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 404"), "connection \(number): \(answer.prefix(100))")
            }
            var log = ""
            try eventually("every request is logged") {
                log = try samara.run("logs", "web").stdout
                return (0..<200).allSatisfy { log.contains("\"GET /\($0) HTTP/1.0\"") }
            }
        }

        /// Twenty megabytes each way, a gibibyte at full size.
        @Test func bulkArrivesUnchanged() throws {
            let port = try freePort()
            let folder = try samara.folder("www")
            var random = SeededGenerator(announcing: "bulk")
            let words = FullSize.amount(2_500_000, 1 << 27)
            var data = Data(capacity: 8 * words)
            for _ in 0..<words { withUnsafeBytes(of: random.next()) { data.append(contentsOf: $0) } }
            try data.write(to: URL(fileURLWithPath: folder + "/big"))
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80", "-p", "\(port + 1):7")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "--name", "web", "-v", "\(folder):/usr/share/nginx/html:ro", "nginx")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "--name", "sum", "busybox", "nc", "-ll", "-p", "7", "-e", "sha256sum")
            try waitForListener("sum", 7)
            try waitForListener("web", 80)

            let download = try runCommand(
                ["/usr/bin/curl", "-sS", "--noproxy", "*", "-o", "\(folder)/copy", "http://127.0.0.1:\(port)/big"],
                environment: samara.environment)
            #expect(download.status == 0, "\(download)")
            #expect(FileManager.default.contents(atPath: folder + "/copy") == data)

            let expected = try runCommand(["/usr/bin/sha256sum", folder + "/big"], environment: [:]).stdout.prefix(64)
            let socket = try Socket.connect("::1", port + 1)
            try socket.send([UInt8](data))
            socket.finishSending()
            #expect(String(decoding: try socket.receiveAll(), as: UTF8.self).prefix(64) == expected)
            try FileManager.default.removeItem(atPath: folder)
        }

        @Test func portIsFreeTheMomentThePodStops() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80", "-p", "\(port):80/udp")
            try samara.succeed("run", "-d", "--pod", "mypod", "nginx")
            for command in [["pod", "stop", "-t", "0"], ["pod", "kill"], ["pod", "rm", "-f", "-t", "0"]] {
                try samara.succeed("pod", "start", "mypod")
                _ = try samara.waitForPage(port)
                #expect(throws: HarnessError.self) { try Socket.bind("0.0.0.0", port) }
                let open = try Socket.connect("127.0.0.1", port)
                let result = try samara.run(command + ["mypod"])
                #expect(result.status == 0, "\(result)")
                _ = try Socket.bind("0.0.0.0", port)
                _ = try Socket.bind("::", port)
                _ = try Socket.bind("0.0.0.0", port, .udp)
                // The open connection ends with the pod.
                #expect((try? open.receiveAll())?.isEmpty ?? true)
            }
        }

        /// All or none, and the error says which port, why, and who has it: here this process.
        @Test func aTakenPortIsNamedWithItsHolder() throws {
            let (free, taken) = (try freePort(), try freePort())
            let holder = try Socket.bind("0.0.0.0", taken)
            let ports = ["-p", "\(free):80", "-p", "\(taken):81"]
            let name = try String(contentsOfFile: "/proc/self/comm", encoding: .utf8).dropLast()
            let sentence =
                "cannot publish port \(taken)/tcp on 0.0.0.0: address already in use (held by process \(getpid()) (\(name)))"
            let alone = try samara.run(["run", "-d"] + ports + ["busybox", "sleep", "100"])
            #expect(alone.status == 126 && alone.stderr.contains(sentence), "\(alone)")
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(free):80", "-p", "\(taken):81")
            let inPod = try samara.run("run", "-d", "--pod", "mypod", "busybox", "sleep", "100")
            #expect(inPod.status != 0 && inPod.stderr.contains(sentence), "\(inPod)")
            _ = try Socket.bind("0.0.0.0", free)
            #expect(HostProcess.all(titled: "samara-net: mypod").isEmpty)
            withExtendedLifetime(holder) {}
        }

        @Test func podsHaveTheirOwnPorts() throws {
            let (first, second) = (try freePort(), try freePort())
            for (name, port) in [("one", first), ("two", second)] {
                try samara.succeed("pod", "create", "--name", name, "-p", "\(port):80")
                try samara.succeed(
                    "run", "-d", "--pod", name, "busybox", "sh", "-c",
                    "mkdir /w; echo \(name) >/w/index.html; exec httpd -f -p 80 -h /w")
            }
            #expect(try samara.waitForPage(first) == "one\n")
            #expect(try samara.waitForPage(second) == "two\n")
            try samara.succeed("pod", "rm", "-f", "-t", "0", "one")
            #expect(try samara.fetch(second).stdout == "two\n")
        }

        @Test func kernelChoosesAPortWhenNoneIsGiven() throws {
            try samara.succeed("run", "-d", "--name", "web", "-p", "80", "nginx")
            let shown = try samara.succeed("port", "web")
            let match = try #require(shown.wholeMatch(of: /80\/tcp -> 0\.0\.0\.0:(\d+)/), "\(shown)")
            let port = try #require(UInt16(match.1))
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            #expect(try samara.succeed("port", "web", "80/tcp") == "0.0.0.0:\(port)")
            let column = try samara.succeed("ps", "--format", "{{.Ports}}")
            #expect(column.hasPrefix("0.0.0.0:\(port)->80/tcp"), "\(column)")
            let bindings = try samara.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"]
            #expect(bindings[0]["HostPort"].text == "\(port)")
        }

        @Test func rangesAreForwardedOneToOne() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port)-\(port + 2):7000-7002")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "--name", "server", "busybox", "sh", "-c",
                "for p in 7000 7001 7002; do nc -ll -p $p -e echo $p & done; wait")
            for number in 0..<3 {
                try waitForListener("server", 7000 + number)
                let socket = try Socket.connect("127.0.0.1", port + UInt16(number))
                #expect(String(decoding: try socket.receiveAll(), as: UTF8.self) == "\(7000 + number)\n")
            }
        }

        @Test func datagramsGoBothWays() throws {
            let port = try freePort()
            let probe = try Self.probe()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):5300/udp")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "--name", "echo", "-v", "\(probe):/probe:ro", "busybox", "/probe",
                "udp-echo", "5300")
            try eventually("the echo server runs") { try samara.run("logs", "echo").stdout == "ready\n" }
            for (host, gateway) in [("127.0.0.1", "::ffff:10.0.2.2 "), ("::1", "fd00:")] {
                let clients = try (0..<5).map { _ in try Socket.connect(host, port, .udp) }
                for (number, client) in clients.enumerated() { try client.send("datagram \(number)") }
                for (number, client) in clients.enumerated() {
                    let answer = String(decoding: try client.receive(), as: UTF8.self)
                    #expect(answer.hasSuffix(" datagram \(number)") && answer.hasPrefix(gateway), "\(answer)")
                }
                // A large datagram stays one.
                try clients[0].send([UInt8](repeating: 0x7a, count: 40_000))
                #expect(try clients[0].receive().count > 40_000)
            }
        }

        /// The program that lies beside the test bundle (Tests/NetworkProbe).
        private static func probe() throws -> String {
            let bundle = try #require(CommandLine.arguments.first)
            let beside = URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("NetworkProbe")
                .path
            try #require(FileManager.default.isExecutableFile(atPath: beside), "\(beside)")
            return beside
        }
    }
}
