// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// What happens now and how long it takes yet, on standard error: a line that is rewritten on a terminal, one per part
/// elsewhere.
final class Progress {
    private let isTerminal = isatty(2) == 1
    /// What the scenarios after this one may take at most.
    var secondsAfterwards = 0.0

    func say(_ text: String) { tell(text + "\n") }

    /// Whoever reads may have gone away: that must not keep the benchmark from cleaning up.
    private func tell(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(2, bytes, bytes.count)
    }

    func round(_ group: String, _ round: Int, _ rounds: Int, elapsed: Double, limit: Double) {
        let afterwards = secondsAfterwards > 0 ? ", then at most \(Int(secondsAfterwards)) s of other scenarios" : ""
        if !isTerminal {
            if round == 0, elapsed < 0.001 { say("\(group): \(rounds) rounds, at most \(Int(limit)) s\(afterwards)") }
            return
        }
        var text = "\r\u{1b}[K\(group): round \(round + 1) of \(rounds)"
        if round > 0 {
            let left = min(elapsed / Double(round) * Double(rounds - round), limit - elapsed)
            text += String(format: ", about %.0f s left", max(0, left))
        }
        tell(text + afterwards)
    }

    func end() {
        if isTerminal { tell("\r\u{1b}[K") }
    }
}
