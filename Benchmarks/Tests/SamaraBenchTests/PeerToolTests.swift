// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

/// Which programs of a peer take part, and which are named as absent.
struct PeerToolTests {
    private let workspace: Workspace
    private let tools: Tools
    private let runner: ProcessRunner

    init() throws {
        workspace = try Workspace()
        tools = Tools(["SAMARA_PEERS": workspace.path])
        runner = try ProcessRunner(directory: workspace.path)
    }

    private func find(_ program: String, asked: [String]) throws -> (found: [PeerTool], absent: [AbsentPeer]) {
        let options = try Options(["start"] + (asked.isEmpty ? [] : ["--peers", asked.joined(separator: ",")]))
        return try PeerTool.find(program, peer: "peer", tools, options, runner, [:])
    }

    private func program(_ script: String) throws -> String {
        let file = try workspace.directory("bin") + "/samara-bench-peer"
        try script.write(toFile: file, atomically: false, encoding: .utf8)
        chmod(file, 0o755)
        return file
    }

    @Test(arguments: [[], ["peer"], ["peer 2"], ["pe"]]) func aMissingOneThatIsAskedForIsNamed(asked: [String]) throws {
        defer { try? FileManager.default.removeItem(atPath: workspace.path) }
        let result = try find("samara-bench-no-such-program", asked: asked)
        #expect(result.found.isEmpty)
        #expect(result.absent.map(\.peer) == ["peer"])
        #expect(result.absent.map(\.reason) == ["not installed"])
    }

    @Test func oneThatIsNotAskedForIsNotNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: workspace.path) }
        #expect(try find("samara-bench-no-such-program", asked: ["samara"]).absent.isEmpty)
        _ = try program("#!/bin/sh\necho broken >&2; exit 1\n")
        #expect(try find("samara-bench-peer", asked: ["samara"]).absent.isEmpty)
    }

    @Test func aBrokenOneIsNamedWithItsMessage() throws {
        defer { try? FileManager.default.removeItem(atPath: workspace.path) }
        let file = try program("#!/bin/sh\necho 'no such library' >&2; exit 1\n")
        let result = try find("samara-bench-peer", asked: ["peer 2"])
        #expect(result.found.isEmpty)
        #expect(result.absent.map(\.peer) == [file])
        #expect(result.absent.allSatisfy { $0.reason.contains("no such library") })
    }

    @Test func oneOfAnotherVersionIsLeftOut() throws {
        defer { try? FileManager.default.removeItem(atPath: workspace.path) }
        let file = try program("#!/bin/sh\necho peer version 2.7\n")
        #expect(try find("samara-bench-peer", asked: ["peer 1"]).found.isEmpty)
        let found = try find("samara-bench-peer", asked: ["peer 2"]).found
        #expect(found.map(\.name) == ["peer 2.7"])
        #expect(found.map(\.path) == [file])
    }
}
