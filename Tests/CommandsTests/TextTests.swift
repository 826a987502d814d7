// SPDX-License-Identifier: Apache-2.0
import Engine
import LinuxSystem
import Presentation
import Testing

@testable import Commands

@Suite struct SignalNamesTests {
    @Test(
        arguments: [
            ("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigkill", 9), ("kill", 9), ("Term", 15), ("USR1", 10),
            ("SIGCLD", 17),
            ("RTMIN", 34), ("RTMIN+3", 37), ("SIGRTMAX", 64), ("rtmax-1", 63), ("64", 64),
        ] as [(String, Int32)])
    func knows(text: String, number: Int32) { #expect(SignalNames.number(text) == number) }

    @Test(arguments: [
        "", "0", "65", "-1", "SIG", "SIGSIGKILL", "RTMIN+31", "RTMIN-1", "RTMAX-31", "RTMAX+1", "KILL ", "NOSUCH",
    ])
    func refuses(text: String) {
        #expect(SignalNames.number(text) == nil)
        #expect(throws: Failure("invalid signal: \(text)")) { try SignalNames.parse(text) }
    }

    @Test func namesRoundTrip() {
        for number in Int32(1)...64 where number != 32 && number != 33 {
            #expect(SignalNames.number(SignalNames.name(number)) == number)
        }
        #expect(SignalNames.name(15) == "SIGTERM")
        #expect(SignalNames.name(37) == "SIGRTMIN+3")
        #expect(SignalNames.name(32) == "32")
    }
}

@Suite struct PortTextTests {
    private func port(
        _ host: UInt16, _ container: UInt16, range: UInt16 = 1, ip: String = "", _ transport: String = "tcp"
    ) -> PortRecord {
        PortRecord(hostIP: ip, hostPort: host, containerPort: container, range: range, transport: transport)
    }

    @Test func single() { #expect(PortText.list([port(8080, 80)]) == "0.0.0.0:8080->80/tcp") }

    @Test func ranges() {
        let joined = "0.0.0.0:8000-8002->8000-8002/tcp"
        #expect(PortText.list([port(8000, 8000, range: 3)]) == joined)
        #expect(PortText.list([port(8002, 8002), port(8000, 8000), port(8001, 8001)]) == joined)
        #expect(PortText.list([port(8000, 80), port(8001, 82)]) == "0.0.0.0:8000->80/tcp, 0.0.0.0:8001->82/tcp")
        #expect(PortText.list([port(53, 53), port(54, 54, "udp")]) == "0.0.0.0:53->53/tcp, 0.0.0.0:54->54/udp")
    }

    @Test func atTheEndOfThePorts() {
        #expect(PortText.list([port(65534, 65534, range: 2)]) == "0.0.0.0:65534-65535->65534-65535/tcp")
        #expect(PortText.expanded([port(65534, 65534, range: 2)]).map(\.hostPort) == [65534, 65535])
    }

    @Test func addresses() {
        #expect(PortText.list([port(1, 2, ip: "127.0.0.1")]) == "127.0.0.1:1->2/tcp")
        #expect(PortText.list([port(1, 2, ip: "::1")]) == "[::1]:1->2/tcp")
    }

    @Test func exposedButNotPublished() {
        #expect(PortText.list([], exposed: ["80", "443/tcp", "444/tcp", "53/udp"]) == "80/tcp, 443-444/tcp, 53/udp")
        #expect(PortText.list([port(8080, 80)], exposed: ["80/tcp", "81/tcp"]) == "0.0.0.0:8080->80/tcp, 81/tcp")
        #expect(PortText.list([], exposed: []) == "")
    }

    @Test func linesOfPort() throws {
        let ports = [port(8080, 80), port(5300, 53, "udp")]
        #expect(PortLines.list(ports) == ["53/udp -> 0.0.0.0:5300", "80/tcp -> 0.0.0.0:8080"])
        #expect(try PortLines.matching(ports, "80") == ["0.0.0.0:8080"])
        #expect(try PortLines.matching(ports, "53") == [])
        #expect(try PortLines.matching(ports, "53/udp") == ["0.0.0.0:5300"])
        #expect(throws: Failure.self) { try PortLines.matching(ports, "http") }
    }
}

@Suite struct ContainerTextTests {
    static let now = Moment(seconds: 1_000_000)

    private func state(_ status: ContainerStatus, secondsAgo: Int64, code: Int32 = 0) -> ContainerState {
        var state = ContainerState()
        state.status = status
        state.exitCode = code
        state.started = LinuxSystem.Timestamp(seconds: 1_000_000 - secondsAgo)
        state.finished = state.started
        return state
    }

    @Test func statuses() {
        #expect(ContainerText.status(state(.running, secondsAgo: 4), now: Self.now) == "Up 4 seconds")
        #expect(ContainerText.status(state(.running, secondsAgo: 0), now: Self.now) == "Up Less than a second")
        #expect(
            ContainerText.status(state(.exited, secondsAgo: 2, code: 137), now: Self.now)
                == "Exited (137) 2 seconds ago")
        #expect(ContainerText.status(state(.created, secondsAgo: 2), now: Self.now) == "Created")
        #expect(ContainerText.status(state(.paused, secondsAgo: 2), now: Self.now) == "Paused")
    }

    @Test func aClockSetBackIsNotNegative() {
        #expect(ContainerText.status(state(.running, secondsAgo: -5000), now: Self.now) == "Up Less than a second")
    }

    @Test func ages() {
        #expect(ContainerText.age(Moment(seconds: 999_992), now: Self.now) == "8 seconds ago")
        #expect(ContainerText.age(Moment(seconds: 999_991, nanoseconds: 1), now: Self.now) == "8 seconds ago")
        #expect(ContainerText.age(Moment(seconds: 999_940), now: Self.now) == "About a minute ago")
    }

    @Test func commandIsCutToSeventeen() {
        #expect(ContainerText.command(["httpd", "-f", "-p", "80"], isFull: false) == "httpd -f -p 80")
        #expect(ContainerText.command(["12345678901234567"], isFull: false) == "12345678901234567")
        #expect(ContainerText.command(["123456789012345678"], isFull: false) == "12345678901234567...")
        #expect(ContainerText.command(["123456789012345678"], isFull: true) == "123456789012345678")
        #expect(ContainerText.command(["1234567890123456\u{e9}x"], isFull: false) == "1234567890123456...")
        #expect(ContainerText.command([], isFull: false) == "")
    }
}

@Suite struct EnvironmentTests {
    private func variables(_ body: (inout EnvironmentVariables) throws -> Void) throws -> [String] {
        var variables = EnvironmentVariables(host: ["HOME=/home/u", "LC_ALL=C", "LC_TIME=de", "EMPTY="])
        try body(&variables)
        return variables.list
    }

    @Test func flags() throws {
        #expect(try variables { try $0.add("A=b=c") } == ["A=b=c"])
        #expect(try variables { try $0.add("A=") } == ["A="])
        #expect(try variables { try $0.add("HOME") } == ["HOME=/home/u"])
        #expect(try variables { try $0.add("EMPTY") } == ["EMPTY="])
        #expect(try variables { try $0.add("ABSENT") } == [])
        #expect(try variables { try $0.add("LC_*") } == ["LC_ALL=C", "LC_TIME=de"])
        #expect(throws: Failure.self) { try variables { try $0.add("=x") } }
        #expect(throws: Failure.self) { try variables { try $0.add("") } }
    }

    @Test func files() throws {
        let text = "# comment\n\nA=1\r\n  B='two' # kept\nHOME\nABSENT\nC=a=b\n\tD="
        #expect(
            try variables { try $0.add(file: text, path: "f") } == [
                "A=1", "B='two' # kept", "HOME=/home/u", "C=a=b", "D=",
            ])
        #expect(throws: Failure("parsing file \"f\": name \"A B\" has white spaces, poorly formatted name")) {
            try variables { try $0.add(file: "A B=1", path: "f") }
        }
    }

    @Test func aMissingFileIsNamed() {
        #expect(throws: Failure("open /nonexistent/env: no such file or directory")) {
            try variables { try $0.add(fileAt: "/nonexistent/env") }
        }
    }
}

@Suite struct SmallTextTests {
    @Test(
        arguments: [
            ("512", 512), ("64k", 65536), ("65536k", 67_108_864), ("1.5m", 1_572_864), ("10MiB", 10_485_760),
            ("2GB", 2_147_483_648),
            ("7 b", 7), ("0", 0),
        ] as [(String, Int64)])
    func sizes(text: String, bytes: Int64) { #expect(ByteSize.bytes(text) == bytes) }

    @Test(arguments: ["", "k", "-1", "1x", "1kk", "1.2.3m", "9999999999p", "0x10"])
    func badSizes(text: String) { #expect(ByteSize.bytes(text) == nil) }

    @Test func labels() throws {
        var list = KeyValueList()
        try list.add("a=1", flag: "label")
        try list.add("b", flag: "label")
        try list.add("a=2=3", flag: "label")
        #expect(list.pairs.map { "\($0.key):\($0.value)" } == ["a:2=3", "b:"])
        #expect(throws: Failure.self) { try list.add("=1", flag: "label") }
    }

    @Test func namePatterns() throws {
        #expect(try NamePattern("web").matches("my-web-1"))
        #expect(try NamePattern("^web$").matches("web"))
        #expect(try !NamePattern("^web$").matches("web2"))
        #expect(try NamePattern("^we").matches("web"))
        #expect(try !NamePattern("b$").matches("bc"))
        #expect(throws: Failure.self) { try NamePattern("web.*") }
    }

    @Test func yaml() {
        let text = YAMLText.document([
            "host": ["arch": "amd64", "cpus": 2, "none": [], "maps": [["id": 0, "size": 1], ["id": 1]], "name": ""],
            "flag": true, "odd": "a: b", "number": "12", "path": "/run/x",
        ])
        #expect(
            text == """
                flag: true
                host:
                  arch: amd64
                  cpus: 2
                  maps:
                  - id: 0
                    size: 1
                  - id: 1
                  name: ""
                  none: []
                number: "12"
                odd: "a: b"
                path: /run/x

                """)
    }

    @Test func referencePatterns() {
        let name = "docker.io/library/nginx:1.27"
        for pattern in [
            "nginx", "nginx:1.27", "library/nginx", name, "docker.io/library/nginx", "ng*", "*:1.27",
            "docker.io/*/nginx",
        ] {
            #expect(ImageFilters.matches(name, pattern), "\(pattern)")
        }
        for pattern in ["ginx", "nginx:1", "docker.io", "docker.io/*", "redis", "?ginx:1"] {
            #expect(!ImageFilters.matches(name, pattern), "\(pattern)")
        }
    }

    @Test func exitCodes() {
        var failures = Failures()
        #expect(failures.exitCode == 0)
        failures.add(Failure("x", exitCode: 2))
        #expect(failures.exitCode == 2)
        failures.add(Failure("y", exitCode: 1))
        #expect(failures.exitCode == 1)
        var engine = Failures()
        engine.add(EngineError("z"))
        #expect(engine.exitCode == 125)
    }
}
