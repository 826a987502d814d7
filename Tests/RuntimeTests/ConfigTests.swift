// SPDX-License-Identifier: Apache-2.0
import Foundation
import JSON
import LinuxSystem
import Testing

@testable import ContainerRuntime
@testable import OCISpec
@testable import RuntimeCommands

@Suite struct ConfigTests {
    /// A small valid config; `changes` are set by dotted path, null removes.
    static func config(_ changes: [(String, JSON)] = []) throws -> RuntimeConfig {
        var json: JSON = [
            "ociVersion": "1.2.0", "root": ["path": "rootfs"],
            "process": ["args": ["true"], "cwd": "/", "user": ["uid": 0, "gid": 0]],
            "linux": ["namespaces": [["type": "mount"], ["type": "pid"], ["type": "uts"], ["type": "user"]]],
        ]
        for (path, value) in changes { json = set(json, path.split(separator: ".").map(String.init)[...], value) }
        return try RuntimeConfig(json)
    }

    private static func set(_ json: JSON, _ path: ArraySlice<String>, _ value: JSON) -> JSON {
        guard let key = path.first, var object = json.objectValue else { return value }
        object[key] = set(object[key] ?? [:], path.dropFirst(), value)
        return .object(object)
    }

    @Test func aMinimalConfigIsAccepted() throws {
        let config = try Self.config()
        #expect(config.process?.arguments == ["true"])
        #expect(config.linux.isNew(.pid))
        #expect(!config.linux.has(.network))
    }

    @Test(arguments: ["1.0.0", "1.0.2-dev", "1.2.1+dev", "1.3.0"])
    func everyVersionOneIsAccepted(version: String) throws {
        #expect(try Self.config([("ociVersion", .string(version))]).version == version)
    }

    @Test(
        arguments: [
            ("ociVersion", "2.0.0" as JSON, "ociVersion"), ("ociVersion", nil, "ociVersion"),
            ("root.path", "", "root.path"),
            ("process.args", [], "process.args"), ("process.cwd", "relative", "process.cwd"),
            ("process.args", ["a\u{0}b"], "NUL"), ("process.user.uid", -1, "process.user.uid"),
            ("process.user.uid", 4_294_967_295, "4294967295"), ("process.user.gid", 4_294_967_296, "process.user.gid"),
            ("process.user.uid", "0", "process.user.uid"), ("process.oomScoreAdj", 1001, "oomScoreAdj"),
            (
                "process.rlimits",
                [["type": "RLIMIT_CORE", "soft": 0, "hard": 0], ["type": "RLIMIT_CORE", "soft": 0, "hard": 0]],
                "given twice"
            ),
            ("linux.namespaces", [["type": "mount"], ["type": "mount"]], "given twice"),
            ("linux.namespaces", [["type": "nothing"]], "not a namespace"), ("linux.namespaces", [], "mount namespace"),
            ("linux.intelRdt", ["closID": "x"], "linux.intelRdt"), ("linux.mountLabel", "x", "linux.mountLabel"),
            ("linux.maskedPaths", ["relative"], "maskedPaths"),
            ("linux.rootfsPropagation", "wild", "rootfsPropagation"),
            ("linux.sysctl", ["kernel.hostname": "x", "vm.swappiness": "1"], "vm.swappiness"),
            ("linux.sysctl", ["net.ipv4.ip_forward": "1"], "network namespace"),
            ("linux.sysctl", ["net/../../kernel/core_pattern": "x"], "not the name"),
            ("linux.sysctl", ["net.ipv4.a/../../b": "x"], "not the name"),
            ("linux.devices", [["path": "/dev/../etc/x", "type": "c", "major": 1, "minor": 3]], "linux.devices"),
            ("linux.resources", ["unified": ["../cgroup.procs": "1"]], "unified"),
            ("linux.resources", ["devices": [["allow": true, "access": "rwx"]]], "access"),
            ("hooks", ["prestart": [["path": "relative"]]], "hooks.prestart[0].path"),
            ("hooks", ["poststop": [["path": "/x", "timeout": 0]]], "timeout"),
            ("mounts", [["destination": "/x", "type": "bind"]], "source"),
            ("mounts", [["destination": "/x", "type": "tmpfs", "options": ["idmap"]]], "id-mapped"),
            (
                "mounts",
                [
                    [
                        "destination": "/x", "type": "bind", "source": "/x",
                        "uidMappings": [["containerID": 0, "hostID": 1, "size": 1]],
                    ]
                ], "together"
            ),
            ("mounts", [["destination": "/proc", "type": "tmpfs"]], "inside /proc"),
            ("mounts", [["destination": "/proc/self/attr", "type": "tmpfs"]], "inside /proc"),
            ("mounts", [["destination": "//./proc//1", "type": "tmpfs"]], "inside /proc"),
            ("mounts", [["destination": "/a/../proc", "type": "tmpfs"]], "`..`"),
        ] as [(String, JSON, String)])
    func whatIsWrongIsNamed(path: String, value: JSON, words: String) {
        let error = #expect(throws: RuntimeSpecError.self) { try Self.config([(path, value)]) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func realProcAndLXCFSFilesMayBeMounted() throws {
        let config = try Self.config([
            (
                "mounts",
                [
                    ["destination": "/proc", "type": "proc", "source": "proc"],
                    ["destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]],
                    ["destination": "/proc/cpuinfo", "type": "bind", "source": "/x"],
                ]
            )
        ])
        #expect(config.mounts.count == 3)
    }

    @Test func mountOptionsAreSortedByWhatTheyActOn() throws {
        let config = try Self.config([
            (
                "mounts",
                [
                    [
                        "destination": "x", "type": "tmpfs",
                        "options": [
                            "ro", "nosuid", "rro", "rslave", "shared", "size=64k", "newinstance", "noatime",
                            "tmpcopyup", "suid",
                        ],
                    ]
                ]
            )
        ])
        let mount = try #require(config.mounts.first)
        #expect(mount.destination == "/x")
        #expect(mount.attributes.set == 0x11)
        #expect(mount.attributes.clear == 0x72)
        #expect(mount.recursiveAttributes.set == 1)
        #expect(mount.propagation.map(\.flag) == [1 << 19, 1 << 20])
        #expect(mount.propagation.map(\.isRecursive) == [true, false])
        #expect(mount.data.map(\.key) == ["size", "newinstance"])
        #expect(mount.copiesUp)
    }

    @Test func nestingIsBounded() {
        let bomb = Array((String(repeating: "[", count: 100_000)).utf8)
        #expect(throws: RuntimeSpecError.self) { try RuntimeConfig(bytes: bomb) }
    }

    @Test func corruptedConfigsAreErrorsAndNeverCrashes() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var state = seed
        func next() -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33)
        }
        let valid = DefaultConfig.json(isRootless: true).serialized()
        var accepted = 0
        for _ in 0..<2000 {
            var bytes = valid
            for _ in 0...(next() % 4) { bytes[next() % bytes.count] = UInt8(truncatingIfNeeded: next()) }
            if (try? RuntimeConfig(bytes: bytes)) != nil { accepted += 1 }
        }
        // A changed byte inside a string stays valid; a decoder that refuses or accepts all is not tested at all.
        #expect(accepted > 0 && accepted < 2000, "seed \(seed)")
    }

    /// The same for what `exec --process` reads and for the state of a container.
    @Test func corruptedProcessesAndRecordsAreErrorsAndNeverCrash() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var state = seed
        func next() -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33)
        }
        func corrupted(_ valid: [UInt8]) -> [UInt8] {
            var bytes = valid
            for _ in 0...(next() % 4) { bytes[next() % bytes.count] = UInt8(truncatingIfNeeded: next()) }
            return bytes
        }
        let process = try #require(DefaultConfig.json(isRootless: true)["process"]).serialized()
        let folder = NSTemporaryDirectory() + "record-\(seed)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder + "/c", withIntermediateDirectories: true)
        let root = try StateRoot(folder)
        let record = ContainerRecord(
            id: "c", version: "1.2.0", bundle: "/b", rootfs: "/b/rootfs",
            process: ProcessIdentity(pid: 1, startTime: 2), namespaces: 3, cgroup: Cgroup(directories: ["/g"]),
            annotations: [(name: "a", value: "b")])
        try record.prepare(folder + "/c")
        try record.publish(folder + "/c")
        let file = URL(fileURLWithPath: folder + "/c/state.json")
        let stored = Array(try Data(contentsOf: file))
        var (processes, records) = (0, 0)
        for _ in 0..<500 {
            if (try? RuntimeProcess(bytes: corrupted(process))) != nil { processes += 1 }
            try Data(corrupted(stored)).write(to: file)
            if (try? ContainerRecord.read("c", root)) != nil { records += 1 }
        }
        #expect(processes > 0 && processes < 500 && records > 0 && records < 500, "seed \(seed)")
    }

    /// 16 MiB: more is not read to its end.
    @Test func aConfigIsBounded() throws {
        let folder = NSTemporaryDirectory() + "large-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var request = CreationRequest(id: "c", bundle: folder)
        request.configPath = "/dev/zero"
        let creation = ContainerCreation(request, root: try StateRoot(folder + "/state"), warn: { _ in })
        var message = ""
        do { _ = try creation.run() } catch { message = error.message }
        #expect(message.contains("File too large"))
    }

    @Test func bothDefaultConfigsAreValid() throws {
        for isRootless in [true, false] {
            let config = try RuntimeConfig(bytes: DefaultConfig.json(isRootless: isRootless).serialized())
            #expect(config.linux.userMappings.isEmpty == !isRootless)
        }
    }
}

@Suite struct GrammarTests {
    @Test(arguments: ["a", "A-b_c+d.e", "0", String(repeating: "x", count: 255)])
    func idsThatAreAccepted(id: String) { #expect(RuntimeIdentifier.problem(id) == nil) }

    @Test(arguments: [
        "", ".", "..", ".hidden", "../x", "a/b", "a b", "a\n", "ä", String(repeating: "x", count: 2000), "a\u{0}",
    ])
    func idsThatAreRefused(id: String) { #expect(RuntimeIdentifier.problem(id) != nil) }

    @Test(arguments: ["1x", "-1", "+1", "4294967296", "4294967295", "", ":0", "1:", "1:2:3", " 1", "0x1", "١"])
    func usersThatAreRefused(text: String) { #expect(throws: RuntimeError.self) { try UserNumbers.parse(text) } }

    @Test func usersThatAreAccepted() throws {
        #expect(try UserNumbers.parse("4294967294") == (4_294_967_294, 0))
        #expect(try UserNumbers.parse("1:2") == (1, 2))
    }

    @Test(
        arguments: [
            ("9", 9), ("KILL", 9), ("sigkill", 9), ("SIGTERM", 15), ("RTMIN+3", 37), ("SIGRTMAX-1", 63), ("64", 64),
        ] as [(String, Int32)])
    func signals(text: String, number: Int32) { #expect(SignalName.number(text) == number) }

    @Test(arguments: ["0", "65", "-9", "", "SIG", "FOO", "9 ", "RTMIN+31", "RTMIN+-1"])
    func signalsThatAreRefused(text: String) { #expect(SignalName.number(text) == nil) }

    @Test func sysctlNamesHaveTwoForms() {
        #expect(
            RuntimeSysctl.components("net.ipv4.conf.eth0/100.forwarding") == [
                "net", "ipv4", "conf", "eth0.100", "forwarding",
            ])
        #expect(
            RuntimeSysctl.components("net/ipv4/conf/eth0.100/forwarding") == [
                "net", "ipv4", "conf", "eth0.100", "forwarding",
            ])
    }
}
