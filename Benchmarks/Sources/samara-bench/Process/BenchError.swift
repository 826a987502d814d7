// SPDX-License-Identifier: Apache-2.0

/// Why the benchmark cannot go on: one sentence.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The user pressed Ctrl-C, or somebody ended the benchmark.
struct Interrupted: Error {}
