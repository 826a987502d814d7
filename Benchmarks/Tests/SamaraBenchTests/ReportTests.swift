// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import samara_bench

@Suite struct ReportTests {
    private func sample(_ milliseconds: UInt64) -> Sample {
        Sample(
            wallNanoseconds: milliseconds * 1_000_000, commandCPUNanoseconds: milliseconds * 500_000,
            detachedCPUNanoseconds: 0, settleNanoseconds: 0, minorFaults: 0)
    }

    @Test func ratiosAreTakenRoundByRoundAndAMissingPeerIsNeverAZero() {
        func item(_ id: String, _ peer: String, _ samples: [Sample?]) -> CaseResult {
            CaseResult(id: id, peer: peer, label: id, commands: [], note: nil, samples: samples, failures: [])
        }
        var broken = item("broken", "podman 1", [nil, nil, nil])
        broken.failures = ["status 125: Error: it does not work"]
        let text = StartTable(
            GroupResult(
                id: "run", title: "t",
                cases: [
                    item("floor", "floor", [sample(2), sample(10), sample(4)]),
                    // The second round is left out of the ratio: there is nothing to compare.
                    item("samara", "samara 1", [sample(4), nil, sample(12)]),
                    broken,
                ], absent: [AbsentPeer(peer: "runc", reason: "not installed")], rounds: 3, wantedRounds: 3, seed: 7)
        ).text
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| samara") }
            .map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
        #expect(rows.count == 1)
        #expect(rows.first?[3] == "8.00")
        #expect(rows.first?[8] == "2.50")
        #expect(!text.contains("| broken"))
        #expect(text.contains("**not measured**: podman 1, broken: status 125: Error: it does not work"))
        #expect(text.contains("**not measured**: runc: not installed"))
    }

    @Test func aFailedRoundLeavesAGapAndDoesNotShiftTheOthers() {
        var report = MetricReport(title: "t", wantedRounds: 3, seed: 1)
        report.subjects = [MetricReport.Subject(name: "base"), MetricReport.Subject(name: "other")]
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

    @Test func unknownGroupsAndOptionsAreErrors() throws {
        #expect(throws: BenchError.self) { _ = try Options(["start", "--only", "nothing"]) }
        #expect(throws: BenchError.self) { _ = try Options(["start", "--rounds", "0"]) }
        #expect(throws: BenchError.self) { _ = try Options(["stop"]) }
        #expect(try Options(["forward", "--only", "rr"]).groups == ["rr"])
        #expect(try Options(["start", "--rounds", "3"]).rounds == 3)
    }
}
