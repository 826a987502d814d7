// SPDX-License-Identifier: Apache-2.0
import CBench

/// Measures subjects in turn, round by round, so that whatever changes on the machine changes for all.
///
/// The order within a round is shuffled: with a fixed one each subject would always pay for the same predecessor's
/// asynchronous teardown (a network namespace is destroyed after its process has been waited for).
struct Rounds {
    let count: Int
    let warmUp: Int
    /// No round begins later than this after the first.
    let secondsLimit: Double
    let seed: UInt64
    let progress: Progress

    /// A subject that fails this often in a row is taken out.
    private static let failureLimit = 3

    init(_ bench: Bench) {
        count = bench.options.rounds
        warmUp = bench.options.warmUp
        secondsLimit = bench.options.secondsPerGroup
        seed = bench.options.seed
        progress = bench.progress
    }

    init(count: Int, warmUp: Int, secondsLimit: Double, seed: UInt64, progress: Progress) {
        self.count = count
        self.warmUp = warmUp
        self.secondsLimit = secondsLimit
        self.seed = seed
        self.progress = progress
    }

    /// Runs `body` for each of the report's subjects in each round and adds the figures that it returns.
    ///
    /// A `BenchError` from `body` is the subject's failure: its round stays empty. Other errors end everything; the
    /// report keeps what was found.
    ///
    /// - Parameters:
    ///   - what: for the progress line.
    ///   - body: gets a subject's index in `report.subjects`.
    func measure(
        _ what: String, _ report: inout MetricReport, _ body: (_ subject: Int) throws -> [(Metric, Double)]
    ) throws {
        defer { progress.end() }
        var generator = SeededGenerator(seed: seed)
        var active = Array(report.subjects.indices)
        var failuresInARow = [Int](repeating: 0, count: report.subjects.count)
        var began = cbench_now_ns()
        for round in -warmUp..<count {
            if round == 0 { began = cbench_now_ns() }
            let elapsed = Double(cbench_now_ns() - began) / 1e9
            if round > 0, elapsed > secondsLimit { break }
            progress.round(what, max(0, round), count, elapsed: elapsed, limit: secondsLimit)
            for index in active.shuffled(using: &generator) {
                do {
                    let figures = try body(index)
                    failuresInARow[index] = 0
                    if round < 0 { continue }
                    for (metric, value) in figures { report.add(value, metric, subject: index, round: round) }
                } catch let error as BenchError {
                    report.subjects[index].failures.append(error.description)
                    failuresInARow[index] += 1
                }
            }
            active.removeAll { failuresInARow[$0] >= (round < 0 ? 1 : Self.failureLimit) }
            if round >= 0 { report.rounds = max(report.rounds, round + 1) }
            if active.isEmpty { break }
        }
    }
}
