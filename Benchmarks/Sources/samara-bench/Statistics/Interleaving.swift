// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// One thing to measure: commands whose times are added up, by one peer.
struct Case {
    /// Unique in its group.
    let id: String
    /// Which tool, with its version.
    let peer: String
    let label: String
    let steps: [Command]
    /// What the reader must know to compare.
    var note: String?
}

/// Cases that do the same, and are compared.
struct Group {
    let id: String
    let title: String
    var cases: [Case]
    /// Peers that cannot take part, with the reason.
    var absent: [AbsentPeer] = []
}

struct AbsentPeer: Codable, Sendable {
    let peer: String
    let reason: String
}

struct CaseResult: Codable, Sendable {
    let id: String
    let peer: String
    let label: String
    let commands: [String]
    let note: String?
    /// By round; nil where it failed.
    var samples: [Sample?]
    var failures: [String]
    /// Of one run under strace, with all that it left behind; nil if that was not asked for or did not work.
    var systemCalls: Int?

    var succeeded: [Sample] { samples.compactMap { $0 } }
}

struct GroupResult: Codable, Sendable {
    let id: String
    let title: String
    var cases: [CaseResult]
    var absent: [AbsentPeer]
    /// Rounds that were run, of those that were asked for.
    var rounds: Int
    var wantedRounds: Int
    /// The order of the cases is shuffled in every round, from this seed.
    let seed: UInt64
}

/// Runs the cases of a group in turn, round by round, so that whatever changes on the machine changes for all.
///
/// The order within a round is shuffled: with a fixed one each case would always pay for the same predecessor's
/// asynchronous teardown (a network namespace is destroyed after its process has been waited for).
struct Interleaving {
    let runner: ProcessRunner
    let rounds: Int
    let warmUp: Int
    /// No round begins later than this after the first.
    let secondsPerGroup: Double
    let seed: UInt64
    let progress: Progress
    /// strace's file, if system calls are to be counted, and the folder for its output.
    var tracer: (path: String, directory: String)?

    /// A case that fails this often in a row is taken out.
    private static let failureLimit = 3

    func measure(_ group: Group) throws -> GroupResult {
        var result = GroupResult(
            id: group.id, title: group.title,
            cases: group.cases.map {
                CaseResult(
                    id: $0.id, peer: $0.peer, label: $0.label, commands: $0.steps.map(\.text), note: $0.note,
                    samples: [],
                    failures: [])
            },
            absent: group.absent, rounds: 0, wantedRounds: rounds, seed: seed)
        var generator = SeededGenerator(seed: seed)
        var active = Array(group.cases.indices)
        var failuresInARow = [Int](repeating: 0, count: group.cases.count)
        var began = cbench_now_ns()
        for round in -warmUp..<rounds {
            if round == 0 { began = cbench_now_ns() }
            let elapsed = Double(cbench_now_ns() - began) / 1e9
            if round > 0, elapsed > secondsPerGroup { break }
            progress.round(group.id, max(0, round), rounds, elapsed: elapsed, limit: secondsPerGroup)
            for index in active.shuffled(using: &generator) {
                let outcome = try run(group.cases[index])
                if case .failure(let error) = outcome {
                    result.cases[index].failures.append(error.description)
                    failuresInARow[index] += 1
                } else {
                    failuresInARow[index] = 0
                }
                if round >= 0 { result.cases[index].samples.append(try? outcome.get()) }
            }
            for index in group.cases.indices where !active.contains(index) && round >= 0 {
                result.cases[index].samples.append(nil)
            }
            active.removeAll { failuresInARow[$0] >= (round < 0 ? 1 : Self.failureLimit) }
            if round >= 0 { result.rounds = round + 1 }
            if active.isEmpty { break }
        }
        for index in active { result.cases[index].systemCalls = try countSystemCalls(group.cases[index]) }
        progress.end()
        return result
    }

    /// After the rounds, because tracing stretches a run many times over.
    private func countSystemCalls(_ item: Case) throws -> Int? {
        guard let tracer else { return nil }
        var total = 0
        for step in item.steps {
            let file = tracer.directory + "/strace"
            try? FileManager.default.removeItem(atPath: file)
            let traced = Command(
                path: tracer.path, arguments: ["-f", "-c", "-o", file, "--", step.path] + step.arguments,
                environment: step.environment)
            do {
                guard try runner.run(traced).status == 0 else { return nil }
            } catch is BenchError { return nil }
            // "100.00    0.002115          15       135         2 total"
            let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
            let fields = text.split(separator: "\n").last { $0.hasSuffix(" total") }?.split(separator: " ") ?? []
            guard fields.count >= 5, let calls = Int(fields[3]) else { return nil }
            total += calls
        }
        return total
    }

    private func run(_ item: Case) throws -> Result<Sample, BenchError> {
        var total: Sample?
        for step in item.steps {
            do {
                let outcome = try runner.run(step)
                guard outcome.status == 0 else {
                    return .failure(BenchError("`\(step.text)`: \(ProcessRunner.reason(outcome))"))
                }
                total = total.map { $0 + outcome.sample } ?? outcome.sample
            } catch let error as BenchError {
                return .failure(BenchError("`\(step.text)`: \(error)"))
            }
        }
        guard let total else { return .failure(BenchError("nothing to run")) }
        return .success(total)
    }
}

/// What happens now and how long it takes yet, on standard error when that is a terminal.
struct Progress {
    private let isTerminal = isatty(2) == 1

    func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    func round(_ group: String, _ round: Int, _ rounds: Int, elapsed: Double, limit: Double) {
        if !isTerminal {
            if round == 0, elapsed < 0.001 { say("\(group): \(rounds) rounds, at most \(Int(limit)) s") }
            return
        }
        var text = "\r\u{1b}[K\(group): round \(round + 1) of \(rounds)"
        if round > 0 {
            let left = min(elapsed / Double(round) * Double(rounds - round), limit - elapsed)
            text += String(format: ", about %.0f s left", max(0, left))
        }
        FileHandle.standardError.write(Data(text.utf8))
    }

    func end() {
        if isTerminal { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    }
}
