// SPDX-License-Identifier: Apache-2.0
import Glibc

// Micro-benchmarks of the hot paths, as a program: MicroBenchmarkTests compares its allocations with thresholds, and
// `samara-bench micro` its times with earlier ones.
//
//   MicroBenchmarkProbe [--milliseconds N] [--samples N] [ID...]

var measuring = Measuring()
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    switch argument {
    case "--milliseconds": measuring.sampleMilliseconds = arguments.popFirst().flatMap(Double.init) ?? 4
    case "--samples": measuring.samples = arguments.popFirst().flatMap { Int($0) } ?? 9
    default: measuring.wanted.insert(argument)
    }
}
do {
    measurePackets(&measuring)
    try measureLoop(&measuring)
    try measureDocuments(&measuring)
} catch {
    let text = Array("MicroBenchmarkProbe: \(error)\n".utf8)
    _ = write(2, text, text.count)
    exit(1)
}
print(measuring.json)
