// SPDX-License-Identifier: Apache-2.0
import Testing

extension Integration {
    /// What containers reach outside their pod.
    @Suite struct OutboundTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// A service on the host's loopback, and its port.
        private func hostService() throws -> UInt16 {
            let port = try freePort()
            try samara.succeed(
                "run", "-d", "--name", "service", "-p", "127.0.0.1:\(port):80", "-p", "[::1]:\(port):80", "busybox",
                "sh", "-c",
                "mkdir /w; echo reached >/w/index.html; exec httpd -f -p 80 -h /w")
            _ = try samara.waitForPage(port)
            return port
        }

        private func fetch(_ network: [String], _ host: String, _ port: UInt16) throws -> CommandResult {
            try samara.run(
                ["run", "--rm"] + network + ["busybox", "wget", "-qO-", "http://\(host):\(port)/"])
        }

        @Test func theHostIsReachedByPortWhenOpened() throws {
            let port = try hostService()
            let open = [
                "private:host-access=\(port)", "slirp4netns:allow_host_loopback=true", "pasta:--mtu,1500,-T,\(port)",
                "slirp4netns:cidr=10.9.0.0/24,mtu=9000,allow_host_loopback=true",
            ]
            for network in open {
                let result = try fetch(["--network", network], "host.containers.internal", port)
                #expect(result.stdout == "reached\n", "\(network): \(result)")
            }
        }

        @Test func theHostIsRefusedOtherwise() throws {
            let port = try hostService()
            let closed = port == 65535 ? port - 1 : port + 1
            for network in [
                [], ["--network", "private:host-access=\(closed)"],
                ["--network", "slirp4netns:allow_host_loopback=false"],
            ] {
                let result = try fetch(network, "10.0.2.2", port)
                #expect(result.status != 0 && result.stderr.contains("refused"), "\(network): \(result)")
            }
        }

        @Test func aPodsMembersGoOutTogether() throws {
            let port = try hostService()
            try samara.succeed("pod", "create", "--name", "out", "--network", "private:host-access=\(port)")
            let result = try fetch(["--pod", "out"], "10.0.2.2", port)
            #expect(result.stdout == "reached\n", "\(result)")
            // The host's own curl, over both families.
            let curl = try samara.run(
                "run", "--rm", "--pod", "out", "-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro",
                "busybox", "/usr/bin/curl", "-sS", "--noproxy", "*", "http://10.0.2.2:\(port)/",
                "http://[fd00::2]:\(port)/")
            #expect(curl.stdout == "reached\nreached\n", "\(curl)")
        }

        @Test func namesAreAskedOfThePodsOwnServer() throws {
            #expect(
                try samara.succeed("run", "--rm", "busybox", "cat", "/etc/resolv.conf").contains("nameserver 10.0.2.3"))
            #expect(
                try samara.succeed(
                    "run", "--rm", "--dns", "192.0.2.53", "busybox", "grep", "nameserver", "/etc/resolv.conf")
                    == "nameserver 192.0.2.53")
        }

        @Test func theGatewayAnswersPing() throws {
            try samara.succeed(
                "run", "--rm", "--cap-add", "NET_RAW", "busybox", "ping", "-c", "1", "-W", "5", "10.0.2.2")
        }

        static let mistakes = [
            ("slirp4netns:nosuch=1", "unknown option for slirp4netns: \"nosuch=1\""),
            ("private:mtu=70000", "invalid MTU \"70000\""),
            ("pasta:--no-such", "has no meaning for samara's network"),
            ("private:host-access=0", "invalid host-access port \"0\""),
            ("private:host-access=127.0.0.1:80", "the host's loopback is reached at the gateway; give the port alone"),
            ("slirp4netns:cidr=::1/64", "invalid cidr"),
        ]

        @Test(arguments: mistakes)
        func mistakesAreNamed(network: String, message: String) throws {
            let result = try samara.run("run", "--rm", "--network", network, "busybox", "true")
            #expect(result.status == 125 && result.stderr.contains(message), "\(result)")
        }
    }
}
