// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

/// Which programs of a peer take part, and which are named as absent. Nothing is run: `ProcessRunner` waits for any child
/// of its process, those of the other tests included.
struct PeerToolTests {
    private let workspace: Workspace
    private let tools: Tools

    init() throws {
        workspace = try Workspace()
        tools = Tools(["SAMARA_PEERS": workspace.path])
    }

    private func find(
        _ program: String, asked: [String], version: () throws -> String = { "2.7" }
    ) throws -> (found: [PeerTool], absent: [AbsentPeer]) {
        let options = try Options(["start"] + (asked.isEmpty ? [] : ["--peers", asked.joined(separator: ",")]))
        return try PeerTool.find(program, peer: "peer", tools, options) { _ in try version() }
    }

    private func program() throws -> String {
        let file = try workspace.directory("bin") + "/samara-bench-peer"
        try "".write(toFile: file, atomically: false, encoding: .utf8)
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
        _ = try program()
        let result = try find("samara-bench-peer", asked: ["samara"]) { throw BenchError("broken") }
        #expect(result.found.isEmpty && result.absent.isEmpty)
    }

    @Test func aBrokenOneIsNamedWithItsMessage() throws {
        defer { try? FileManager.default.removeItem(atPath: workspace.path) }
        let file = try program()
        let result = try find("samara-bench-peer", asked: ["peer 2"]) { throw BenchError("no such library") }
        #expect(result.found.isEmpty)
        #expect(result.absent.map(\.peer) == [file])
        #expect(result.absent.map(\.reason) == ["no such library"])
    }

    @Test func oneOfAnotherVersionIsLeftOut() throws {
        defer { try? FileManager.default.removeItem(atPath: workspace.path) }
        let file = try program()
        #expect(try find("samara-bench-peer", asked: ["peer 1"]).found.isEmpty)
        let found = try find("samara-bench-peer", asked: ["peer 2"]).found
        #expect(found.map(\.name) == ["peer 2.7"])
        #expect(found.map(\.path) == [file])
    }
}
