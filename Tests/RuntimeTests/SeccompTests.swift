// SPDX-License-Identifier: Apache-2.0
import Foundation
import JSON
import Testing

@testable import ContainerRuntime
@testable import OCISpec

@Suite struct SeccompTests {
    private static func section(_ json: JSON) -> RuntimeSeccompSection {
        RuntimeSeccompSection(source: json.serialized())
    }

    private static func compile(_ json: JSON, cache: String? = nil, warn: (String) -> Void = { _ in })
        throws(RuntimeError) -> SeccompSection.Filter
    {
        try SeccompSection.compile(section(json), cache: cache, warn: warn)
    }

    private static func profile(_ name: String, action: JSON = "SCMP_ACT_ALLOW", standard: JSON = "SCMP_ACT_ERRNO")
        -> JSON
    {
        ["defaultAction": standard, "syscalls": [["names": [.string(name)], "action": action]]]
    }

    @Test func theSectionIsCutOutOfTheConfigAndKeptAsItIs() throws {
        let text = """
            {"ociVersion": "1.2.0", "root": {"path": "r"}, "linux": {"x": "}\\"", "seccomp": {"defaultAction" : "A"},
             "namespaces": [{"type": "mount"}]}}
            """
        let config = try RuntimeConfig(bytes: Array(text.utf8))
        #expect(config.linux.seccomp?.source == Array(#"{"defaultAction" : "A"}"#.utf8))
        #expect(config.linux.has(.mount))
    }

    @Test func unknownNamesAreErrors() throws {
        let error = #expect(throws: RuntimeError.self) { _ = try Self.compile(Self.profile("no_such_call")) }
        #expect(error?.message.contains("`no_such_call` is not a system call") == true)
    }

    @Test func aCallNewerThanTheLibraryIsAWarningOnlyWhereItStaysForbidden() throws {
        var warnings: [String] = []
        _ = try Self.compile(Self.profile("listns")) { warnings.append($0) }
        #expect(warnings.count == 1 && warnings[0].contains("listns"))
        #expect(throws: RuntimeError.self) {
            _ = try Self.compile(Self.profile("listns", action: "SCMP_ACT_ERRNO", standard: "SCMP_ACT_ALLOW"))
        }
    }

    @Test func whatWouldStopTheSetUpIsRefused() {
        #expect(throws: RuntimeError.self) { _ = try Self.compile(Self.profile("read", action: "SCMP_ACT_NOTIFY")) }
        for (name, standard) in [("read", "SCMP_ACT_NOTIFY"), ("sendmsg", "SCMP_ACT_ALLOW")] {
            let json: JSON = [
                "defaultAction": .string(standard), "listenerPath": "/x",
                "syscalls": [["names": [.string(name)], "action": "SCMP_ACT_NOTIFY"]],
            ]
            #expect(throws: RuntimeError.self) { _ = try Self.compile(json) }
        }
    }

    @Test func aFilterComesFromTheCacheOnlyForTheSameText() throws {
        let directory = NSTemporaryDirectory() + "seccomp-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let json = Self.profile("read")
        let first = try Self.compile(json, cache: directory)
        let name = try #require(try FileManager.default.contentsOfDirectory(atPath: directory).first)
        #expect(SeccompCache.filter(for: Self.section(json), in: directory)?.instructions == first.instructions)
        // A file of the right name with another text is what a collision would look like.
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
        bytes[20] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
        #expect(SeccompCache.filter(for: Self.section(json), in: directory) == nil)
        #expect(try Self.compile(json, cache: directory).instructions == first.instructions)
        try Data(bytes.prefix(30)).write(to: URL(fileURLWithPath: directory + "/" + name))
        #expect(SeccompCache.filter(for: Self.section(json), in: directory) == nil, "cut short")
    }
}
