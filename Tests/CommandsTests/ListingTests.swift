// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import Presentation
import Testing

@testable import Commands
@testable import Engine

/// The pod `mypod` with the containers `web` and `side`, ten seconds old, as a user of Podman 5.4 saw it.
enum Example {
    static let podID = "4a0a61200b660159cb0b999e8c62271e2880b66a107643b20e4ee7ad09f8d060"
    static let infraID = "1a566842959164c6f6873f202d75840c2a72b68896a958cd8c555dfda14a0953"
    static let webID = "7f2f26540f2e84e8b39cb36078e7409b942e8bd0d86fada13f4e8bb263326647"
    static let sideID = "4ac71a5452fe5cc90d155c8477fd6f6464dd98eb3871b9329f8f40b93fb0b703"
    static let image = "quay.io/libpod/testimage:20241011"
    static let imageID = "4ec2c6b3249c452ad5bc71369dc02b8305ba974fa1f69b9cd6858c67525f1b50"
    static let created = LinuxSystem.Timestamp(seconds: 1_795_378_093, nanoseconds: 249_645_077)
    static let now = Moment(seconds: 1_795_378_103, nanoseconds: 500_000_000)

    static func container(
        _ id: String, _ name: String, _ command: [String], createdAgo: Int64, startedAgo: Int64
    ) -> Container {
        var record = ContainerRecord()
        record.id = id
        record.name = name
        record.created = LinuxSystem.Timestamp(seconds: now.seconds - createdAgo)
        record.imageName = image
        record.imageID = imageID
        record.command = command
        record.podID = podID
        record.network = .pod
        record.labels = [("created_by", "test/system/build-testimage"), ("created_at", "2024-10-11T18:00:00Z")]
        if name == "web" { record.mounts = [MountRecord(kind: .volume, source: "data", destination: "/data")] }
        var state = ContainerState()
        state.status = .running
        state.process = ProcessIdentity(pid: 171, startTime: 1)
        state.started = LinuxSystem.Timestamp(seconds: now.seconds - startedAgo)
        return Container(record: record, state: state)
    }

    static var web: Container { container(webID, "web", ["httpd", "-f", "-p", "80"], createdAgo: 9, startedAgo: 3) }
    static var side: Container { container(sideID, "side", ["top", "-b"], createdAgo: 3, startedAgo: 0) }

    static var pod: Pod {
        var record = PodRecord()
        record.id = podID
        record.name = "mypod"
        record.created = created
        record.labels = [("app", "web")]
        record.infraID = infraID
        record.infraName = "4a0a61200b66-infra"
        record.ports = [PortRecord(hostIP: "", hostPort: 8080, containerPort: 80, range: 1, transport: "tcp")]
        record.createCommand = [
            "/usr/bin/podman", "pod", "create", "--name", "mypod", "-p", "8080:80", "--label", "app=web",
        ]
        var state = PodState()
        state.status = .running
        state.started = LinuxSystem.Timestamp(seconds: now.seconds - 5)
        return Pod(record: record, state: state, keeper: ProcessIdentity(pid: 166, startTime: 1), members: [web, side])
    }

    static var listed: [ListedContainer] { ContainerListing.merge([side, web], [pod]) }
    static func table(full: Bool = false, pod: Bool = false) -> ContainerTable {
        ContainerTable(now: now, isFull: full, showsPod: pod, noHeading: false)
    }
    static let podTable = PodTable(now: now, isFull: false)
}

@Suite struct ContainerListingTests {
    @Test func infraIsARowOfThePod() {
        #expect(Example.listed.map(\.record.name) == ["4a0a61200b66-infra", "web", "side"])
        #expect(Example.listed.map(\.isInfra) == [true, false, false])
        #expect(Example.listed.allSatisfy { $0.ports.count == 1 && $0.podName == "mypod" })
    }

    @Test func table() {
        #expect(
            Example.table().text(Example.listed) == """
                CONTAINER ID  IMAGE                              COMMAND         CREATED         STATUS                 PORTS                 NAMES
                1a5668429591                                                     10 seconds ago  Up 5 seconds           0.0.0.0:8080->80/tcp  4a0a61200b66-infra
                7f2f26540f2e  quay.io/libpod/testimage:20241011  httpd -f -p 80  9 seconds ago   Up 3 seconds           0.0.0.0:8080->80/tcp  web
                4ac71a5452fe  quay.io/libpod/testimage:20241011  top -b          3 seconds ago   Up Less than a second  0.0.0.0:8080->80/tcp  side

                """)
    }

    @Test func emptyTable() {
        #expect(
            Example.table().text([])
                == "CONTAINER ID  IMAGE       COMMAND     CREATED     STATUS      PORTS       NAMES\n")
        #expect(
            Example.table(pod: true).text([])
                == "CONTAINER ID  IMAGE       COMMAND     CREATED     STATUS      PORTS       NAMES       POD ID      PODNAME\n"
        )
    }

    @Test func json() throws {
        let expected = try JSON.parse(
            Array(
                """
                {"AutoRemove": false, "Command": ["httpd", "-f", "-p", "80"], "CreatedAt": "9 seconds ago", "CIDFile": "",
                 "Exited": false, "ExitedAt": -62135596800, "ExitCode": 0, "ExposedPorts": null, "Id": "\(Example.webID)",
                 "Image": "\(Example.image)", "ImageID": "\(Example.imageID)", "IsInfra": false,
                 "Labels": {"created_at": "2024-10-11T18:00:00Z", "created_by": "test/system/build-testimage"},
                 "Mounts": ["/data"], "Names": ["web"], "Namespaces": {}, "Networks": [], "Pid": 171, "Pod": "\(Example.podID)",
                 "PodName": "mypod",
                 "Ports": [{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp"}],
                 "Restarts": 0, "Size": null, "StartedAt": 1795378100, "State": "running", "Status": "Up 3 seconds",
                 "Created": 1795378094}
                """.utf8))
        #expect(Example.table().json(Example.listed[1]) == expected)
        #expect(Example.table().json(Example.listed[0])["Command"] == .null)
    }

    private func render(_ format: String, full: Bool = false) throws -> String {
        try ReportFormat(format, name: "ps").render(
            rows: Example.listed.map(Example.table(full: full).template),
            headers: ReportFormat.headers(for: ContainerTable.fields, overriding: ContainerTable.titles))
    }

    @Test func templates() throws {
        #expect(
            try render("table {{.Names}} {{.PodName}}") == """
                NAMES               PODNAME
                4a0a61200b66-infra  mypod
                web                 mypod
                side                mypod

                """)
        #expect(
            try render("{{.ID}}|{{.State}}|{{.Label \"created_at\"}}") == """
                1a5668429591|running|
                7f2f26540f2e|running|2024-10-11T18:00:00Z
                4ac71a5452fe|running|2024-10-11T18:00:00Z

                """)
        #expect(try render("{{.ID}}", full: true).hasPrefix(Example.infraID))
        #expect(try render("{{range .}}{{.Names}},{{end}}") == "4a0a61200b66-infra,web,side,\n")
        #expect(try render("{{.CreatedAt}}").hasPrefix("2026-11-22 20:08:13.249645077 +0000 UTC\n"))
    }

    @Test(arguments: ContainerTable.fields) func everyFieldHasAValue(field: String) throws {
        _ = try render(field == "Label" ? "{{.Label \"x\"}}" : "{{.\(field)}}")
    }

    @Test func unknownField() {
        let error = #expect(throws: TemplateError.self) { try render("{{.Nope}}") }
        #expect(error?.message.contains("can't evaluate field Nope in type *containers.psReporter") == true)
    }

    @Test func sorting() {
        #expect(
            ContainerOrder.names.sorted(Example.listed).map(\.record.name) == ["4a0a61200b66-infra", "side", "web"])
        #expect(
            ContainerOrder.command.sorted(Example.listed).map(\.record.name) == ["4a0a61200b66-infra", "web", "side"])
    }
}

@Suite struct PodListingTests {
    @Test func tables() {
        #expect(
            Example.podTable.text([Example.pod], [], noHeading: false) == """
                POD ID        NAME        STATUS      CREATED         INFRA ID      # OF CONTAINERS
                4a0a61200b66  mypod       Running     10 seconds ago  1a5668429591  3

                """)
        #expect(
            Example.podTable.text([Example.pod], [.ids, .names, .statuses], noHeading: false) == """
                POD ID        NAME        STATUS      CREATED         INFRA ID      IDS                                     NAMES                        STATUS
                4a0a61200b66  mypod       Running     10 seconds ago  1a5668429591  1a5668429591,7f2f26540f2e,4ac71a5452fe  4a0a61200b66-infra,web,side  running,running,running

                """)
        #expect(
            Example.podTable.text([], [], noHeading: false)
                == "POD ID      NAME        STATUS      CREATED     INFRA ID    # OF CONTAINERS\n")
    }

    @Test func templates() throws {
        let row = Example.podTable.template(Example.pod)
        let text = try ReportFormat("{{.ID}} {{.Name}} {{.Status}} {{.Labels}} {{.NumberOfContainers}}", name: "ps")
            .render(rows: [row])
        #expect(text == "4a0a61200b66 mypod Running map[app:web] 3\n")
        for field in PodTable.fields where field != "Label" {
            _ = try ReportFormat("{{.\(field)}}", name: "ps").render(rows: [row])
        }
    }

    @Test func jsonKeys() {
        let json = Example.podTable.json(Example.pod)
        #expect(
            json.objectValue.map { Array($0.keys) } == [
                "Cgroup", "Containers", "Created", "Id", "InfraId", "Name", "Namespace", "Networks", "Status", "Labels",
            ])
        #expect(json["Created"] == "2026-11-22T20:08:13.249645077Z")
        #expect(json["Containers"]?.arrayValue?.first?["Names"] == "4a0a61200b66-infra")
    }

    @Test func filters() throws {
        func accepts(_ filters: String...) throws -> Bool {
            try PodFilters(filters, now: Example.now).accepts(Example.pod)
        }
        #expect(try accepts("name=^mypod$", "status=running", "label=app=web"))
        #expect(try accepts("ctr-names=web", "ctr-number=3", "ctr-status=running", "id=4a0a"))
        #expect(try accepts("status=exited", "status=Running"))
        #expect(try !accepts("label=app=db"))
        #expect(try !accepts("ctr-number=2"))
        #expect(try !accepts("until=1h"))
        #expect(throws: Failure.self) { try accepts("frob=1") }
        #expect(throws: Failure.self) { try accepts("status=frob") }
        #expect(throws: Failure.self) { try accepts("name") }
    }
}

@Suite struct InspectionTests {
    @Test func pod() throws {
        let inspection = PodInspection(pod: Example.pod, ports: Example.pod.record.ports, style: .json)
        let text = FormattedOutput.json([inspection.json], indent: 5)
        #expect(
            text.hasPrefix(
                "[\n     {\n          \"Id\": \"\(Example.podID)\",\n          \"Name\": \"mypod\",\n          \"Created\": \"2026-11-22T20:08:13.249645077Z\",\n"
            ))
        #expect(
            inspection.json["InfraConfig"]?["PortBindings"]
                == ["80/tcp": [["HostIp": "0.0.0.0", "HostPort": "8080"]]])
        #expect(
            inspection.json.objectValue.map { Array($0.keys) } == [
                "Id", "Name", "Created", "CreateCommand", "ExitPolicy", "State", "Hostname", "Labels", "CreateCgroup",
                "CgroupParent", "CgroupPath", "CreateInfra", "InfraContainerID", "InfraConfig", "SharedNamespaces",
                "NumContainers", "Containers", "LockNumber",
            ])
    }

    private func podText(_ format: String) throws -> String {
        let inspection = PodInspection(pod: Example.pod, ports: Example.pod.record.ports, style: .template)
        return try ReportFormat(format, name: "inspect").render(rows: [inspection.template])
    }

    @Test func podTemplates() throws {
        #expect(try podText("{{.ID}} {{.Name}} {{.NumContainers}}") == "\(Example.podID) mypod 3\n")
        #expect(try podText("{{(index .Containers 1).ID}} {{.InfraConfig.HostNetwork}}") == "\(Example.webID) false\n")
        #expect(try podText("{{.Labels}} {{.Labels.nope}}") == "map[app:web] <no value>\n")
        #expect(try podText("{{.Created}}") == "2026-11-22 20:08:13.249645077 +0000 UTC\n")
        let error = #expect(throws: TemplateError.self) { try podText("{{.Name}} {{.NoSuchField}}") }
        #expect(
            error?.message
                == "template: inspect:1:23: executing \"inspect\" at <.NoSuchField>: can't evaluate field NoSuchField in type interface {}"
        )
    }

    private func inspection(_ style: MomentStyle) throws -> ContainerInspection {
        ContainerInspection(
            listed: Example.listed[1], paths: try StorePaths(root: "/root", run: "/run"), logPath: "/root/ctr.log",
            style: style)
    }

    @Test func container() throws {
        let json = try inspection(.json).json
        #expect(json["Path"] == "httpd" && json["Args"] == ["-f", "-p", "80"])
        #expect(
            json["State"]?["Running"] == true && json["State"]?["Status"] == "running" && json["State"]?["Pid"] == 171)
        #expect(json["State"]?["FinishedAt"] == "0001-01-01T00:00:00Z")
        #expect(json["Config"]?["Cmd"] == ["httpd", "-f", "-p", "80"] && json["Config"]?["StopSignal"] == "SIGTERM")
        #expect(json["Config"]?["Umask"] == "0022")
        #expect(json["NetworkSettings"]?["Ports"] == ["80/tcp": [["HostIp": "0.0.0.0", "HostPort": "8080"]]])
        #expect(json["HostConfig"]?["LogConfig"]?["Path"] == "/root/ctr.log")
        #expect(json["HostConfig"]?["RestartPolicy"] == ["Name": "no", "MaximumRetryCount": 0])
        #expect(json["Mounts"]?.arrayValue?.first?["Source"] == "/root/volumes/data/_data")
        #expect(json["Pod"] == .string(Example.podID))
    }

    @Test func containerTemplates() throws {
        let value = try inspection(.template).template
        func text(_ format: String) throws -> String { try ReportFormat(format, name: "inspect").render(rows: [value]) }
        #expect(try text("{{.ID}} {{.State.Status}} {{.State.ExitCode}}") == "\(Example.webID) running 0\n")
        #expect(try text("{{.Image}} {{.ImageID}}") == "\(Example.imageID) \(Example.imageID)\n")
        #expect(try text("{{range .Mounts}}{{.Src}}:{{.Dst}}{{end}}") == "/root/volumes/data/_data:/data\n")
        #expect(try text("{{index .Config.Labels \"created_at\"}}") == "2024-10-11T18:00:00Z\n")
        #expect(try text("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}") == "8080\n")
        #expect(throws: TemplateError.self) { try text("{{.State.Nope}}") }
    }
}

@Suite struct ListingDetails {
    @Test func portsThatTheKernelChose() {
        var pod = Example.pod
        pod.record.ports[0].hostPort = 0
        var chosen = pod.record.ports
        chosen[0].hostPort = 40907
        let asked = ContainerListing.merge([Example.web], [pod]) { _, _ in chosen }
        #expect(asked.map { $0.ports[0].hostPort } == [40907, 40907])
        let stopped = ContainerListing.merge([Example.web], [pod]) { _, _ in nil }
        #expect(stopped.map { $0.ports[0].hostPort } == [0, 0])
    }

    @Test func infraSortsBeforeTheMemberItWasMadeFor() {
        var pod = Example.pod
        pod.record.created = LinuxSystem.Timestamp(seconds: Example.web.record.created.seconds + 1)
        #expect(ContainerListing.merge([Example.web], [pod]).map(\.isInfra) == [true, false])
    }

    @Test func descriptorsOfTop() throws {
        #expect(try ProcessColumn.parse([]) == ProcessColumn.standard)
        #expect(try ProcessColumn.parse(["pid,%C", "ARGS"]) == [.pid, .pcpu, .args])
        #expect(throws: Failure.self) { try ProcessColumn.parse(["frob"]) }
        #expect(
            ProcessColumn.standard.map(\.header)
                == ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"])
    }
}
