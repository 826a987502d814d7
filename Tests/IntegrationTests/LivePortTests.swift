// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Ports that come and go while a pod runs, and sockets that containers are handed.
    @Suite struct LivePortTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private static let page = "mkdir /w; echo here >/w/index.html; exec httpd -f -p 80 -h /w"

        @Test func podsGainAndLosePortsWhileTheyRun() throws {
            let (first, second) = (try freePort(), try freePort())
            try samara.succeed("pod", "create", "--name", "mypod", "-p", "\(first):80")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "busybox", "sh", "-c", Self.page)
            #expect(try samara.waitForPage(first) == "here\n")
            try samara.succeed("pod", "update", "--publish", "\(second):80", "mypod")
            #expect(try samara.fetch(second).stdout == "here\n")
            // A host port changes its container port in one step, and an open connection stays.
            let open = try Socket.connect("127.0.0.1", first)
            try samara.succeed("pod", "update", "--unpublish", "\(first):80", "--publish", "\(first):81", "mypod")
            #expect(try samara.fetch(first).status != 0)
            try open.send("GET / HTTP/1.0\r\n\r\n")
            #expect(String(decoding: try open.receiveAll(), as: UTF8.self).hasSuffix("here\n"))
            let listed = try samara.succeed("ps", "--filter", "name=web", "--format", "{{.Ports}}")
            #expect(listed.contains("\(second)->80/tcp") && listed.contains("\(first)->81/tcp"), "\(listed)")
            // Nothing of a change that fails in part.
            let refused = try samara.run(
                "pod", "update", "--unpublish", "\(second):80", "--publish", "127.0.0.1:1:80", "mypod")
            #expect(refused.status == 125 && refused.stderr.contains("privileged port"), "\(refused)")
            #expect(try samara.fetch(second).stdout == "here\n")
            let unknown = try samara.run("pod", "update", "--unpublish", "4711", "mypod")
            #expect(unknown.status == 125 && unknown.stderr.contains("does not publish it"), "\(unknown)")
            // What was changed is what the next start has.
            try samara.succeed("pod", "stop", "-t", "0", "mypod")
            try samara.succeed("pod", "start", "mypod")
            #expect(try samara.waitForPage(second) == "here\n")
            let counted = try samara.succeed(
                "pod", "inspect", "--format", "{{.Network.Statistics.TcpAccepted}}", "mypod")
            #expect(Int(counted).map { $0 > 0 } == true, "\(counted)")
        }

        @Test func containersOutsidePodsToo() throws {
            let (first, second) = (try freePort(), try freePort())
            try samara.succeed("run", "-d", "--name", "web", "-p", "\(first):80", "busybox", "sh", "-c", Self.page)
            #expect(try samara.waitForPage(first) == "here\n")
            try samara.succeed("update", "--publish", "\(second):80", "--unpublish", "80", "web")
            #expect(try samara.fetch(second).stdout == "here\n")
            #expect(try samara.fetch(first).status == 7)
            #expect(try samara.succeed("port", "web") == "80/tcp -> 0.0.0.0:\(second)")
        }

        @Test(arguments: ["none", "private"]) func aSocketIsHandedOver(network: String) throws {
            let port = try freePort()
            try samara.succeed(
                "run", "-d", "--name", "server", "--network", network, "-p", "\(port):80,mode=activate",
                "-p", "\(port):53/udp,mode=activate", "-v", "\(samara.executables)/ActivationServer:/server:ro",
                "busybox",
                "/server")
            let socket = try Socket.connect("127.0.0.1", port)
            #expect(String(decoding: try socket.receiveAll(), as: UTF8.self) == "2 1 80/tcp:53/udp 127.0.0.1\n")
            #expect(try samara.succeed("port", "server").contains("80/tcp -> 0.0.0.0:\(port)"))
            try samara.succeed("stop", "-t", "0", "server")
            _ = try Socket.bind("0.0.0.0", port)
            _ = try Socket.bind("0.0.0.0", port, .udp)
        }

        @Test func aRestartedProgramGetsTheSameSocket() throws {
            let port = try freePort()
            try samara.succeed(
                "run", "-d", "--name", "server", "--restart", "always", "-p", "\(port):80,mode=activate",
                "-v", "\(samara.executables)/ActivationServer:/server:ro", "busybox", "/server", "once")
            // While no program runs, connections wait in the socket's queue.
            for _ in 0..<3 {
                let socket = try Socket.connect("127.0.0.1", port)
                #expect(String(decoding: try socket.receiveAll(), as: UTF8.self) == "1 1 80/tcp 127.0.0.1\n")
            }
            try samara.succeed("rm", "-f", "-t", "0", "server")
        }

        @Test func activationIsRefusedWhereItCannotWork() throws {
            for (arguments, text) in [
                (["pod", "create", "-p", "8080:80,mode=activate"], "give it to the container"),
                (["create", "-p", "80,mode=activate", "busybox"], "needs a host port"),
                (["create", "--pid", "host", "-p", "8080:80,mode=activate", "busybox"], "pid namespace"),
                (["create", "-p", "8080:80,mode=other", "busybox"], "mode=forward, mode=loopback or mode=activate"),
                (["create", "-p", "mode=activate", "busybox"], "behind a port"),
            ] {
                let result = try samara.run(arguments)
                #expect(result.status == 125 && result.stderr.contains(text), "\(result)")
            }
        }
    }
}
