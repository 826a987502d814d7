// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Published ports under load, with the clients that people use: not one error is allowed.
    @Suite struct PublishedLoadTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func serveNginx(_ port: UInt16) throws {
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "nginx")
            _ = try samara.waitForPage(port)
        }

        private func statistic(_ name: String) throws -> Int {
            let text = try samara.succeed("pod", "inspect", "--format", "{{.Network.Statistics.\(name)}}", "mypod")
            return try #require(Int(text), "\(name): \(text)")
        }

        /// As HTTP clients do it: on connections that stay, and with a connection for each request.
        @Test(arguments: [[], ["-H", "Connection: close"]])
        func wrkSeesNoError(header: [String]) throws {
            let port = try freePort()
            try serveNginx(port)
            let result = try runCommand(
                ["/usr/bin/wrk", "-t1", "-c64", "-d\(FullSize.amount(1, 30))s"] + header + [
                    "http://127.0.0.1:\(port)/"
                ], environment: [:], timeout: FullSize.patience)
            #expect(result.status == 0 && result.stdout.contains("Requests/sec"), "\(result)")
            #expect(!result.stdout.contains("Socket errors") && !result.stdout.contains("Non-2xx"), "\(result)")
            #expect(try statistic("TcpUnreachable") == 0)
            try eventually("every connection has ended") { try statistic("TcpActive") == 0 }
        }

        @Test func redisBenchmarkSeesNoError() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):6379")
            try samara.succeed(
                "run", "-d", "--pod", "mypod", "redis", "redis-server", "--protected-mode", "no", "--save", "")
            try eventually("redis answers") {
                try runCommand(["/usr/bin/redis-cli", "-p", "\(port)", "ping"], environment: [:]).stdout == "PONG\n"
            }
            for pipeline in ["1", "16"] {
                let result = try runCommand(
                    [
                        "/usr/bin/redis-benchmark", "-p", "\(port)", "-n", "\(FullSize.amount(10_000, 1_000_000))",
                        "-c", "50", "-P", pipeline, "-q",
                        "-d", "100", "-t", "set,get,lrange_100",
                    ], environment: [:], timeout: FullSize.patience)
                let text = (result.stdout + result.stderr).lowercased()
                #expect(result.status == 0 && text.contains("get: ") && !text.contains("err"), "\(result)")
            }
        }

        /// Two thousand connections (a hundred thousand at full size), one after the other, leave no descriptor: the size of
        /// the table (FDSize, proc_pid_status(5)) is that of the first hundred.
        @Test func connectionsLeaveNoDescriptors() throws {
            let port = try freePort()
            try serveNginx(port)
            let net = try HostProcess.one(titled: "samara-net: mypod")
            func tableSize() throws -> Substring? {
                try String(contentsOfFile: "/proc/\(net.pid)/status", encoding: .utf8).split(separator: "\n")
                    .first { $0.hasPrefix("FDSize:") }
            }
            func request(_ count: Int) throws {
                for _ in 0..<count {
                    let socket = try Socket.connect("127.0.0.1", port)
                    try socket.send("HEAD / HTTP/1.0\r\n\r\n")
                    #expect(try socket.receiveAll().starts(with: Array("HTTP/1.1 200".utf8)))
                }
            }
            try request(100)
            let before = try tableSize()
            let count = FullSize.amount(2000, 100_000)
            try request(count)
            #expect(try tableSize() == before && before != nil)
            try eventually("every connection has ended") { try statistic("TcpActive") == 0 }
            #expect(try statistic("TcpAccepted") >= count + 100)
        }

        /// With few descriptors, clients wait instead of being dropped, those that are served go on, and the pod says why.
        @Test func aShortageOfDescriptorsIsSeenInThePod() throws {
            let port = try freePort()
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(port):80")
            // samara-net keeps 448 for itself.
            let start = ["/bin/sh", "-c", "ulimit -n 500; exec \"$@\"", "sh"]
            let command = samara.command(["run", "-d", "--pod", "mypod", "--name", "web", "nginx"])
            let started = try runCommand(start + command, environment: samara.environment)
            try #require(started.status == 0, "\(started)")
            _ = try samara.waitForPage(port)
            var sockets = try (0..<60).map { _ in try Socket.connect("127.0.0.1", port) }
            try eventually("accepting pauses") { try statistic("AcceptPausesDescriptors") == 1 }
            let active = try statistic("TcpActive")
            #expect(active > 10 && active < 60)
            // The first ones are served; each one's end lets the next one in.
            while !sockets.isEmpty {
                let socket = sockets.removeFirst()
                try socket.send("GET / HTTP/1.0\r\n\r\n")
                #expect(try socket.receiveAll().starts(with: Array("HTTP/1.1 200".utf8)))
            }
            #expect(try statistic("TcpReset") == 0 && statistic("TcpUnreachable") == 0)
        }

        /// A forwarder that is stopped (SIGSTOP, a suspended machine) goes on where it was.
        @Test func stoppingTheForwarderLosesNothing() throws {
            let port = try freePort()
            try serveNginx(port)
            let net = try HostProcess.one(titled: "samara-net: mypod")
            let early = try Socket.connect("127.0.0.1", port)
            try early.send("GET / HTTP/1.0\r\n")
            kill(net.pid, SIGSTOP)
            defer { kill(net.pid, SIGCONT) }
            try early.send("\r\n")
            let late = try Socket.connect("::1", port)
            try late.send("GET / HTTP/1.0\r\n\r\n")
            late.finishSending()
            kill(net.pid, SIGCONT)
            for socket in [early, late] {
                let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
                #expect(answer.contains("Welcome to nginx!"), "\(answer.prefix(200))")
            }
        }

        /// What is left is checked by the suite after each test; here that a pod under load ends as quickly as any.
        @Test func aPodUnderLoadStops() throws {
            let port = try freePort()
            try serveNginx(port)
            let load = try BackgroundCommand(
                ["/usr/bin/wrk", "-t1", "-c128", "-d20s", "-H", "Connection: close", "http://127.0.0.1:\(port)/"],
                environment: [:])
            try eventually("the load is there") { try statistic("TcpAccepted") > 500 }
            try samara.succeed("pod", "stop", "-t", "1", "mypod")
            _ = try Socket.bind("0.0.0.0", port)
            #expect(HostProcess.all(titled: "samara-net: mypod").isEmpty)
            load.killNow()
            try samara.succeed("pod", "start", "mypod")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
        }
    }
}
