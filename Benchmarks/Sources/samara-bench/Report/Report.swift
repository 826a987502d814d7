// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Everything that was found, with every raw number; the JSON file is this, encoded.
struct Report: Codable, Sendable {
    /// 1 had the groups of `start` apart, in nanoseconds.
    static let currentSchema = 2

    var schema = Report.currentSchema
    /// As it was typed.
    var command: String
    let scenario: String
    var facts: MachineFacts
    var metrics: [MetricReport] = []
    /// Why it ended early; nil if it did not.
    var stopped: String?
    /// From the beginning to the end, with preparing and cleaning up.
    var seconds = 0.0

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do { try encoder.encode(self).write(to: URL(fileURLWithPath: path)) } catch {
            throw BenchError("cannot write \(path): \(error.localizedDescription)")
        }
    }

    static func read(_ path: String) throws -> Report {
        struct Version: Decodable { let schema: Int }
        guard let data = FileManager.default.contents(atPath: path) else { throw BenchError("cannot read \(path)") }
        guard let version = try? JSONDecoder().decode(Version.self, from: data) else {
            throw BenchError("\(path) is not a report of samara-bench")
        }
        guard version.schema == currentSchema else {
            throw BenchError(
                "\(path) has schema \(version.schema), not \(currentSchema): measure again with this version")
        }
        do { return try JSONDecoder().decode(Report.self, from: data) } catch {
            throw BenchError("\(path) is not a whole report: \(error)")
        }
    }

    /// Tables in Markdown that are also readable as they are.
    var text: String {
        var parts = ["# samara-bench \(scenario)", "`\(command)`", facts.text]
        for metric in metrics { parts.append(MetricTable(metric).text) }
        if let stopped { parts.append("Stopped early: \(stopped)") }
        return parts.joined(separator: "\n\n") + "\n"
    }
}
