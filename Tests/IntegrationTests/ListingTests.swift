// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What `ps`, `pod ps`, `images` and `inspect` show.
    @Suite struct ListingTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// `up` runs, `down` has ended with 3, `new` was never started, `mypod-busybox` is in a pod.
        private func population() throws {
            try samara.succeed(
                "run", "-d", "--name", "up", "--label", "tier=web", "--label", "env=dev", "busybox", "sleep", "1000")
            #expect(
                try samara.run("run", "--name", "down", "--label", "tier=db", "busybox", "sh", "-c", "exit 3").status
                    == 3)
            try samara.succeed("create", "--name", "new", "-v", "kept:/data", "nginx")
            try samara.succeed("run", "-d", "--pod", "new:mypod", "busybox", "sleep", "1000")
        }

        @Test func containersAreFiltered() throws {
            try population()
            let cases: [(filters: [String], names: Set<String>)] = [
                (["status=running"], ["up", "mypod-busybox"]), (["status=exited"], ["down"]),
                (["status=created"], ["new"]),
                (["name=u"], ["up", "mypod-busybox"]), (["name=^up$"], ["up"]), (["label=tier"], ["up", "down"]),
                (["label=tier=db"], ["down"]), (["label=tier=web", "label=env=dev"], ["up"]),
                (["label=tier=web", "label=env=x"], []),
                (["exited=3"], ["down"]), (["exited=0"], []), (["ancestor=nginx"], ["new"]),
                (["ancestor=busybox"], ["up", "down", "mypod-busybox"]),
                (["volume=kept"], ["new"]), (["pod=mypod"], ["mypod-busybox"]), (["before=down"], ["up"]),
                (["status=exited", "status=created"], ["down", "new"]),
            ]
            for (filters, names) in cases {
                let result = try samara.run(
                    ["ps", "-a", "--format", "{{.Names}}"] + filters.flatMap { ["--filter", $0] })
                #expect(result.status == 0)
                // The infra container is no one's but the pod's.
                let found = Set(result.lines.filter { !$0.hasSuffix("-infra") })
                #expect(found == names, "\(filters): \(result)")
            }
            let unknown = try samara.run("ps", "--filter", "nosuch=1")
            #expect(unknown.status == 125 && unknown.stderr.contains("nosuch is an invalid filter"), "\(unknown)")
        }

        @Test func containersAreFormatted() throws {
            try population()
            #expect(
                try samara.run("ps", "--format", "{{.Names}}").lines.filter { !$0.hasSuffix("-infra") }.sorted() == [
                    "mypod-busybox", "up",
                ])
            let table = try samara.run(
                "ps", "-a", "--filter", "name=down", "--format", "table {{.Names}} {{.Image}} {{.State}}")
            #expect(table.lines.first?.split(separator: " ") == ["NAMES", "IMAGE", "STATE"])
            #expect(table.lines.last?.split(separator: " ") == ["down", "docker.io/library/busybox:latest", "exited"])
            let row = try samara.run("ps", "-a", "--filter", "name=down").lines.last ?? ""
            #expect(
                row.contains(/^[0-9a-f]{12}  docker.io\/library\/busybox:latest  sh -c exit 3 .*Exited \(3\) .* down$/),
                "\(row)")
            let json = try Value(parsing: try samara.succeed("ps", "-a", "--format", "json"))
            let down = try #require(json.list?.first { $0["Names"].texts == ["down"] })
            #expect(down["State"].text == "exited" && down["ExitCode"].number == 3 && down["Exited"].flag == true)
            #expect(down["Command"].texts == ["sh", "-c", "exit 3"])
            #expect(down["Labels"]["tier"].text == "db")
            let member = try #require(json.list?.first { $0["Names"].texts == ["mypod-busybox"] })
            #expect(member["Pod"].text == (try samara.inspect("pod", "inspect", "mypod"))["Id"].text)
            #expect(member["Pid"].number == (try samara.pid(of: "mypod-busybox")))
            let broken = try samara.run("ps", "--format", "{{.NoSuchField}}")
            #expect(broken.status == 125 && broken.stderr.contains("can't evaluate field NoSuchField"), "\(broken)")
            #expect(try samara.run("ps", "-q").lines.allSatisfy { $0.contains(/^[0-9a-f]{12}$/) })
            #expect(try samara.run("ps", "-a", "-n", "1", "--format", "{{.Names}}").lines.first == "mypod-busybox")
            #expect(try samara.succeed("ps", "-l", "--format", "{{.Names}}") == "mypod-busybox")
        }

        @Test func containerIsInspected() throws {
            let port = try freePort()
            let id = try samara.succeed(
                "run", "-d", "--name", "web", "-p", "127.0.0.1:\(port):80/tcp", "-e", "A=b", "--label", "tier=web",
                "-w", "/tmp", "-v",
                "kept:/data:ro", "--hostname", "tower", "--restart", "on-failure:3", "nginx")
            let web = try samara.inspect("web")
            #expect(web["Id"].text == id && web["Name"].text == "web")
            #expect(web["ImageName"].text == "docker.io/library/nginx:latest")
            #expect(web["State"]["Status"].text == "running" && web["State"]["Running"].flag == true)
            #expect(web["Config"]["Hostname"].text == "tower" && web["Config"]["WorkingDir"].text == "/tmp")
            #expect(web["Config"]["Env"].texts?.contains("A=b") == true)
            #expect(web["Config"]["Labels"]["tier"].text == "web")
            #expect(web["Mounts"][0]["Name"].text == "kept" && web["Mounts"][0]["RW"].flag == false)
            #expect(web["Mounts"][0]["Destination"].text == "/data")
            #expect(web["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"].text == "\(port)")
            #expect(web["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"].text == "127.0.0.1")
            #expect(web["HostConfig"]["RestartPolicy"]["MaximumRetryCount"].number == 3)
            #expect(web["NetworkSettings"]["IPAddress"].text == "10.0.2.100")
            let monitor = try HostProcess.one(titled: "samara: monitor web")
            #expect(web["State"]["ConmonPid"].number == Int(monitor.pid))
            #expect(
                try samara.succeed(
                    "inspect", "--format", "{{.State.Status}} {{.Config.Hostname}} {{json .Config.Labels}}", "web"
                ).hasPrefix("running tower {\"tier\":\"web\""))
            #expect(try samara.succeed("port", "web") == "80/tcp -> 127.0.0.1:\(port)")
            let missing = try samara.run("inspect", "web", "nosuch")
            #expect(missing.status == 125 && missing.stderr.contains("no such object: \"nosuch\""), "\(missing)")
            #expect(try Value(parsing: missing.stdout).list?.count == 1)
        }

        @Test func podIsListedAndInspected() throws {
            try samara.succeed("pod", "create", "--name", "mypod", "--label", "app=web", "--infra-name", "base")
            try samara.succeed("run", "-d", "--pod", "mypod", "--name", "one", "busybox", "sleep", "1000")
            try samara.succeed("create", "--pod", "mypod", "--name", "two", "busybox", "true")
            let wide = try samara.run(
                "pod", "ps", "--ctr-names", "--ctr-status", "--format", "{{.ContainerNames}} {{.ContainerStatuses}}")
            #expect(wide.status == 0 && wide.stdout.contains("one") && wide.stdout.contains("running"), "\(wide)")
            let pod = try samara.inspect("pod", "inspect", "mypod")
            #expect(pod["NumContainers"].number == 3 && pod["Labels"]["app"].text == "web")
            let members = pod["Containers"].list ?? []
            #expect(
                Dictionary(uniqueKeysWithValues: members.map { ($0["Name"].text ?? "", $0["State"].text ?? "") })
                    == ["base": "running", "one": "running", "two": "created"])
            for command in ["ps", "ls", "list"] {
                #expect(try samara.succeed("pod", command, "--format", "{{.Name}}") == "mypod")
            }
            let json = try Value(parsing: try samara.succeed("pod", "ps", "--format", "json"))
            #expect(json[0]["Name"].text == "mypod" && json[0]["Containers"].list?.count == 3)
            // `two` has never run.
            #expect(["Degraded", "Running"].contains(json[0]["Status"].text ?? ""))
            for (filter, isFound) in [
                ("name=mypod", true), ("status=running", true), ("status=exited", false), ("ctr-names=one", true),
                ("ctr-number=3", true), ("label=app=db", false),
            ] {
                let names = try samara.run("pod", "ps", "--filter", filter, "--format", "{{.Name}}")
                let fits = names.lines == (isFound ? ["mypod"] : [])
                if filter.hasPrefix("status") {
                    #expect(names.status == 0)
                } else {
                    #expect(fits, "\(filter): \(names)")
                }
            }
            #expect(try samara.run("pod", "exists", "mypod").status == 0)
        }

        @Test func imagesAreListedTaggedAndProtected() throws {
            let listed = try samara.run("images", "--format", "{{.Repository}}:{{.Tag}}").lines
            #expect(
                Set(listed).isSuperset(of: [
                    "docker.io/library/busybox:latest", "docker.io/library/nginx:latest",
                    "docker.io/library/redis:latest",
                ]))
            try samara.succeed("tag", "busybox", "localhost/mine:v1")
            #expect(try samara.succeed("run", "--rm", "localhost/mine:v1", "echo", "tagged") == "tagged")
            #expect(try samara.succeed("run", "--rm", "mine:v1", "echo", "short") == "short", "a local image wins")
            try samara.succeed("create", "--name", "user", "localhost/mine:v1", "true")
            try samara.succeed("rmi", "localhost/mine:v1")
            #expect(try samara.run("image", "exists", "localhost/mine:v1").status == 1)
            let inUse = try samara.run("rmi", "busybox")
            #expect(inUse.status == 2 && inUse.stderr.contains("in use"), "\(inUse)")
            #expect(try samara.run("image", "exists", "busybox").status == 0)
            let unknown = try samara.run("rmi", "nosuch")
            #expect(unknown.status == 1 && unknown.stderr.hasPrefix("Error: "), "\(unknown)")
        }

        @Test func rolesAreNamedInProcessLists() throws {
            try samara.succeed(
                "run", "-d", "--pod", "new:mypod", "-p", "80", "--name", "web", "busybox", "sleep", "1000")
            for title in ["samara: holder", "samara: keeper mypod", "samara: monitor web", "samara-net: mypod"] {
                #expect(HostProcess.all(titled: title).count == 1, "\(title)")
            }
        }

        @Test func engineDescribesItself() throws {
            let info = try samara.run("info", "--format", "json")
            #expect(info.status == 0)
            let value = try Value(parsing: info.stdout)
            #expect(value["store"]["graphRoot"].text == samara.root)
            #expect(value["host"]["security"]["rootless"].flag == true)
        }
    }
}
