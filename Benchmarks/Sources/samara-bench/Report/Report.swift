// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Everything that was found, with every raw number; the JSON file is this, encoded.
struct Report: Codable, Sendable {
    var schema = 1
    let scenario: String
    var facts: MachineFacts
    /// What `start` found.
    var groups: [GroupResult] = []
    /// What the other scenarios found.
    var metrics: [MetricReport] = []
    /// Why it ended early; nil if it did not.
    var stopped: String?

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        do { try encoder.encode(self).write(to: URL(fileURLWithPath: path)) } catch {
            throw BenchError("cannot write \(path): \(error.localizedDescription)")
        }
    }

    /// Tables in Markdown that are also readable as they are.
    var text: String {
        var parts = ["# samara-bench \(scenario)", facts.text]
        for group in groups { parts.append(StartTable(group).text) }
        for metric in metrics { parts.append(MetricTable(metric).text) }
        if let stopped { parts.append("Stopped early: \(stopped)") }
        return parts.joined(separator: "\n\n") + "\n"
    }
}
