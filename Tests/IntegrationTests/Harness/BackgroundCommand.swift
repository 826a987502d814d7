// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A command that runs while the test goes on. Killed and reaped when the object goes, unless it has ended.
final class BackgroundCommand {
    let pid: pid_t
    private let child: ChildProcess
    private let shown: String
    private let input: Int32
    private var hasOpenInput: Bool
    private let output: Int32
    private let errors: Int32
    private var open: Set<Int32>
    private var collected: [Int32: [UInt8]] = [:]
    private var status: Int32?

    /// - Parameter hasInput: gives it a pipe as standard input (see `type`), else /dev/null.
    init(_ command: [String], environment: [String: String], hasInput: Bool = false) throws {
        Glibc.signal(SIGPIPE, SIG_IGN)
        shown = command.joined(separator: " ")
        let out = try Pipe()
        let err = try Pipe()
        let stdin = hasInput ? try Pipe() : nil
        defer {
            close(out.writeEnd)
            close(err.writeEnd)
            if let stdin { close(stdin.readEnd) }
        }
        child = try ChildProcess(
            command, environment: environment, descriptors: [stdin?.readEnd ?? -1, out.writeEnd, err.writeEnd])
        pid = child.pid
        (output, errors, input) = (out.readEnd, err.readEnd, stdin?.writeEnd ?? -1)
        open = [output, errors]
        hasOpenInput = hasInput
    }

    deinit {
        closeInput()
        open.forEach { close($0) }
        if status == nil { child.killAndReap() }
    }

    /// What it has written to standard output so far.
    var stdout: String {
        pump(milliseconds: 0)
        return text(output)
    }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(input, bytes, bytes.count)
    }

    func closeInput() {
        if hasOpenInput { close(input) }
        hasOpenInput = false
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Ends it with SIGKILL and reaps it; what it had written may be incomplete.
    func killNow() {
        guard status == nil else { return }
        child.killAndReap()
        status = 128 + SIGKILL
    }

    /// Waits until it has ended and closed its output.
    func waitForExit(timeout: Duration = .seconds(20)) throws -> CommandResult {
        let deadline = ContinuousClock.now + timeout
        while status == nil || !open.isEmpty {
            if open.isEmpty { usleep(1_000) } else { pump(milliseconds: 2) }
            if status == nil { status = child.ended() }
            guard ContinuousClock.now < deadline else {
                killNow()
                throw HarnessError("`\(shown)` did not end within \(timeout): \(text(output)) | \(text(errors))")
            }
        }
        return CommandResult(status: status ?? -1, stdout: text(output), stderr: text(errors), command: shown)
    }

    private func text(_ descriptor: Int32) -> String { String(decoding: collected[descriptor] ?? [], as: UTF8.self) }

    private func pump(milliseconds: Int32) {
        var set = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&set, nfds_t(set.count), milliseconds) > 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        for entry in set where entry.revents != 0 {
            let count = read(entry.fd, &buffer, buffer.count)
            if count > 0 {
                collected[entry.fd, default: []].append(contentsOf: buffer[..<count])
            } else if count == 0 || errno != EINTR {
                close(entry.fd)
                open.remove(entry.fd)
            }
        }
    }
}

extension Samara {
    /// Starts `samara ARGUMENTS` and goes on.
    func start(_ arguments: String..., hasInput: Bool = false) throws -> BackgroundCommand {
        try start(arguments, hasInput: hasInput)
    }

    func start(_ arguments: [String], hasInput: Bool = false) throws -> BackgroundCommand {
        try BackgroundCommand(command(arguments), environment: environment, hasInput: hasInput)
    }

    /// Runs every command at the same time.
    ///
    /// - Returns: how they ended, in their order.
    func runAtOnce(_ commands: [[String]], timeout: Duration = .seconds(60)) throws -> [CommandResult] {
        let running = try commands.map { try start($0) }
        return try running.map { try $0.waitForExit(timeout: timeout) }
    }
}
