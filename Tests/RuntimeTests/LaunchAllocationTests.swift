// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// How often a start allocates. In the child, between clone and execve, never: its copy of the heap may be locked, and
/// its parent waits. Without optimisation the compiler's own code allocates, so this is checked in release builds.
@Suite struct LaunchAllocationTests {
    #if DEBUG
        private static let isChecked = false
    #else
        private static let isChecked = true
    #endif

    @Test func aLaunchAllocatesNothingInTheChildAndLittleInTheParent() throws {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        let process = Process()
        process.executableURL = program.deletingLastPathComponent().appendingPathComponent("LaunchProbe")
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let said = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(said)")
        var counts: [Substring: Int] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            counts[words[0]] = Int(words[1])
        }
        let (plan, launch, child) = (counts["plan"], counts["launch"], counts["child"])
        try #require(plan != nil && launch != nil && child != nil, "\(text)")
        if Self.isChecked {
            #expect(child == 0)
            #expect(plan ?? .max <= 20, "\(text)")
            #expect(launch ?? .max <= 32, "\(text)")
        }
    }
}
