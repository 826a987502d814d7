// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// What needs namespaces runs in `PodNetworkProbe`, a process without threads.
@Suite(.serialized) struct ProbeTests {
    /// The directory of the built products: that of the test bundle itself.
    private static var products: URL {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        return program.deletingLastPathComponent()
    }

    @Test(arguments: ["recipe", "none", "process", "confinement", "allocations"]) func probe(name: String) throws {
        try run([name])
    }

    @Test(arguments: ["65520", "1500"]) func outbound(mtu: String) throws { try run(["outbound"], after: [mtu]) }

    @Test func resolversAreFollowed() throws { try run(["resolvers"]) }

    /// Each spelling of the host that a pod's kernel sends anywhere, refused and opened one by one.
    @Test func theHostIsReachedWhereItIsOpened() throws { try run(["policy"]) }

    @Test func programsFindTheirWay() throws { try run(["programs"]) }

    /// One frame in a hundred lost, one repeated and one late, each way, over a tap without offloads. Megabytes by default;
    /// SAMARA_FULL_SIZE makes it a gibibyte each way.
    @Test func lossyLink() throws {
        let seed = UInt64.random(in: 1...999_999)
        let mebibytes = ProcessInfo.processInfo.environment["SAMARA_FULL_SIZE"] == nil ? "4" : "1024"
        print("ProbeTests.lossyLink seed \(seed)")
        try run(["lossy"], after: ["10", mebibytes, "\(seed)"])
    }

    private func run(_ name: [String], after: [String] = []) throws {
        let process = Process()
        process.executableURL = Self.products.appendingPathComponent("PodNetworkProbe")
        process.arguments = name + [Self.products.appendingPathComponent("samara-net").path] + after
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: data, as: UTF8.self)
        #expect(process.terminationStatus == 0 && text.isEmpty, "\(text)")
    }
}
