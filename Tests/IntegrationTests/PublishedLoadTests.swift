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
                ["/usr/bin/wrk", "-t1", "-c64", "-d1s"] + header + ["http://127.0.0.1:\(port)/"], environment: [:])
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
                        "/usr/bin/redis-benchmark", "-p", "\(port)", "-n", "10000", "-c", "50", "-P", pipeline, "-q",
                        "-d", "100", "-t", "set,get,lrange_100",
                    ], environment: [:])
                let text = (result.stdout + result.stderr).lowercased()
                #expect(result.status == 0 && text.contains("get: ") && !text.contains("err"), "\(result)")
            }
        }

        /// Two thousand connections, one after the other, leave no descriptor: the size of the table (FDSize,
        /// proc_pid_status(5)) is that of the first hundred.
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
            try request(2000)
            #expect(try tableSize() == before && before != nil)
            try eventually("every connection has ended") { try statistic("TcpActive") == 0 }
            #expect(try statistic("TcpAccepted") >= 2100)
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
