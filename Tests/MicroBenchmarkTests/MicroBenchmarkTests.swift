// SPDX-License-Identifier: Apache-2.0
import Foundation
import JSON
import Testing

/// Allocations of the hot paths against committed thresholds.
///
/// Not times: on a shared machine they vary by more than most mistakes; `samara-bench micro --compare` judges them with
/// their spread. Not instructions: virtual machines often count none.
@Suite struct MicroBenchmarkTests {
    /// Per operation. Raise one only with the reason in the commit.
    static let allocationThresholds: [String: Double] = [
        "checksum-1460": 0, "checksum-65536": 0, "flow-lookup": 0, "echo-reply": 0, "segment-ack": 0, "timer": 0,
        "dispatch": 0, "message": 0, "splice": 0, "launch-plan": 50, "json-parse": 50, "json-write": 9,
        "template-parse": 66, "template": 9,
    ]

    @Test func allocationsStayWithinTheirThresholds() throws {
        let measured = try measure()
        #expect(Set(measured.keys) == Set(Self.allocationThresholds.keys))
        #if !DEBUG
            for (id, allocations) in measured.sorted(by: { $0.key < $1.key }) {
                let threshold = Self.allocationThresholds[id] ?? 0
                #expect(allocations <= threshold, "\(id): \(allocations) allocations, allowed are \(threshold)")
            }
        #endif
    }

    /// Runs the program beside the tests, briefly.
    private func measure() throws -> [String: Double] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("MicroBenchmarkProbe")
        process.arguments = ["--milliseconds", "1", "--samples", "1"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let entries = try JSON.parse(String(decoding: data, as: UTF8.self)).objectValue ?? [:]
        var result: [String: Double] = [:]
        for (id, entry) in entries { result[id] = entry["allocations"]?.doubleValue }
        return result
    }
}
