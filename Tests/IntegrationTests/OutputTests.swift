// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// What programs write: unchanged to the caller, and in the log.
    @Suite struct OutputTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        /// Ten megabytes of numbered lines.
        private static let lines = 1_400_000
        private static let large: String = {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(11_000_000)
            for number in 1...lines { bytes += Array("\(number)\n".utf8) }
            return String(decoding: bytes, as: UTF8.self)
        }()

        @Test func tenMegabytesArriveComplete() throws {
            let result = try samara.run(
                "run", "--name", "big", "busybox", "seq", "\(Self.lines)", timeout: .seconds(60))
            #expect(result.status == 0)
            #expect(result.stdout.utf8.count > 10_000_000)
            let isSame = result.stdout == Self.large
            #expect(isSame, "\(result.stdout.utf8.count) bytes of \(Self.large.utf8.count)")
            let log = try samara.run("logs", "big", timeout: .seconds(60))
            let isLogged = log.stdout == Self.large
            #expect(isLogged, "\(log.stdout.utf8.count) bytes of \(Self.large.utf8.count)")
        }

        @Test func binaryAndUnfinishedLinesArriveUnchanged() throws {
            for text in ["no newline", "\n\n", "a\u{1}b\r\n\tc", String(repeating: "x", count: 200_000), ""] {
                let folder = try samara.folder("in")
                try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/file"))
                let result = try samara.run(
                    "run", "--name", "raw", "-v", "\(folder):/in:ro", "busybox", "cat", "/in/file")
                #expect(result.stdout == text)
                #expect(try samara.run("logs", "raw").stdout == text)
                try samara.succeed("rm", "raw")
            }
        }

        @Test func execPassesDataBothWays() throws {
            try samara.succeed("run", "-d", "--name", "box", "busybox", "sleep", "1000")
            let text = String(repeating: "0123456789abcde\n", count: 100_000)
            let result = try samara.run("exec", "-i", "box", "cat", stdin: text)
            #expect(result.status == 0)
            let isSame = result.stdout == text
            #expect(isSame)
            let errors = try samara.run("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 4")
            #expect(errors.stdout == "out\n" && errors.stderr == "err\n" && errors.status == 4)
        }

        @Test func logsAreFollowedToTheEnd() throws {
            let folder = try samara.folder("signal")
            try samara.succeed(
                "run", "-d", "--name", "talker", "-v", "\(folder):/signal", "busybox", "sh", "-c",
                "echo one; echo err >&2; until test -e /signal/go; do sleep 0.05; done; echo two")
            try eventually("the first line is logged") { try samara.run("logs", "talker").stdout == "one\n" }
            let follower = try samara.start("logs", "-f", "talker")
            eventually("the follower shows what was there") { follower.stdout == "one\n" }
            try touch(folder + "/go")
            let result = try follower.waitForExit()
            #expect(result.status == 0)
            #expect(result.stdout == "one\ntwo\n" && result.stderr == "err\n", "\(result)")
        }

        @Test func partsOfALogAreSelected() throws {
            try samara.succeed(
                "run", "--name", "count", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done")
            #expect(try samara.run("logs", "--tail", "2", "count").stdout == "4\n5\n")
            #expect(try samara.run("logs", "--tail", "0", "count").stdout.isEmpty)
            #expect(try samara.run("logs", "--tail", "9", "count").lines.count == 5)
            let stamped = try samara.run("logs", "-t", "count").lines
            #expect(stamped.count == 5)
            let third = try #require(stamped.dropFirst(2).first?.split(separator: " "), "\(stamped)")
            try #require(third.count == 2 && third[0].contains(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+/), "\(third)")
            #expect(
                try samara.run("logs", "--since", String(third[0]), "count").stdout == "4\n5\n",
                "as Podman: later, not equal")
            #expect(try samara.run("logs", "--until", String(third[0]), "count").stdout == "1\n2\n")
            #expect(try samara.run("logs", "--since", "1h", "count").lines.count == 5)
            let bad = try samara.run("logs", "--since", "yesterdayish", "count")
            #expect(bad.status == 125 && bad.stderr.hasPrefix("Error: "), "\(bad)")
        }

        @Test func logsAreKeptOverRestarts() throws {
            try samara.succeed("run", "--name", "again", "busybox", "echo", "run")
            try samara.succeed("start", "-a", "again")
            #expect(try samara.run("logs", "again").stdout == "run\nrun\n")
        }

        @Test func noLogWhenNotWanted() throws {
            try samara.succeed("run", "--name", "quiet", "--log-driver", "none", "busybox", "echo", "hush")
            let result = try samara.run("logs", "quiet")
            #expect(result.status == 125 && result.stderr.contains("none"), "\(result)")
            try samara.succeed("run", "--name", "json", "--log-driver", "json-file", "busybox", "echo", "loud")
            #expect(try samara.run("logs", "json").stdout == "loud\n")
        }

        @Test func aReaderThatGoesEndsNothing() throws {
            try samara.succeed("run", "-d", "--name", "yes", "busybox", "sh", "-c", "yes | head -n 300000; sleep 1000")
            let follower = try samara.start("logs", "-f", "yes")
            eventually("it shows lines") { !follower.stdout.isEmpty }
            follower.killNow()
            #expect(try samara.succeed("ps", "--format", "{{.State}}") == "running")
        }
    }
}
