// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation
import Glibc

/// Starts commands, measures them and leaves none behind.
///
/// The benchmark is a subreaper: whatever a command leaves detached becomes a child here when its parent has ended, so
/// that its CPU time can be counted and, at the end, everything that still runs can be ended. Single-threaded.
final class ProcessRunner {
    private let signals: Int32
    private let null: Int32
    private let outputFile: Int32
    private let errorFile: Int32
    /// Children that are meant to stay: holders, keepers, monitors of running containers.
    private var residents: Set<Int32> = []
    private var residentOutputs: [Int32] = []
    /// During the cleanup an interrupt changes nothing.
    var ignoresInterrupts = false
    /// One that came while a process was being ended is acted on afterwards.
    private var wasInterrupted = false

    /// - Parameter directory: where two files for the output of commands are made.
    init(directory: String) throws {
        let error = cbench_become_subreaper()
        guard error == 0 else { throw BenchError("cannot become a subreaper: \(String(cString: strerror(error)))") }
        signals = cbench_signal_descriptor()
        null = open("/dev/null", O_RDWR | O_CLOEXEC)
        outputFile = open(directory + "/output", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        errorFile = open(directory + "/errors", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard signals >= 0, null >= 0, outputFile >= 0, errorFile >= 0 else {
            throw BenchError("cannot write in \(directory): \(String(cString: strerror(errno)))")
        }
    }

    // MARK: Running

    /// Runs a command to its end and then until everything that it left behind has ended or is known to stay.
    ///
    /// - Parameter capturesOutput: false sends the output to /dev/null, as in every timed run.
    func run(_ command: Command, capturesOutput: Bool = false) throws -> CommandResult {
        if capturesOutput { empty(outputFile) }
        empty(errorFile)
        let streams = [null, capturesOutput ? outputFile : null, errorFile]
        let began = cbench_now_ns()
        if command.delayMilliseconds > 0 { usleep(UInt32(command.delayMilliseconds * 1000)) }
        let pid = try spawn(command, streams)
        let executable =
            capturesOutput ? (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")) ?? "" : ""
        let usage: cbench_usage
        do { usage = try wait(pid, until: began + UInt64(command.timeLimitSeconds * 1e9)) } catch {
            end(pid)
            throw error
        }
        let ended = cbench_now_ns()
        let detached = try settle()
        let settled = cbench_now_ns()
        let sample = Sample(
            wallNanoseconds: ended - began, commandCPUNanoseconds: usage.user_ns + usage.system_ns,
            detachedCPUNanoseconds: detached, settleNanoseconds: detached == 0 ? 0 : settled - ended,
            minorFaults: usage.minor_faults)
        return CommandResult(
            sample: sample, status: usage.status, output: capturesOutput ? contents(outputFile) : "",
            errors: usage.status == 0 && !capturesOutput ? "" : contents(errorFile), executable: executable)
    }

    /// Runs a command that must succeed, and returns what it wrote, without surrounding white space.
    @discardableResult
    func output(_ command: Command) throws -> String {
        let result = try run(command, capturesOutput: true)
        guard result.status == 0 else { throw BenchError("`\(command.text)` failed: \(Self.reason(result))") }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Runs a command that leaves processes which stay, and does not wait for those.
    func start(_ command: Command) throws {
        empty(errorFile)
        let pid = try spawn(command, [null, null, errorFile])
        let usage: cbench_usage
        do { usage = try wait(pid, until: cbench_now_ns() + UInt64(command.timeLimitSeconds * 1e9)) } catch {
            end(pid)
            throw error
        }
        guard usage.status == 0 else {
            let last = contents(errorFile).split(separator: "\n").last.map(String.init) ?? "no message"
            throw BenchError("`\(command.text)` failed: status \(usage.status): \(last.prefix(300))")
        }
    }

    /// Ends a process of `startResident` and waits for it.
    func endResident(_ pid: Int32) {
        end(pid)
        residents.remove(pid)
    }

    /// Starts a command that stays until the returned descriptor, the other end of its standard input, is closed.
    ///
    /// - Returns: its pid, the descriptor, and the first line that it wrote.
    func startResident(_ command: Command) throws -> (pid: Int32, input: Int32, line: String) {
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        guard cbench_pipe(&input) == 0, cbench_pipe(&output) == 0 else { throw BenchError("cannot make a pipe") }
        empty(errorFile)
        let pid = try spawn(command, [input[0], output[1], errorFile])
        residents.insert(pid)
        close(input[0])
        close(output[1])
        // Kept open: whatever it writes later must not end it.
        residentOutputs.append(output[0])
        var line: [UInt8] = []
        var byte: UInt8 = 0
        let deadline = cbench_now_ns() + UInt64(command.timeLimitSeconds * 1e9)
        while true {
            // A program that never writes must not keep an interrupt from ending everything.
            while cbench_wait_readable(output[0], signals, 1000) == 0 {
                guard cbench_now_ns() < deadline else { throw BenchError("`\(command.text)` wrote nothing") }
                try handle(cbench_next_signal(signals, 0))
            }
            guard read(output[0], &byte, 1) == 1, byte != UInt8(ascii: "\n") else { break }
            line.append(byte)
        }
        guard byte == UInt8(ascii: "\n") else {
            close(input[1])
            throw BenchError(
                "`\(command.text)` failed: \(contents(errorFile).trimmingCharacters(in: .whitespacesAndNewlines))")
        }
        return (pid, input[1], String(decoding: line, as: UTF8.self))
    }

    /// Whatever runs now stays: it is not waited for after the commands to come.
    func adoptResidents() { residents = children() }

    /// A failure in one line: what the command wrote last, or its status.
    static func reason(_ result: CommandResult) -> String {
        let lines = result.errors.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter {
            !$0.isEmpty
        }
        // Wrapped programs name the cause last; Podman's own warnings come first.
        let text = lines.last { $0.hasPrefix("Error") } ?? lines.last ?? "no message"
        return "status \(result.status): \(text.prefix(300))"
    }

    // MARK: Ending

    /// Ends every process that any command has left, and those that they leave in turn.
    ///
    /// - Parameter kept: stays, with the process that it belongs to.
    func endEverything(except kept: Int32? = nil) {
        let deadline = cbench_now_ns() + 5_000_000_000
        while cbench_now_ns() < deadline {
            let left = children().filter { pid in pid != kept && kept.map { parent(of: $0) != pid } ?? true }
            if left.isEmpty { break }
            for pid in left { kill(pid, SIGKILL) }
            _ = cbench_next_signal(signals, 20)
            while cbench_reap(-1).pid > 0 {}
        }
        residents = children()
    }

    /// The fourth field of /proc/PID/stat, after a name that may contain anything but a last parenthesis.
    private func parent(of pid: Int32) -> Int32? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let name = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[name...].split(separator: " ")
        return fields.count > 2 ? Int32(fields[2]) : nil
    }

    private func end(_ pid: Int32) {
        kill(-pid, SIGKILL)
        let deadline = cbench_now_ns() + 2_000_000_000
        while cbench_now_ns() < deadline, cbench_reap(pid).pid == 0 { note(cbench_next_signal(signals, 50)) }
    }

    // MARK: Waiting

    private func spawn(_ command: Command, _ streams: [Int32]) throws -> Int32 {
        var pid: pid_t = 0
        let arguments = ([command.path] + command.arguments).map { strdup($0) } + [nil]
        let environment = command.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + environment { free(text) } }
        let error = cbench_spawn(command.path, arguments, environment, "/", streams, &pid)
        guard error == 0 else {
            throw BenchError("cannot execute \(command.path): \(String(cString: strerror(error)))")
        }
        return pid
    }

    private func wait(_ pid: Int32, until deadline: UInt64) throws -> cbench_usage {
        while true {
            let usage = cbench_reap(pid)
            if usage.pid == pid { return usage }
            if usage.pid < 0 { throw BenchError("process \(pid) was waited for by somebody else") }
            let now = cbench_now_ns()
            guard now < deadline else { throw BenchError("no end within the time limit") }
            try handle(cbench_next_signal(signals, Int32(min((deadline - now) / 1_000_000 + 1, 1_000_000))))
        }
    }

    /// Waits for what has been left behind; returns its CPU time in nanoseconds. What still runs after three seconds
    /// is taken to stay.
    private func settle() throws -> UInt64 {
        var cpu: UInt64 = 0
        let deadline = cbench_now_ns() + 3_000_000_000
        while true {
            let usage = cbench_reap(-1)
            if usage.pid > 0 {
                if residents.remove(usage.pid) == nil { cpu += usage.user_ns + usage.system_ns }
                continue
            }
            if usage.pid < 0 { return cpu }
            let left = children().subtracting(residents)
            if left.isEmpty { return cpu }
            let now = cbench_now_ns()
            if now >= deadline {
                residents.formUnion(left)
                return cpu
            }
            try handle(cbench_next_signal(signals, Int32((deadline - now) / 1_000_000 + 1)))
        }
    }

    private func handle(_ signal: Int32) throws {
        note(signal)
        if wasInterrupted, !ignoresInterrupts { throw Interrupted() }
    }

    private func note(_ signal: Int32) {
        if signal != 0, signal != SIGCHLD { wasInterrupted = true }
    }

    /// The children of every thread of this process: proc_pid_task(5).
    private func children() -> Set<Int32> {
        var found: Set<Int32> = []
        for thread in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? [] {
            guard let text = try? String(contentsOfFile: "/proc/self/task/\(thread)/children", encoding: .utf8) else {
                continue
            }
            found.formUnion(text.split(separator: " ").compactMap { Int32($0) })
        }
        return found
    }

    // MARK: Looking

    /// Every process below this one.
    func descendants() -> Set<Int32> {
        let pids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        let parents = Dictionary(pids.compactMap { pid in parent(of: pid).map { (pid, $0) } }) { first, _ in first }
        let own = getpid()
        return Set(
            pids.filter { pid in
                var ancestor = parents[pid]
                while let current = ancestor, current != own, current > 1 { ancestor = parents[current] }
                return ancestor == own
            })
    }

    /// Waits until a server behind a port of 127.0.0.1 has echoed a byte.
    func awaitFirstByte(port: Int, limitMilliseconds: Int32) throws {
        let deadline = cbench_now_ns() + UInt64(limitMilliseconds) * 1_000_000
        while true {
            let error = cbench_first_byte(Int32(port), limitMilliseconds, signals)
            if error == 0 { return }
            guard error == EINTR, cbench_now_ns() < deadline else {
                throw BenchError("no byte through port \(port): \(String(cString: strerror(error)))")
            }
            try handle(cbench_next_signal(signals, 0))
        }
    }

    /// Waits without measuring; an interrupt ends it.
    func pause(milliseconds: Int32) throws { try handle(cbench_next_signal(signals, milliseconds)) }

    // MARK: Output files

    private func empty(_ file: Int32) {
        ftruncate(file, 0)
        lseek(file, 0, SEEK_SET)
    }

    private func contents(_ file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = pread(file, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
