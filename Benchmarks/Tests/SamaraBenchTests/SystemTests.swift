// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

/// The built samara-bench with the built Samara, as hack/test runs it: SAMARA_EXECUTABLES, SAMARA_IMAGES and
/// SAMARA_BENCH_PROGRAMS say where they are. Without them these tests do not exist.
@Suite(.serialized, .timeLimit(.minutes(2)), .enabled(if: ProcessInfo.processInfo.environment["SAMARA_EXECUTABLES"] != nil))
struct SystemTests {
    private let folder: String

    init() throws {
        folder = try #require(mkdtemp(strdup("/tmp/samara-bench-test.XXXXXX")).map { String(cString: $0) })
    }

    private func start(_ arguments: [String], environment: [String: String] = [:], errors: Any? = nil) throws
        -> (process: Process, output: Pipe)
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("samara-bench")
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = errors ?? FileHandle.nullDevice
        try process.run()
        return (process, output)
    }

    private func run(_ arguments: [String], environment: [String: String] = [:]) throws -> (status: Int32, text: String)
    {
        let (process, output) = try start(arguments, environment: environment)
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    // MARK: What is there

    /// The user's processes, the listening TCP sockets, and the folders of benchmarks.
    private func traces() -> Set<String> {
        let files = FileManager.default
        var found: Set<String> = []
        for name in (try? files.contentsOfDirectory(atPath: "/proc")) ?? [] where Int(name) != nil {
            let owner = (try? files.attributesOfItem(atPath: "/proc/\(name)"))?[.ownerAccountID] as? Int
            guard owner == Int(getuid()) || (owner ?? 0) >= 100_000 else { continue }
            let stat = (try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8)) ?? ""
            if stat.contains(") Z ") || stat.isEmpty { continue }
            found.insert("process \(name) \(stat.prefix(40))")
        }
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in ((try? String(contentsOfFile: table, encoding: .utf8)) ?? "").split(separator: "\n") {
                let fields = line.split(separator: " ")
                if fields.count > 7, fields[3] == "0A", fields[7] == "\(getuid())" { found.insert("listener \(fields[1])") }
            }
        }
        for name in (try? files.contentsOfDirectory(atPath: "/tmp")) ?? [] where name.hasPrefix("samara-bench.") {
            let owner = (try? files.attributesOfItem(atPath: "/tmp/" + name))?[.ownerAccountID] as? Int
            if owner == Int(getuid()) { found.insert("folder \(name)") }
        }
        return found
    }

    // MARK: Tests

    @Test(arguments: [["start", "--only", "run"], ["first-byte"]])
    func anInterruptLeavesNothingBehind(scenario: [String]) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let before = traces()
        let errors = Pipe()
        let (process, output) = try start(
            scenario + ["--peers", "samara", "--rounds", "100000", "--seconds", "100000"], errors: errors)
        defer { if process.isRunning { process.terminate() } }
        var said = ""
        // The first round has begun when its line is there.
        while !said.contains("100000 rounds") {
            let data = errors.fileHandleForReading.availableData
            try #require(!data.isEmpty, "it ended early: \(said)")
            said += String(decoding: data, as: UTF8.self)
        }
        process.interrupt()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        #expect(text.contains("Stopped early: interrupted"))
        // What has been killed may take a moment to be gone from /proc.
        let deadline = Date().addingTimeInterval(5)
        while !traces().subtracting(before).isEmpty, Date() < deadline { usleep(20_000) }
        #expect(traces().subtracting(before).isEmpty)
    }

    @Test func aSlowDownIsFoundAndARepeatIsNot() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let old = folder + "/old.json"
        // Wide, because a machine with other work changes from one second to the next; how small a change is found is
        // ComparisonTests' affair.
        let arguments = [
            "start", "--only", "run", "--peers", "samara", "--rounds", "10", "--threshold", "50", "--json",
        ]
        let first = try run(arguments + [old])
        #expect(first.status == 0, "\(first.text)")
        let again = try run(arguments + [folder + "/again.json", "--compare", old])
        #expect(again.status == 0, "\(again.text)")
        #expect(again.text.contains("0 regressions"))
        let html = folder + "/slow.html"
        // Several times a start: found on a machine with other work too.
        let slow = try run(
            arguments + [folder + "/slow.json", "--compare", old, "--html", html, "--delay", "samara 0=60"])
        #expect(slow.status == 3, "\(slow.text)")
        #expect(slow.text.contains("| REGRESSION"))
        #expect(slow.text.contains("delayed on purpose by 60.0 ms"))
        #expect(try String(contentsOfFile: html, encoding: .utf8).contains("worse"))
    }

    /// By its version, too, which nobody knows when it is not there.
    @Test(arguments: ["bubblewrap", "bubblewrap 0"]) func aMissingPeerIsNamed(asked: String) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try run([
            "start", "--only", "run", "--rounds", "1", "--warm-up", "0", "--peers", "samara 0,\(asked)",
        ])
        #expect(result.status == 0, "\(result.text)")
        let isInstalled = Tools([:]).installed("bwrap") != nil
        #expect(result.text.contains("| bubblewrap 0.") == isInstalled, "\(result.text)")
        #expect(result.text.contains("**not measured**: bubblewrap: not installed") == !isInstalled, "\(result.text)")
    }

    @Test func aBrokenPeerIsNamedWithItsMessageAndHasNoFigure() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (name, script) in [
            // One that does not even start, and one that answers but cannot load an image.
            ("crun", "#!/bin/sh\necho 'crun: wrong system' >&2\nexit 1\n"),
            (
                "podman",
                "#!/bin/sh\ncase \"$*\" in *--version*) echo 'podman version 9.9.9';; *) echo 'Error: it is broken' >&2; exit 125;; esac\n"
            ),
        ] {
            try FileManager.default.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
            try script.write(toFile: folder + "/bin/" + name, atomically: false, encoding: .utf8)
            chmod(folder + "/bin/" + name, 0o755)
        }
        try FileManager.default.createDirectory(atPath: folder + "/etc", withIntermediateDirectories: true)
        try "[containers]\n".write(toFile: folder + "/etc/containers.conf", atomically: false, encoding: .utf8)
        let json = folder + "/report.json"
        let result = try run(
            [
                "start", "--only", "run", "--rounds", "1", "--warm-up", "0", "--json", json, "--peers",
                "samara 0,podman 9,\(folder)",
            ], environment: ["SAMARA_PEERS": folder])
        #expect(result.status == 0, "\(result.text)")
        #expect(result.text.contains("**not measured**: podman 9.9.9: "))
        #expect(result.text.contains("it is broken"))
        #expect(result.text.contains("**not measured**: \(folder)/bin/crun: "))
        let report = try Report.read(json)
        #expect(!report.metrics.flatMap(\.subjects).contains { $0.name.hasPrefix("podman") || $0.name.contains("crun") })
    }
}
