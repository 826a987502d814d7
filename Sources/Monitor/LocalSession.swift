// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// How a session without a monitor ended.
public enum LocalOutcome: Equatable, Sendable {
    case exited(ExitStatus)
    /// The user typed the detach keys; the process runs on and wants `LocalSession.discardOutput`.
    case detached
    /// A signal ended the session (only without `proxiesSignals`, or while output waited for its reader at the end).
    case interrupted(signal: Int32)
}

/// Couples the command's standard streams with a process that is its own child: `samara exec`.
public final class LocalSession {
    private let pidfd: OwnedFD
    private var sources: [Source] = []
    private let terminal: Channel?
    private let input: InputQueue
    private let options: SessionOptions
    private let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: AttachProtocol.chunkSize, alignment: 16)
    private static let drainGrace: Int64 = 100

    public init(_ process: consuming MonitoredProcess, _ options: SessionOptions) throws(MonitorError) {
        self.options = options
        pidfd = process.pidfd
        var streams = process.streams
        var inputChannel: Channel?
        if let master = streams.terminal.take() {
            let channel = try Channel(master)
            terminal = channel
            inputChannel = channel
            sources.append(Source(channel, .stdout, isTerminal: true))
        } else {
            terminal = nil
        }
        if let stdin = streams.stdin.take() { inputChannel = try Channel(stdin) }
        if let stdout = streams.stdout.take() {
            sources.append(Source(try Channel(stdout), .stdout, isTerminal: false))
        }
        if let stderr = streams.stderr.take() {
            sources.append(Source(try Channel(stderr), .stderr, isTerminal: false))
        }
        input = InputQueue(inputChannel, isTerminal: terminal != nil)
    }

    deinit { chunk.deallocate() }

    /// Runs until the process has ended and its output is written, or the user detached; reaps the process. The
    /// terminal has its former settings when this returns or throws.
    public func run() throws(MonitorError) -> LocalOutcome {
        let local = try LocalStreams(options)
        if !options.forwardsInput, terminal == nil { input.close() }
        var polls = PollSet()
        var status: ExitStatus?
        var graceEnd: Int64 = 0
        while true {
            let now = MonotonicClock.signedMilliseconds
            if let status, isDrained(graceIsOver: now >= graceEnd), !local.isBlocked {
                try local.checkOutput()
                return .exited(status)
            }
            if let signal = serveSignals(local, hasEnded: status != nil) { return .interrupted(signal: signal) }
            polls.removeAll()
            local.add(to: &polls, wantsInput: status == nil && input.isOpen && input.waiting == nil)
            let exitIndex = status == nil ? polls.add(pidfd.raw, .readable) : nil
            let inputIndex = input.waiting.map { polls.add($0, .writable) }
            for source in sources {
                let wanted = !source.ended && !local.sink(source.stream).isBlocked && !source.isQuiet(at: now)
                source.pollIndex = wanted ? polls.add(source.channel.raw, .readable) : nil
            }
            var deadlines = sources.compactMap { $0.isQuiet(at: now) ? $0.quietUntil : nil }
            if status != nil, now < graceEnd { deadlines.append(graceEnd) }
            try wait(&polls, until: deadlines.min())

            local.flush(polls)
            if forwardInput(local, polls) { return .detached }
            if polls.events(inputIndex) != [] { input.flush() }
            for source in sources where polls.events(source.pollIndex) != [] {
                if case .bytes(let count) = source.read(into: chunk, processEnded: status != nil) {
                    local.sink(source.stream).write(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
                }
            }
            if polls.events(exitIndex) != [] {
                status = try reap()
                graceEnd = MonotonicClock.signedMilliseconds + LocalSession.drainGrace
                for source in sources { source.processEnded() }
            }
        }
    }

    /// Reads and forgets the process's output until it has ended. After a detach, in a process of its own (which need
    /// not be the parent): the process must find its terminal open and its pipes emptied.
    public func discardOutput() throws(MonitorError) {
        var polls = PollSet()
        while true {
            let now = MonotonicClock.signedMilliseconds
            polls.removeAll()
            let exitIndex = polls.add(pidfd.raw, .readable)
            for source in sources {
                let wanted = !source.ended && !source.isQuiet(at: now)
                source.pollIndex = wanted ? polls.add(source.channel.raw, .readable) : nil
            }
            try wait(&polls, until: sources.compactMap { $0.isQuiet(at: now) ? $0.quietUntil : nil }.min())
            if polls.events(exitIndex) != [] { return }
            for source in sources where polls.events(source.pollIndex) != [] {
                _ = source.read(into: chunk, processEnded: false)
            }
        }
    }

    private func isDrained(graceIsOver: Bool) -> Bool {
        sources.allSatisfy { $0.ended || (graceIsOver && $0.owed <= 0) }
    }

    private func reap() throws(MonitorError) -> ExitStatus {
        do throws(Errno) { return try Process.wait(pidfd) } catch {
            throw MonitorError("wait for the process", "", error)
        }
    }

    private func wait(_ polls: inout PollSet, until deadline: Int64?) throws(MonitorError) {
        let timeout = deadline.map { $0 - MonotonicClock.signedMilliseconds }
        do throws(Errno) { try polls.wait(timeoutMilliseconds: timeout) } catch {
            throw MonitorError("wait for the process's streams", "", error)
        }
    }

    /// The signal that ends the session, if one does.
    private func serveSignals(_ local: LocalStreams, hasEnded: Bool) -> Int32? {
        while let request = local.nextRequest() {
            switch request {
            case .windowSize(let size): if let terminal { try? Terminal.setWindowSize(terminal.raw, size) }
            case .proxy(let signal):
                if hasEnded, ProxiedSignals.ending.contains(signal) { return signal }
                // ESRCH: it has ended meanwhile, which the pidfd is about to tell.
                if !hasEnded { try? Process.signal(pidfd, signal) }
            case .end(let signal): return signal
            }
        }
        return nil
    }

    /// True if the user detached.
    private func forwardInput(_ local: LocalStreams, _ polls: borrowing PollSet) -> Bool {
        var bytes: [UInt8] = []
        let result = local.readInput(polls, limit: AttachProtocol.inputChunkSize, into: &bytes)
        if !bytes.isEmpty { bytes.withUnsafeBytes { input.append($0) } }
        if case .end = result { input.appendEnd() }
        input.flush()
        if case .detach = result { return true }
        return false
    }
}
