// SPDX-License-Identifier: Apache-2.0
import CLinux
import Foundation
import LinuxSystem
import SystemPackage
import Testing

@testable import Monitor

@Suite(.timeLimit(.minutes(2))) struct LogTests {
    private func write(_ log: LogWriter, _ stream: OutputStream, _ text: String) {
        Array(text.utf8).withUnsafeBytes { log.write(stream, $0) }
    }

    @Test func timestampsAreRFC3339() throws {
        let cases: [(Int64, Int32, Int32, String)] = [
            (0, 0, 0, "1970-01-01T00:00:00.000000000+00:00"),
            (1_795_378_097, 123_456_789, 0, "2026-11-22T20:08:17.123456789+00:00"),
            (951_782_399, 1, 7200, "2000-02-29T01:59:59.000000001+02:00"),
            (-1, 999_999_999, -12600, "1969-12-31T20:29:59.999999999-03:30"),
        ]
        for (seconds, nanoseconds, offset, text) in cases {
            var bytes: [UInt8] = []
            let time = LogTimestamp(Timestamp(seconds: seconds, nanoseconds: nanoseconds), utcOffset: offset)
            time.append(to: &bytes, utc: .numeric)
            #expect(String(decoding: bytes, as: UTF8.self) == text)
            let parsed = try #require(LogTimestamp(bytes))
            #expect(parsed.moment == time.moment)
            #expect(parsed.utcOffset == offset)
        }
        #expect(LogTimestamp(Array("2026-11-22T20:08:17.5Z".utf8))?.moment.nanoseconds == 500_000_000)
        for wrong in ["", "2026-11-22", "2026-13-22T20:08:17Z", "2026-11-22T20:08:17", "2026-11-22T20:08:17.Z", "x"] {
            #expect(LogTimestamp(Array(wrong.utf8)) == nil)
        }
    }

    @Test func theK8sFormatIsPodmans() throws {
        let scratch = try Scratch()
        let log = LogWriter(path: scratch.file("log"), format: .k8sFile)
        write(log, .stdout, "one\n\ntwo")
        write(log, .stderr, "oops\n")
        let lines = try text(scratch.file("log")).split(separator: "\n", omittingEmptySubsequences: false)
        let time = #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d/#
        let rests = try lines.dropLast().map { line in
            let match = try #require(line.prefixMatch(of: time))
            return String(line[match.range.upperBound...])
        }
        #expect(rests == [" stdout F one", " stdout F ", " stdout P two", " stderr F oops"])
        #expect(lines.last == "")
    }

    @Test func theJSONFormatIsDockers() throws {
        let scratch = try Scratch()
        let log = LogWriter(path: scratch.file("log"), format: .jsonFile)
        write(log, .stdout, "a \"b\"\t\\\u{1}é\n")
        let line = try text(scratch.file("log"))
        let time = #/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"/#
        #expect(
            line.replacing(time, with: "T") == "{\"log\":\"a \\\"b\\\"\\t\\\\\\u0001é\\n\",\"stream\":\"stdout\",T}\n")
    }

    @Test(arguments: [LogFormat.k8sFile, .jsonFile]) func randomChunksComeBack(_ format: LogFormat) throws {
        var generator = SeededGenerator()
        let scratch = try Scratch()
        let log = LogWriter(path: scratch.file("log"), format: format)
        let alphabet = Array("ab\n é🌍\u{0}\"\\\r".unicodeScalars).map { String($0) }
        var expected: [OutputStream: [UInt8]] = [.stdout: [], .stderr: []]
        var rest: [OutputStream: [UInt8]] = [:]
        for stream in [OutputStream.stdout, .stderr] {
            let text = (0..<20_000).map { _ in alphabet.randomElement(using: &generator) ?? "" }.joined()
            expected[stream] = Array(text.utf8)
            rest[stream] = Array(text.utf8)
        }
        // Chunks end anywhere, in the middle of characters too.
        while let stream = [OutputStream.stdout, .stderr].shuffled(using: &generator).first(where: {
            rest[$0]?.isEmpty == false
        }) {
            let size = Int.random(in: 1...300, using: &generator)
            let chunk = Array((rest[stream] ?? []).prefix(size))
            rest[stream]?.removeFirst(chunk.count)
            chunk.withUnsafeBytes { log.write(stream, $0) }
        }
        log.finishLines()
        let printed = try printLog(scratch.file("log"))
        #expect(Array(printed.out.utf8) == expected[.stdout])
        #expect(Array(printed.err.utf8) == expected[.stderr])
    }

    @Test func invalidUTF8BecomesReplacementCharactersInJSON() throws {
        let scratch = try Scratch()
        let log = LogWriter(path: scratch.file("log"), format: .jsonFile)
        for byte: UInt8 in [0xFF, 0xC0, 0xE2, 0x28, 0x0A, 0xF0, 0x9F] {
            [byte].withUnsafeBytes { log.write(.stdout, $0) }
        }
        log.finishLines()
        #expect(try printLog(scratch.file("log")).out == "\u{FFFD}\u{FFFD}\u{FFFD}(\n\u{FFFD}\u{FFFD}")
    }

    /// The lines of a log as a reader has to see them: (stream, text, ends with a newline), in order of beginning.
    private func lines(_ chunks: [(OutputStream, String)]) -> [(OutputStream, String, ended: Int)] {
        var result: [(OutputStream, String, ended: Int)] = []
        var open: [OutputStream: Int] = [:]
        for (index, chunk) in chunks.enumerated() {
            for piece in chunk.1.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                let isLast = piece.offset == chunk.1.filter { $0 == "\n" }.count
                if isLast, piece.element.isEmpty { continue }
                let end = isLast ? "" : "\n"
                if let at = open[chunk.0] {
                    result[at].1 += piece.element + end
                    result[at].ended = index * 1000 + piece.offset
                } else {
                    result.append((chunk.0, piece.element + end, index * 1000 + piece.offset))
                }
                open[chunk.0] = isLast ? (open[chunk.0] ?? result.count - 1) : nil
            }
        }
        return result
    }

    @Test(arguments: [LogFormat.k8sFile, .jsonFile]) func tailIsTheLastLines(_ format: LogFormat) throws {
        var generator = SeededGenerator()
        for _ in 0..<40 {
            let scratch = try Scratch()
            let log = LogWriter(path: scratch.file("log"), format: format)
            var chunks: [(OutputStream, String)] = []
            for _ in 0..<Int.random(in: 0...30, using: &generator) {
                let stream: OutputStream = .random(in: 0...2, using: &generator) == 0 ? .stderr : .stdout
                let pieces = ["a", "bb\n", "\n", "c\nd", "e\nf\n", String(repeating: "x", count: 70_000)]
                chunks.append((stream, pieces.randomElement(using: &generator) ?? ""))
            }
            for (stream, text) in chunks { write(log, stream, text) }
            let count = Int.random(in: 0...12, using: &generator)
            // The last lines by where they end, which is how a reader from the end meets them.
            let last = Set(
                lines(chunks).enumerated().sorted { $0.element.ended < $1.element.ended }.suffix(count).map(\.offset))
            let wanted = lines(chunks).enumerated().filter { last.contains($0.offset) }.map(\.element)
            var query = LogQuery()
            query.tail = count
            let printed = try printLog(scratch.file("log"), query)
            #expect(printed.out == wanted.filter { $0.0 == .stdout }.map(\.1).joined())
            #expect(printed.err == wanted.filter { $0.0 == .stderr }.map(\.1).joined())
        }
    }

    @Test func theSizeLimitHoldsAndKeepsTheEnd() throws {
        let scratch = try Scratch()
        let path = scratch.file("log")
        let log = LogWriter(path: path, format: .k8sFile, maxSize: 20_000)
        for number in 0..<5000 { write(log, .stdout, "line \(number)\n") }
        let size = try File.status(path).size + File.status(LogWriter.olderPath(path)).size
        #expect(size <= 20_000)
        #expect(size >= 10_000)
        let printed = try printLog(path).out.split(separator: "\n")
        #expect(printed.last == "line 4999")
        #expect(printed.count > 150)
        #expect(printed.elementsEqual((5000 - printed.count..<5000).map { "line \($0)" }, by: ==))
        var query = LogQuery()
        query.tail = printed.count - 1
        #expect(try printLog(path, query).out.split(separator: "\n").elementsEqual(printed.dropFirst()))
    }

    @Test func aFullDiskIsSaidWhenThereIsRoomAgain() throws {
        let scratch = try Scratch()
        let probe = try Probe(["full", "log=\(scratch.file("log"))"], descriptors: [0, 1, 2])
        #expect(try probe.wait() == 0)
        let printed = try printLog(scratch.file("log"))
        let lines = printed.out.split(separator: "\n")
        let kept = lines.count - 1
        #expect(kept > 10 && kept < 99)
        #expect(lines.elementsEqual((0..<kept).map { "line \($0) before" } + ["after"], by: ==))
        let lost = (kept..<100).map { "line \($0) before\n".utf8.count }.reduce(0, +)
        #expect(printed.err == "samara: \(lost) bytes of output could not be written to the log: File too large\n")
    }

    @Test func aTornRecordIsCutOffWhenTheLogIsOpenedAgain() throws {
        let scratch = try Scratch()
        let path = scratch.file("log")
        write(LogWriter(path: path, format: .k8sFile), .stdout, "whole\n")
        let whole = try File.read(path)
        try File.write(path, whole + Array("2026-11-22T20:08:17.12".utf8))
        write(LogWriter(path: path, format: .k8sFile), .stdout, "next\n")
        let printed = try printLog(path)
        #expect(printed.out == "whole\nnext\n")
        #expect(printed.err == "")
    }

    @Test func damagedLinesAreSaid() throws {
        let scratch = try Scratch()
        try File.write(
            scratch.file("log"),
            Array("2026-11-22T20:08:17.1Z stdout F good\nrubbish\n2026-11-22T20:08:17.1Z stdin F x\n".utf8))
        let printed = try printLog(scratch.file("log"))
        #expect(printed.out == "good\n")
        #expect(printed.err.hasSuffix("warning: 2 damaged lines of \(scratch.file("log")) were skipped\n"))
    }

    private func source(_ scratch: Scratch, _ name: String, _ content: String) throws -> LogSource {
        try File.write(scratch.file(name), Array(content.utf8))
        return LogSource(path: scratch.file(name), id: "\(name)0123456789abcdef", name: name) { false }
    }

    @Test func sinceAndUntilGoByTheBeginningOfLines() throws {
        let scratch = try Scratch()
        let one = try source(
            scratch, "a",
            """
            2026-01-01T00:00:01.0Z stdout F 1
            2026-01-01T00:00:02.0Z stdout P 2
            2026-01-01T00:00:04.0Z stderr F 4
            2026-01-01T00:00:05.0Z stdout F -5
            2026-01-01T01:00:06.0+01:00 stdout F 6

            """)
        let base: Int64 = 1_767_225_600
        var query = LogQuery()
        query.since = Timestamp(seconds: base + 1)
        query.until = Timestamp(seconds: base + 6)
        #expect(try printLogs([one], query) == ("2-5\n", "4\n"))
        query.since = Timestamp(seconds: base + 2)
        query.until = nil
        #expect(try printLogs([one], query) == ("6\n", "4\n"))
    }

    @Test func severalLogsAreMergedAndMarked() throws {
        let scratch = try Scratch()
        let sources = [
            try source(scratch, "a", "2026-01-01T00:00:01.0Z stdout F a1\n2026-01-01T00:00:03.0Z stdout P a3\n"),
            try source(
                scratch, "b", "2026-01-01T00:00:02.5+00:00 stdout F b2\n2026-01-01T00:00:04.0+01:00 stdout F b4\n"),
        ]
        var query = LogQuery()
        #expect(
            try printLogs(sources, query).out == "a0123456789a a1\nb0123456789a b2\nb0123456789a b4\na0123456789a a3")
        query.names = true
        query.timestamps = true
        #expect(
            try printLogs(sources, query).out == """
                a 2026-01-01T00:00:01.000000000Z a1
                b 2026-01-01T00:00:02.500000000Z b2
                b 2026-01-01T00:00:04.000000000+01:00 b4
                a 2026-01-01T00:00:03.000000000Z a3
                """)
        query.timestamps = false
        query.color = true
        query.tail = 1
        #expect(try printLogs(sources, query).out == "\u{1B}[31mb b4\u{1B}[0m\n\u{1B}[37ma a3\u{1B}[0m")
    }

    @Test func aMissingLogIsEmpty() throws {
        let scratch = try Scratch()
        #expect(try printLog(scratch.file("none")) == ("", ""))
        var query = LogQuery()
        query.tail = 3
        #expect(try printLog(scratch.file("none"), query) == ("", ""))
    }

    @Test func followingSeesEverythingAcrossReplacements() throws {
        let scratch = try Scratch()
        let path = scratch.file("log")
        let pipe = try PipePair.make()
        // SAFETY: set once by this thread before the descriptor that wakes the reader is written.
        nonisolated(unsafe) var isRunning = true
        let wake = try PipePair.make()
        let ended = DispatchSemaphore(value: 0)
        let wakeDescriptor = wake.readEnd.raw
        let output = try pipe.writeEnd.duplicate().release()
        let reader = Thread {
            let source = LogSource(path: path, id: "id", name: "n", wakeDescriptor: wakeDescriptor) { isRunning }
            var query = LogQuery()
            query.follow = true
            try? LogReader.run([source], query, output: output)
            close(output)
            ended.signal()
        }
        reader.start()
        let input = pipe.keepingReadEnd()
        // The log comes into being after the reader has begun.
        let log = LogWriter(path: path, format: .k8sFile, maxSize: 4000)
        var seen: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        for number in 0..<500 {
            write(log, .stdout, "line \(number)\n")
            // Each line is awaited, so that no more than one replacement happens between two looks of the reader.
            let end = Array("line \(number)\n".utf8)
            while seen.suffix(end.count) != end[...] {
                let count = try retrying { read(input.raw, &buffer, buffer.count) }
                try #require(count > 0)
                seen += buffer[..<count]
            }
        }
        write(log, .stdout, "last")
        isRunning = false
        try File.writeAll(wake.writeEnd.raw, [0])
        ended.wait()
        seen += try File.readAll(input)
        #expect(String(decoding: seen, as: UTF8.self) == (0..<500).map { "line \($0)\n" }.joined() + "last")
    }
}
