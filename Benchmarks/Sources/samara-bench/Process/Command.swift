// SPDX-License-Identifier: Apache-2.0

/// A program with its arguments, as the shell would start it but without one.
struct Command: Sendable {
    /// The program's file, absolute.
    var path: String
    /// Without the program's name.
    var arguments: [String]
    /// The whole environment.
    var environment: [String: String]
    /// Longer than this is a failure, and ends it.
    var timeLimitSeconds: Double = 60
    /// Slept within the measured time, before the program is started: an injected slow-down.
    var delayMilliseconds: Double = 0

    /// As one would type it, for reports.
    var text: String {
        ([path.split(separator: "/").last.map(String.init) ?? path] + arguments).joined(separator: " ")
    }
}

/// What one command cost.
struct Sample: Codable, Sendable {
    /// From before the spawn to after the wait: CLOCK_MONOTONIC.
    var wallNanoseconds: UInt64
    /// User and system time of the command and of the children it waited for.
    var commandCPUNanoseconds: UInt64
    /// The same of everything it left behind that has ended: monitors, cleanup processes.
    var detachedCPUNanoseconds: UInt64
    /// From the command's end to the end of the last of those.
    var settleNanoseconds: UInt64
    var minorFaults: Int64

    var cpuNanoseconds: UInt64 { commandCPUNanoseconds + detachedCPUNanoseconds }

    static func + (left: Sample, right: Sample) -> Sample {
        Sample(
            wallNanoseconds: left.wallNanoseconds + right.wallNanoseconds,
            commandCPUNanoseconds: left.commandCPUNanoseconds + right.commandCPUNanoseconds,
            detachedCPUNanoseconds: left.detachedCPUNanoseconds + right.detachedCPUNanoseconds,
            settleNanoseconds: left.settleNanoseconds + right.settleNanoseconds,
            minorFaults: left.minorFaults + right.minorFaults)
    }
}

/// What a command wrote and returned.
struct CommandResult: Sendable {
    var sample: Sample
    /// The exit status; 128 plus the signal's number.
    var status: Int32
    /// Empty unless it was asked for.
    var output: String
    var errors: String
    /// The file that was executed, as the kernel names it; empty if it had ended before it could be asked.
    var executable: String
}
