// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Why the OCI runtime could not do what it was asked: one sentence in the words that its callers match.
package struct RuntimeError: Error, Sendable, Equatable {
    package var message: String

    package init(_ message: String) { self.message = message }

    /// "OPERATION `SUBJECT`: kernel's text"
    package init(_ operation: String, _ subject: String, _ error: Errno) {
        message = "\(operation) `\(subject)`: \(error.text)"
    }
}

/// Runs `body`, whose `Errno` becomes a sentence that names what was done to what.
package func describing<Result: ~Copyable>(
    _ operation: String, _ subject: String, _ body: () throws(Errno) -> Result
) throws(RuntimeError) -> Result {
    do { return try body() } catch { throw RuntimeError(operation, subject, error) }
}
