// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// SIGKILL to each of Samara's own processes: the next command says what happened, and the ones after it repair or
    /// clean up.
    @Suite struct KilledProcessTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func podWithWeb(_ options: String...) throws -> UInt16 {
            let port = try freePort()
            let created = try samara.run(["pod", "create", "--name", "mypod", "-p", "\(port):80"] + options)
            try #require(created.status == 0, "\(created)")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "web", "-v", "kept:/kept", "nginx")
            try samara.succeed("exec", "web", "sh", "-c", "echo precious >/kept/file")
            _ = try samara.waitForPage(port)
            return port
        }

        private func expectVolumesAndImagesIntact(sourceLocation: SourceLocation = #_sourceLocation) throws {
            let read = try samara.run("run", "--rm", "-v", "kept:/kept", "busybox", "cat", "/kept/file")
            #expect(read.stdout == "precious\n", "\(read)", sourceLocation: sourceLocation)
            let image = try samara.run("run", "--rm", "nginx", "nginx", "-t")
            #expect(image.status == 0, "\(image)", sourceLocation: sourceLocation)
        }

        @Test func monitor() throws {
            try samara.succeed(
                "run", "-d", "--name", "box", "-v", "kept:/kept", "busybox", "sh", "-c",
                "echo precious >/kept/file; sleep 1000")
            try eventually("the file is written") {
                try samara.run("exec", "box", "cat", "/kept/file").text == "precious"
            }
            let process = HostProcess(pid: pid_t(try samara.pid(of: "box")), title: "the container")
            try HostProcess.one(titled: "samara: monitor box").killAndWait()
            eventually("the container ends with its monitor") { !process.isAlive }

            let first = try samara.run("ps", "-a", "--format", "{{.Names}} {{.Status}}")
            #expect(first.status == 0)
            #expect(first.stdout.hasPrefix("box Exited (137) "), "\(first)")
            #expect(first.stderr.contains("container box") && first.stderr.contains("monitor"), "\(first)")
            #expect(try samara.run("ps", "-a").stderr.isEmpty, "it is said once")
            #expect(try samara.inspect("box")["State"]["ExitCode"].number == 137)
            #expect(try samara.inspect("box")["State"]["Error"].text?.contains("monitor") == true)
            #expect(try samara.succeed("wait", "box") == "137")
            #expect(try samara.succeed("start", "box") == "box")
            #expect(try samara.succeed("exec", "box", "cat", "/kept/file") == "precious")
            try HostProcess.one(titled: "samara: monitor box").killAndWait()
            // Removal without a look in between works as well.
            #expect(try samara.run("rm", "-f", "-t", "0", "box").status == 0)
            try expectVolumesAndImagesIntact()
        }

        @Test func monitorOfARemovedAfterUseContainer() throws {
            try samara.succeed("run", "-d", "--rm", "--name", "brief", "-v", "/anonymous", "busybox", "sleep", "1000")
            try HostProcess.one(titled: "samara: monitor brief").killAndWait()
            let next = try samara.run("ps", "-a", "--noheading")
            #expect(next.stderr.contains("brief"), "\(next)")
            #expect(try samara.succeed("ps", "-a", "--noheading").isEmpty)
            #expect(try samara.succeed("volume", "ls", "-q").isEmpty)
            try samara.succeed("run", "--rm", "--name", "brief", "busybox", "true")
        }

        @Test func monitorOfAPodMember() throws {
            let port = try podWithWeb()
            try HostProcess.one(titled: "samara: monitor web").killAndWait()
            let status = try samara.run("pod", "ps", "--format", "{{.Status}}")
            #expect(status.text == "Degraded", "\(status)")
            #expect(status.stderr.contains("web"), "\(status)")
            try samara.succeed("pod", "start", "mypod")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}}") == "Running")
        }

        @Test func network() throws {
            let port = try podWithWeb()
            try samara.succeed("run", "-d", "--pod", "mypod", "redis")
            try HostProcess.one(titled: "samara-net: mypod").killAndWait()
            #expect(try samara.fetch(port).status == 7, "nobody listens for the pod")
            let listed = try samara.run("pod", "ps", "--format", "{{.Name}}")
            #expect(listed.stderr.contains("mypod") && listed.stderr.contains("samara-net"), "\(listed)")
            // The members go on, and reach each other.
            try eventually("redis answers") {
                try samara.run(
                    "exec", "web", "bash", "-c", "exec 3<>/dev/tcp/localhost/6379; echo PING >&3; head -n 1 <&3"
                ).text == "+PONG"
            }
            let repaired = try samara.run("pod", "start", "mypod")
            #expect(repaired.status == 0, "\(repaired)")
            #expect(repaired.stderr.contains("samara-net"), "\(repaired)")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            #expect(try samara.run("pod", "ps").stderr.isEmpty)
            try samara.succeed("pod", "stop", "-t", "0", "mypod")
            _ = try Socket.bind("0.0.0.0", port)
            try expectVolumesAndImagesIntact()
        }

        @Test(arguments: ["ipc,net,uts", "ipc,net,pid,uts"])
        func keeper(share: String) throws {
            let port = try podWithWeb("--share", share)
            try HostProcess.one(titled: "samara: keeper mypod").killAndWait()
            eventually("samara-net ends with the keeper") { HostProcess.all(titled: "samara-net: mypod").isEmpty }
            let listed = try samara.run("pod", "ps", "--format", "{{.Status}}")
            #expect(listed.status == 0)
            #expect(["Exited", "Degraded"].contains(listed.text), "\(listed)")
            #expect(listed.stderr.contains("pod mypod") && listed.stderr.contains("keeper"), "\(listed)")
            if share.contains("pid") {
                #expect(
                    try samara.run("ps", "-a", "--filter", "name=web", "--format", "{{.Status}}").stdout.hasPrefix(
                        "Exited (137)"))
            }
            #expect(try samara.fetch(port).status == 7)
            try samara.succeed("pod", "restart", "mypod")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            #expect(try samara.succeed("pod", "ps", "--format", "{{.Status}}") == "Running")
            try HostProcess.one(titled: "samara: keeper mypod").killAndWait()
            try samara.succeed("pod", "rm", "-f", "-t", "0", "mypod")
            _ = try Socket.bind("0.0.0.0", port)
            try expectVolumesAndImagesIntact()
        }

        @Test func keeperOfAContainerOutsidePods() throws {
            let port = try freePort()
            try samara.succeed("run", "-d", "--name", "alone", "-p", "\(port):80", "nginx")
            _ = try samara.waitForPage(port)
            try HostProcess.one(titled: "samara: keeper alone").killAndWait()
            let listed = try samara.run("ps", "-a", "--format", "{{.Names}} {{.Status}}")
            #expect(listed.status == 0)
            try samara.succeed("restart", "-t", "0", "alone")
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"))
            try samara.succeed("rm", "-f", "-t", "0", "alone")
            _ = try Socket.bind("0.0.0.0", port)
        }

        @Test func holder() throws {
            let port = try podWithWeb()
            // By its record: another installation of this user may have a holder too.
            let record = FileManager.default.contents(atPath: samara.runroot + "/holder") ?? Data()
            let pid = try #require(pid_t(String(decoding: record, as: UTF8.self).prefix { $0 != " " }))
            try HostProcess(pid: pid, title: "samara: holder").killAndWait()
            #expect(try samara.waitForPage(port).contains("Welcome to nginx!"), "what runs goes on")
            #expect(try samara.succeed("ps", "-q").split(separator: "\n").count == 2)
            #expect(try samara.succeed("exec", "web", "cat", "/kept/file") == "precious")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "second", "busybox", "sleep", "1000")
            #expect(
                try samara.succeed("exec", "second", "wget", "-q", "-O", "-", "http://localhost/").contains("Welcome"))
            try samara.succeed("pod", "stop", "-t", "0", "mypod")
            try samara.succeed("pod", "rm", "mypod")
            try expectVolumesAndImagesIntact()
        }

        @Test func everythingAtOnce() throws {
            _ = try podWithWeb()
            try samara.succeed("run", "-d", "--name", "alone", "busybox", "sleep", "1000")
            let containers = try ["web", "alone"].map { HostProcess(pid: pid_t(try samara.pid(of: $0)), title: $0) }
            // Listed once: a process that is being torn down has lost its title, and is alive to proc(5) for a moment more.
            let killed = HostProcess.all(titled: "samara")
            for process in killed { kill(process.pid, SIGKILL) }
            eventually("all of Samara and the containers are gone") {
                (killed + containers).allSatisfy { !$0.isAlive }
            }
            let listed = try samara.run("ps", "-a")
            #expect(listed.status == 0)
            #expect(listed.stdout.contains("Exited (137)"), "\(listed)")
            #expect(!listed.stdout.contains(" Up "), "\(listed)")
            #expect(listed.stderr.contains("alone") && listed.stderr.contains("web"), "\(listed)")
            #expect(["Exited", "Degraded"].contains(try samara.succeed("pod", "ps", "--format", "{{.Status}}")))
            try samara.succeed("pod", "start", "mypod")
            try samara.succeed("start", "alone")
            #expect(try samara.run("ps", "--format", "{{.Status}}").lines.allSatisfy { $0.hasPrefix("Up ") })
            try expectVolumesAndImagesIntact()
        }

        /// A restart policy is the monitor's: it restarts what was killed, not what the user stopped.
        @Test func containerProcessOfARestartedContainer() throws {
            try samara.succeed("run", "-d", "--name", "phoenix", "--restart", "always", "busybox", "sleep", "1000")
            let first = try samara.pid(of: "phoenix")
            try HostProcess(pid: pid_t(first), title: "the container").killAndWait()
            try eventually("it runs again") {
                let pid = try samara.inspect("phoenix")["State"]["Pid"].number ?? 0
                return pid != 0 && pid != first
            }
            try samara.succeed("stop", "-t", "0", "phoenix")
            #expect(try samara.succeed("ps", "-a", "--format", "{{.State}}") == "exited")
        }
    }
}
