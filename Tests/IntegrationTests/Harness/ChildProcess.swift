// SPDX-License-Identifier: Apache-2.0
import Foundation

/// How a command ended and what it wrote.
struct CommandResult: CustomStringConvertible {
    /// The exit code, or 128 + N after signal N.
    var status: Int32
    var stdout: String
    var stderr: String
    var command: String

    /// Standard output without surrounding white space: an ID, a name.
    var text: String { stdout.trimmingCharacters(in: .whitespacesAndNewlines) }

    var lines: [String] {
        stdout.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
    }

    var description: String {
        "`\(command)` ended with \(status)\nstdout: \(stdout)\nstderr: \(stderr)"
    }
}

struct HarnessError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A child process with descriptors of our choice and nothing else of ours: every other descriptor is closed.
struct ChildProcess {
    let pid: pid_t

    /// - Parameters:
    ///   - descriptors: What the child has as 0, 1 and 2; each one is -1 for /dev/null.
    ///   - terminal: The path of a terminal to open as 0, 1 and 2 instead; it becomes the controlling terminal.
    init(
        _ command: [String], environment: [String: String], descriptors: [Int32] = [-1, -1, -1],
        terminal: String? = nil
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This process ignores SIGPIPE (see runCommand); the child must not.
        var pipeSignal = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &pipeSignal)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        if let terminal {
            // A session leader that opens a terminal without O_NOCTTY gets it as its controlling terminal.
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF))
            posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0)
            posix_spawn_file_actions_adddup2(&actions, 0, 1)
            posix_spawn_file_actions_adddup2(&actions, 0, 2)
        } else {
            for (number, descriptor) in descriptors.enumerated() {
                if descriptor < 0 {
                    posix_spawn_file_actions_addopen(&actions, Int32(number), "/dev/null", O_RDWR, 0)
                } else {
                    posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
                }
            }
        }
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer {
            arguments.forEach { free($0) }
            variables.forEach { free($0) }
        }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &variables)
        guard code == 0 else {
            throw HarnessError("cannot start \(command[0]): \(String(cString: strerror(code)))")
        }
        self.pid = pid
    }

    /// The exit code (128 + N after signal N) when it has ended; reaps it.
    func ended() -> Int32? {
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    func killAndReap() {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }
}

/// A pipe whose ends are close-on-exec and closed by hand.
struct Pipe {
    let readEnd: Int32
    let writeEnd: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw HarnessError("pipe2: errno \(errno)") }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }
}

/// Runs a command to its end.
///
/// A command must not leave its output open in a process that outlives it (a monitor, say): callers such as
/// `id=$(samara run -d …)` would wait for ever. That is an error here, two seconds after the command's end.
///
/// - Throws: `HarnessError` when it does not end in time or leaves its output open.
func runCommand(
    _ command: [String], environment: [String: String], stdin: [UInt8]? = nil,
    timeout: Duration = .seconds(20)
) throws -> CommandResult {
    // A command may end without reading its input.
    signal(SIGPIPE, SIG_IGN)
    let shown = command.joined(separator: " ")
    let output = try Pipe()
    let errors = try Pipe()
    let input = try stdin.map { _ in try Pipe() }
    var open = Set([output.readEnd, errors.readEnd])
    let child: ChildProcess
    do {
        defer {
            close(output.writeEnd)
            close(errors.writeEnd)
            if let input { close(input.readEnd) }
        }
        child = try ChildProcess(
            command, environment: environment,
            descriptors: [input?.readEnd ?? -1, output.writeEnd, errors.writeEnd])
    }
    var pending = stdin ?? []
    if let input {
        _ = fcntl(input.writeEnd, F_SETFL, fcntl(input.writeEnd, F_GETFL) | O_NONBLOCK)
        open.insert(input.writeEnd)
    }
    defer { open.forEach { close($0) } }

    var collected: [Int32: [UInt8]] = [output.readEnd: [], errors.readEnd: []]
    var buffer = [UInt8](repeating: 0, count: 65536)
    let deadline = ContinuousClock.now + timeout
    var end: (status: Int32, graceEnds: ContinuousClock.Instant)?
    while end == nil || open.contains(output.readEnd) || open.contains(errors.readEnd) {
        var set = open.map { descriptor in
            pollfd(
                fd: descriptor,
                events: Int16(descriptor == input?.writeEnd ? POLLOUT : POLLIN), revents: 0)
        }
        poll(&set, nfds_t(set.count), 2)
        for entry in set where entry.revents != 0 {
            if entry.fd == input?.writeEnd {
                let written = write(entry.fd, pending, pending.count)
                if written > 0 { pending.removeFirst(written) }
                if pending.isEmpty || (written < 0 && errno != EAGAIN) {
                    close(entry.fd)
                    open.remove(entry.fd)
                }
            } else {
                let count = read(entry.fd, &buffer, buffer.count)
                if count > 0 {
                    collected[entry.fd]?.append(contentsOf: buffer[..<count])
                } else if count == 0 || errno != EINTR {
                    close(entry.fd)
                    open.remove(entry.fd)
                }
            }
        }
        let now = ContinuousClock.now
        if let ended = end {
            guard now < ended.graceEnds else {
                throw HarnessError("`\(shown)` ended with \(ended.status) but left its output open in another process")
            }
        } else if let status = child.ended() {
            end = (status, now + .seconds(2))
        } else if now >= deadline {
            child.killAndReap()
            throw HarnessError(
                "`\(shown)` did not end within \(timeout); it had written: "
                    + collected.values.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " | "))
        }
    }
    return CommandResult(
        status: end?.status ?? -1,
        stdout: String(decoding: collected[output.readEnd] ?? [], as: UTF8.self),
        stderr: String(decoding: collected[errors.readEnd] ?? [], as: UTF8.self),
        command: shown)
}
