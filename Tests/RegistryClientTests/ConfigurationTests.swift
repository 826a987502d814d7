// SPDX-License-Identifier: Apache-2.0
import Foundation
import JSON
import OCISpec
import Testing

@testable import RegistryClient

struct ConfigurationTests {
    private func toml(_ text: String) throws -> JSON { .object(try TOML.parse(Array(text.utf8))) }

    @Test func tomlReadsWhatConfigurationFilesHave() throws {
        let json = try toml(
            """
            # comment
            list = [ "a", 'b\\n', # inside
              "c\\u00e9", ]
            flag = true # behind
            number = -1_000
            text = \"\"\"
            two
            lines\"\"\"
            [aliases]
            "debian" = "docker.io/library/debian"
            [[registry]]
            prefix = "a"
            [[registry.mirror]]
            location = "m1"
            [[registry.mirror]]
            location = "m2"
            [[registry]]
            prefix = "b"
            inline = { x = 1, y.z = "2" }
            """)
        #expect(json["list"] == ["a", "b\\n", "cé"])
        #expect(json["flag"] == true)
        #expect(json["number"] == -1000)
        #expect(json["text"] == "two\nlines")
        #expect(json["aliases"]?["debian"] == "docker.io/library/debian")
        let registries = try #require(json["registry"]?.arrayValue)
        #expect(registries.count == 2)
        #expect(registries[0]["mirror"]?.arrayValue?.map { $0["location"] } == ["m1", "m2"])
        #expect(registries[1]["inline"] == ["x": 1, "y": ["z": "2"]])
    }

    @Test(arguments: [
        ("a = 1\na = 2", 2), ("a", 1), ("a = ", 1), ("\n\na = \"x", 3), ("[a\n", 1), ("a = 1 b = 2", 1),
        ("a = [1, ", 1),
        ("a = 1979-05-27", 1), ("a = \"\\q\"", 1), ("a = 1\n[a]\n", 2), ("= 1", 1),
    ])
    func tomlRefusesWithTheLine(_ text: String, _ line: Int) {
        #expect(throws: TOMLError.self) { try TOML.parse(Array(text.utf8)) }
        do { _ = try TOML.parse(Array(text.utf8)) } catch { #expect(error.line == line, "\(error)") }
    }

    /// Any bytes end in a value or an error, never in a trap.
    @Test func tomlSurvivesDamage() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var state = seed
        func random(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        let valid = Array(
            "[[registry]]\nprefix = \"a.b\"\nlist = ['x', {y = 1}]\n[[registry.mirror]]\nlocation=\"\"\"m\"\"\"\n".utf8)
        for _ in 0..<2000 {
            var bytes = valid
            for _ in 0..<(1 + random(4)) { bytes[random(bytes.count)] = UInt8(random(256)) }
            if random(3) == 0 { bytes.removeLast(random(bytes.count)) }
            _ = try? TOML.parse(bytes)
        }
        print("seed \(seed)")
    }

    private func configuration(_ text: String) throws -> RegistriesConfiguration {
        var configuration = RegistriesConfiguration()
        configuration.merge(try RegistriesFile(Array(text.utf8), path: "registries.conf"))
        return configuration
    }

    @Test func shortNames() throws {
        let none = RegistriesConfiguration()
        #expect(try none.candidates("nginx").map(\.description) == ["docker.io/library/nginx:latest"])
        #expect(try none.candidates("quay.io/a/b:1").map(\.description) == ["quay.io/a/b:1"])
        let some = try configuration(
            """
            unqualified-search-registries = ["quay.io", "docker.io"]
            [aliases]
            debian = "docker.io/library/debian"
            "a/b" = "example.com/x/y"
            """)
        #expect(try some.candidates("nginx:1").map(\.description) == ["quay.io/nginx:1", "docker.io/library/nginx:1"])
        #expect(try some.candidates("debian").map(\.description) == ["docker.io/library/debian:latest"])
        #expect(try some.candidates("a/b:2").map(\.description) == ["example.com/x/y:2"])
        let enforcing = try configuration(
            "unqualified-search-registries = [\"quay.io\", \"docker.io\"]\nshort-name-mode=\"enforcing\"")
        #expect(throws: RegistryError.self) { try enforcing.candidates("nginx") }
    }

    @Test func mirrorsAndRewriting() throws {
        let configuration = try configuration(
            """
            [[registry]]
            prefix = "example.com"
            location = "internal.example/proxy"
            [[registry.mirror]]
            location = "mirror.local:5000/m"
            insecure = true
            [[registry.mirror]]
            location = "digests.local"
            pull-from-mirror = "digest-only"
            [[registry]]
            location = "example.com/blocked"
            blocked = true
            [[registry]]
            prefix = "*.wild.com"
            insecure = true
            """)
        let tagged = try configuration.sources(of: try ImageReference(normalizing: "example.com/a/b:1"))
        #expect(
            tagged == [
                PullSource(host: "mirror.local:5000", path: "m/a/b", isInsecure: true, isMirror: true),
                PullSource(host: "internal.example", path: "proxy/a/b", isInsecure: false, isMirror: false),
            ])
        let digest = String(repeating: "a", count: 64)
        let pinned = try configuration.sources(of: try ImageReference(normalizing: "example.com/a/b@sha256:\(digest)"))
        #expect(pinned.map(\.host) == ["mirror.local:5000", "digests.local", "internal.example"])
        #expect(throws: RegistryError.self) {
            try configuration.sources(of: try ImageReference(normalizing: "example.com/blocked/x"))
        }
        #expect(try configuration.sources(of: try ImageReference(normalizing: "example.com/blockedx")).count == 2)
        let wild = try configuration.sources(of: try ImageReference(normalizing: "a.wild.com:5000/x/y"))
        #expect(wild == [PullSource(host: "a.wild.com:5000", path: "x/y", isInsecure: true, isMirror: false)])
    }

    @Test(arguments: [
        "unknown = 1", "[registries.search]\nregistries = ['x']", "[[registry]]\ninsecure = 'yes'\nlocation='a'",
        "[[registry]]\nblocked = true", "[[registry]]\nlocation = 'https://a'", "[[registry]]\nprefix='*.a/b'",
        "short-name-mode = 'sometimes'",
    ])
    func wrongConfigurationIsAnError(_ text: String) {
        #expect(throws: RegistryError.self) { try configuration(text) }
    }

    @Test func filesAndDropInsInTheirOrder() throws {
        let home = FileManager.default.temporaryDirectory.path + "/samara-registries-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: home) }
        func write(_ path: String, _ text: String) throws {
            let url = URL(fileURLWithPath: home + "/" + path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        try write("etc/registries.conf", "unqualified-search-registries = ['system.io']")
        try write("etc/registries.conf.d/a.conf", "[aliases]\nx = 'a.io/x'\ny = 'a.io/y'")
        try write(".config/containers/registries.conf.d/b.conf", "[aliases]\nx = 'b.io/x'")
        var environment = ["HOME": home]
        func load() throws -> RegistriesConfiguration {
            try RegistriesConfiguration.load(environment: { environment[$0] }, system: home + "/etc")
        }
        #expect(try load().candidates("z").map(\.domain) == ["system.io"])
        #expect(try load().candidates("x").map(\.domain) == ["b.io"])
        #expect(try load().candidates("y").map(\.domain) == ["a.io"])
        try write(".config/containers/registries.conf", "unqualified-search-registries = ['user.io']")
        #expect(try load().candidates("z").map(\.domain) == ["user.io"])
        try write("chosen.conf", "unqualified-search-registries = ['chosen.io']")
        environment["CONTAINERS_REGISTRIES_CONF"] = home + "/chosen.conf"
        #expect(try load().candidates("z").map(\.domain) == ["chosen.io"])
        environment["CONTAINERS_REGISTRIES_CONF"] = home + "/missing.conf"
        #expect(throws: RegistryError.self) { try load() }
    }
}
