// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

@Suite struct ReportTests {
    @Test func ratiosAreTakenRoundByRoundAndAMissingPeerIsNeverAZero() {
        var report = MetricReport(id: "start/run", title: "run: t", wantedRounds: 3, seed: 7)
        report.hasSubjectRows = true
        report.rounds = 3
        report.subjects = ["floor", "samara 1", "podman 1"].map { MetricReport.Subject(name: $0, label: "run") }
        for (round, value) in [2.0, 10, 4].enumerated() {
            report.add(value, Interleaving.wall, subject: 0, round: round)
        }
        // The second round is left out of the ratio: there is nothing to compare.
        report.add(4, Interleaving.wall, subject: 1, round: 0)
        report.add(12, Interleaving.wall, subject: 1, round: 2)
        report.subjects[2].failures = ["status 125: Error: it does not work"]
        report.absent = [AbsentPeer(peer: "runc", reason: "not installed")]
        let text = MetricTable(report).text
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| run  | samara") }
            .map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
        #expect(rows.count == 1)
        #expect(rows.first?[3] == "8")
        // Two rounds have no 90th percentile.
        #expect(rows.first?[4] == "-")
        #expect(rows.first?[8] == "2.50")
        #expect(!text.contains("| podman"))
        #expect(text.contains("**not measured**: podman 1, run: status 125: Error: it does not work"))
        #expect(text.contains("**not measured**: runc: not installed"))
    }

    @Test func aFailedRoundLeavesAGapAndDoesNotShiftTheOthers() {
        var report = MetricReport(title: "t", wantedRounds: 3, seed: 1)
        report.subjects = [MetricReport.Subject(name: "loopback"), MetricReport.Subject(name: "other")]
        let metric = MetricReport.Metric(id: "rate", title: "rate")
        for round in 0..<3 { report.add(Double(round + 1), metric, subject: 0, round: round) }
        report.add(10, metric, subject: 1, round: 0)
        report.add(30, metric, subject: 1, round: 2)
        #expect(report.subjects[1].values["rate"] == [10, nil, 30])
        #expect(MetricTable(report).text.contains("(10.00x)"))
    }

    @Test func iperfWithoutTrafficIsAFailure() {
        #expect(throws: BenchError.self) {
            _ = try ForwardLoad.all[0].figures(#"{"error": "unable to connect", "end": {}}"#)
        }
        #expect(throws: BenchError.self) { _ = try ForwardLoad.all[4].figures(#"{"count": 0}"#) }
    }

    @Test func aReportSurvivesItsFile() throws {
        let folder = try #require(mkdtemp(strdup("/tmp/samara-bench-test.XXXXXX")).map { String(cString: $0) })
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var section = MetricReport(id: "a/b", title: "t", wantedRounds: 2, seed: .max)
        section.subjects = [MetricReport.Subject(name: "samara 1", label: "l", commands: ["true"])]
        let curve = Metric.Point(curve: "run", axis: "containers", x: 10)
        section.add(1.5, Metric(id: "CPU_ms", title: "t", unit: "ms", better: .neither, at: curve), subject: 0, round: 1)
        var report = Report(command: "c", scenario: "a", facts: .gather(workspace: folder))
        report.metrics = [section]
        try report.write(to: folder + "/report.json")
        let read = try Report.read(folder + "/report.json")
        #expect(read.metrics[0].metrics == section.metrics)
        #expect(read.metrics[0].subjects[0].values == ["CPU_ms": [nil, 1.5]])
        #expect(read.metrics[0].seed == .max)
        try #"{"schema": 1, "groups": []}"#.write(toFile: folder + "/old.json", atomically: true, encoding: .utf8)
        #expect(throws: BenchError.self) { _ = try Report.read(folder + "/old.json") }
        #expect(throws: BenchError.self) { _ = try Report.read(folder + "/none.json") }
    }

    @Test func unitsAreTakenFromTheEndOfATitle() {
        #expect(Metric(id: "a", title: "iperf3 1 stream Gbit/s").better == .higher)
        #expect(Metric(id: "a", title: "1 stream forwarder cpu s/GB").better == .lower)
        #expect(Metric(id: "a", title: "connections /s").heading == "connections per second")
        #expect(Metric(id: "a", title: "errors").unit == "")
    }

    @Test func unknownGroupsAndOptionsAreErrors() throws {
        #expect(throws: BenchError.self) { _ = try Options(["start", "--only", "nothing"]) }
        #expect(throws: BenchError.self) { _ = try Options(["start", "--rounds", "0"]) }
        #expect(throws: BenchError.self) { _ = try Options(["stop"]) }
        #expect(throws: BenchError.self) { _ = try Options([]) }
        #expect(throws: BenchError.self) { _ = try Options(["all", "--only", "nothing"]) }
        #expect(try Options(["all"]).scenarios == Scenarios.all.map { $0.name })
        #expect(try Options(["forward", "--only", "rr"]).groups == ["rr"])
        #expect(try Options(["start", "--rounds", "3"]).rounds == 3)
    }
}
