// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Commands killed at random moments: the next command copes with whatever they left.
    @Suite struct KilledCommandTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// What is killed, and what must be there before. The names are the same in every round: one that stayed
        /// blocked would fail the next round's preparation.
        struct Operation: CustomTestStringConvertible, Sendable {
            var preparation: [[String]] = []
            var command: [String]
            var testDescription: String { command.joined(separator: " ") }
        }

        static let sleeper = ["busybox", "sleep", "1000"]
        static let operations: [Operation] = [
            Operation(command: ["pod", "create", "--name", "pod", "-p", "80"]),
            Operation(
                preparation: [["pod", "create", "--name", "pod", "-p", "80"]],
                command: ["run", "-d", "--pod", "pod", "--name", "ctr", "-v", "kept:/data"] + sleeper),
            Operation(command: [
                "run", "--rm", "--name", "ctr", "-v", "kept:/data", "-p", "80", "busybox", "sleep", "0.02",
            ]),
            Operation(
                preparation: [["run", "-d", "--name", "ctr"] + sleeper], command: ["rm", "-f", "-t", "0", "ctr"]),
            Operation(
                preparation: [
                    ["pod", "create", "--name", "pod", "-p", "80", "--share", "pid"],
                    ["run", "-d", "--pod", "pod", "--name", "ctr", "-v", "kept:/data"] + sleeper,
                ],
                command: ["pod", "rm", "-f", "-t", "0", "pod"]),
            Operation(
                preparation: [
                    ["pod", "create", "--name", "pod", "-p", "80"],
                    ["create", "--pod", "pod", "--name", "ctr"] + sleeper,
                ],
                command: ["pod", "start", "pod"]),
            Operation(
                preparation: [["run", "-d", "--name", "ctr"] + sleeper], command: ["restart", "-t", "0", "ctr"]),
        ]

        @Test(arguments: operations)
        func nextCommandsWork(operation: Operation) throws {
            var random = SeededGenerator(announcing: "killed \(operation.testDescription)")
            try samara.succeed("run", "--rm", "-v", "kept:/data", "busybox", "sh", "-c", "echo precious >/data/file")
            let before = HostSnapshot(of: samara)
            // Once to its end, to know how long it takes.
            let duration = try round(operation, killedAfter: nil)
            for _ in 0..<7 {
                let delay = UInt32.random(in: 0...UInt32(clamping: duration * 11 / 10), using: &random)
                _ = try round(operation, killedAfter: delay)
                try cleanUp()
                var left: [String] = []
                eventually("everything is gone after a kill at \(delay) µs of `\(operation.testDescription)`") {
                    left = HostSnapshot(of: samara).added(since: before)
                    return left.isEmpty
                }
                #expect(left.isEmpty, "after \(delay) µs: \(left.joined(separator: "\n"))")
            }
            #expect(try samara.succeed("run", "--rm", "-v", "kept:/data", "busybox", "cat", "/data/file") == "precious")
        }

        /// - Returns: how long the command ran, in microseconds.
        private func round(_ operation: Operation, killedAfter delay: UInt32?) throws -> Int64 {
            for preparation in operation.preparation {
                let result = try samara.run(preparation)
                try #require(result.status == 0, "\(result)")
            }
            let start = ContinuousClock.now
            let command = try samara.start(operation.command)
            if let delay {
                usleep(delay)
                command.killNow()
            } else {
                let result = try command.waitForExit()
                #expect(result.status == 0, "\(result)")
            }
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            if delay == nil { try cleanUp() }
            return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        }

        private func cleanUp() throws {
            for arguments in [
                ["ps", "-a"], ["pod", "ps"], ["pod", "rm", "-f", "-a", "-t", "0"], ["rm", "-f", "-a", "-t", "0"],
            ] {
                let result = try samara.run(arguments)
                #expect(result.status == 0, "\(result)")
            }
            #expect(try samara.succeed("ps", "-aq").isEmpty)
            #expect(try samara.succeed("pod", "ps", "-q").isEmpty)
        }

        /// Loads and removals of images that are killed leave a store that works.
        @Test func imagesSurviveKilledLoadsAndRemovals() throws {
            var random = SeededGenerator(announcing: "killed load")
            let own = try Samara.fresh()
            defer { try? own.destroy() }
            let archive = "\(own.images)/busybox.tar"
            for _ in 0..<8 {
                let load = try own.start("load", "-i", archive)
                usleep(.random(in: 0...80_000, using: &random))
                load.killNow()
                let images = try own.run("images", "-q")
                #expect(images.status == 0, "\(images)")
            }
            try own.succeed("load", "-i", archive)
            #expect(try own.succeed("run", "--rm", "busybox", "echo", "whole") == "whole")
            for _ in 0..<4 {
                let removal = try own.start("rmi", "busybox")
                usleep(.random(in: 0...20_000, using: &random))
                removal.killNow()
                try own.succeed("load", "-i", archive)
            }
            #expect(try own.succeed("run", "--rm", "busybox", "echo", "whole") == "whole")
            try own.succeed("rmi", "-a", "-f")
            #expect(try own.succeed("images", "-q").isEmpty)
        }
    }
}
