// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Copies a container process's standard streams between it, the log and the attached clients until it has ended; see
/// Monitor.swift for the rules.
///
/// One relay serves one container for the monitor's life: `run` once per process (again after a restart, with the same
/// clients and log), then `finish`. SIGTERM, SIGINT, SIGHUP and SIGQUIT to the monitor are blocked from `init` on and go
/// to the process while one runs; a process started meanwhile must reset its signal mask before it executes a program.
public final class Relay {
    /// What happens to the container's standard input.
    public enum InputPolicy: Sendable {
        /// Clients' input is discarded (no `--interactive`).
        case closed
        /// Input stays open whatever clients do (`--interactive --detach`).
        case open
        /// Input ends when a client ends its own or is killed (`--interactive` in the foreground).
        case openForOneClient
    }

    public struct Options: Sendable {
        public var input: InputPolicy
        /// The size that a terminal has from the start, before a client says more.
        public var windowSize: WindowSize?
        /// The listener that the relay gets is non-blocking already.
        public var listenerIsNonBlocking = false
        /// Milliseconds that other processes holding the output open have after the exit.
        public var drainGrace: Int64 = 100
        /// Milliseconds that a client which attached later may take nothing before it is dropped.
        public var stallLimit: Int64 = 5000

        public init(input: InputPolicy) { self.input = input }
    }

    let options: Options
    let log: LogWriter?
    private let listener: Channel?
    private let signals: SignalDescriptor
    private var polls = PollSet()
    /// Monotonic milliseconds before which no client is accepted.
    private var acceptAfter: Int64 = 0
    private var firstActivity: (() -> Void)?
    private var quietEnd: Int64 = 0
    var clients: [RelayClient] = []
    var sources: [Source] = []
    var input = InputQueue(nil, isTerminal: false)
    /// The terminal's master, for window sizes.
    private(set) var terminal: Channel?
    private var buffer: UnsafeMutableRawBufferPointer?

    /// `listener` is a listening SOCK_SEQPACKET unix socket for later clients, nil for none.
    public init(_ options: Options, log: LogWriter?, listener: consuming OwnedFD?) throws(MonitorError) {
        self.options = options
        self.log = log
        if let fd = consume listener {
            self.listener = try Channel(fd, isNonBlocking: options.listenerIsNonBlocking)
        } else {
            self.listener = nil
        }
        do throws(Errno) {
            let blocked: [Int32] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ]
            signals = try SignalDescriptor(blocking: SignalSet(blocked))
        } catch { throw MonitorError("receive signals", "", error) }
    }

    deinit { buffer?.deallocate() }

    /// One frame: its kind, then a chunk. Frames from clients are received into it too.
    ///
    /// Made when it is needed first, which is after the memory of the launch was freed: at the end of the heap it would keep
    /// the system from taking that back.
    var frame: UnsafeMutableRawBufferPointer {
        if let buffer { return buffer }
        let made = UnsafeMutableRawBufferPointer.allocate(byteCount: AttachProtocol.frameSize, alignment: 16)
        buffer = made
        return made
    }

    /// Adds the command that started the container; only such a client may hold the container back without limit.
    public func addForegroundClient(_ socket: consuming OwnedFD) {
        clients.append(RelayClient(socket, isForeground: true))
    }

    /// Relays until `process` has ended and its output is drained, and reaps it.
    ///
    /// - Parameter firstActivity: Called once before the first output or request is handled, or after `quietTime`
    ///   milliseconds; not at all for a process that ends before without a word. Clients hear of the start after it.
    public func run(
        _ process: consuming MonitoredProcess, quietTime: Int64 = 0, firstActivity: (() -> Void)? = nil
    ) throws(MonitorError) -> ExitStatus {
        self.firstActivity = firstActivity
        quietEnd = MonotonicClock.signedMilliseconds + quietTime
        defer { self.firstActivity = nil }
        _ = frame
        try open(&process.streams)
        if firstActivity == nil { for client in clients { greet(client) } }
        var status: ExitStatus?
        var graceEnd: Int64 = 0
        while true {
            let now = MonotonicClock.signedMilliseconds
            if now >= quietEnd { noteActivity() }
            if status != nil, isDrained(graceIsOver: now >= graceEnd) { break }
            let hold = clients.contains { $0.isStalled }
            polls.removeAll()
            let signalIndex = polls.add(signals.descriptor, .readable)
            let exitIndex = status == nil ? polls.add(process.pidfd.raw, .readable) : nil
            let inputIndex = input.waiting.map { polls.add($0, .writable) }
            let listenerIndex = addListener()
            addClients()
            for source in sources {
                let isHeld = hold && source.allowance <= 0
                let wanted = !source.ended && !isHeld && !source.isQuiet(at: now)
                source.pollIndex = wanted ? polls.add(source.channel.raw, .readable) : nil
            }
            try wait(until: nextDeadline(now, graceEnd: status == nil ? nil : graceEnd))

            if polls.events(signalIndex) != [] {
                noteActivity()
                forwardSignals(to: process.pidfd)
            }
            serveClients(process.pidfd)
            if polls.events(inputIndex) != [] { flushInput() }
            for source in sources where polls.events(source.pollIndex) != [] { pump(source, ended: status != nil) }
            if polls.events(listenerIndex) != [] {
                noteActivity()
                acceptClients()
            }
            if polls.events(exitIndex) != [] {
                status = try reap(process.pidfd)
                graceEnd = MonotonicClock.signedMilliseconds + options.drainGrace
                for source in sources where !source.ended { source.processEnded() }
            }
            dropDeadClients()
        }
        close()
        return status ?? .exited(0)
    }

    /// Tells every client the exit code and closes the connections. Called after the exit is recorded, so that the
    /// command's user finds it recorded. Waits for foreground clients as long as they live, for others `stallLimit`.
    public func finish(_ status: ExitStatus) {
        tellAll(AttachProtocol.frame(.exited, number: status.code))
    }

    /// Tells every client that there will be no process and closes the connections: `text` is for the user, `code` for
    /// the command's exit.
    public func fail(code: Int32, text: String) {
        tellAll(AttachProtocol.failed(code: code, text: text))
    }

    private func open(_ streams: inout ProcessStreams) throws(MonitorError) {
        sources = []
        terminal = nil
        var inputChannel: Channel?
        if let master = streams.terminal.take() {
            let channel = try Channel(master)
            terminal = channel
            if let size = options.windowSize { try? Terminal.setWindowSize(channel.raw, size) }
            inputChannel = channel
            sources.append(Source(channel, .stdout, isTerminal: true))
        }
        if let stdin = streams.stdin.take() { inputChannel = try Channel(stdin) }
        if let stdout = streams.stdout.take() {
            sources.append(Source(try Channel(stdout), .stdout, isTerminal: false))
        }
        if let stderr = streams.stderr.take() {
            sources.append(Source(try Channel(stderr), .stderr, isTerminal: false))
        }
        if case .closed = options.input { inputChannel = nil }
        input = InputQueue(inputChannel, isTerminal: terminal != nil)
    }

    private func close() {
        input.close()
        input.flush { client, count in consumed(client, count) }
        // The sources are closed with this process, or when the next one's take their place.
        terminal = nil
        log?.finishLines()
    }

    private func isDrained(graceIsOver: Bool) -> Bool {
        sources.allSatisfy { $0.ended || (graceIsOver && $0.owed <= 0) }
    }

    private func reap(_ pidfd: borrowing OwnedFD) throws(MonitorError) -> ExitStatus {
        do throws(Errno) { return try Process.wait(pidfd) } catch {
            throw MonitorError("wait for the container's process", "", error)
        }
    }

    private func forwardSignals(to pidfd: borrowing OwnedFD) {
        while let signal = signals.next() {
            // ESRCH: it has ended meanwhile, which the pidfd is about to tell.
            if signal != SIGPIPE, signal != SIGXFSZ { try? Process.signal(pidfd, signal) }
        }
    }

    private func endingSignalArrived() -> Bool {
        while let signal = signals.next() { if signal != SIGPIPE, signal != SIGXFSZ { return true } }
        return false
    }

    /// Copies one chunk from the process to the log and the clients.
    private func pump(_ source: Source, ended: Bool) {
        let chunk = UnsafeMutableRawBufferPointer(rebasing: frame[1...])
        guard case .bytes(let count) = source.read(into: chunk, processEnded: ended) else { return }
        noteActivity()
        log?.write(source.stream, UnsafeRawBufferPointer(rebasing: chunk[..<count]))
        frame[0] = source.stream.rawValue
        for client in clients where !client.isGone {
            client.send(UnsafeRawBufferPointer(rebasing: frame[...count]))
        }
    }

    private func noteActivity() {
        guard let body = firstActivity else { return }
        firstActivity = nil
        body()
        for client in clients where !client.isGone { greet(client) }
    }

    // MARK: Waiting

    private func addListener() -> Int? {
        guard let listener, MonotonicClock.signedMilliseconds >= acceptAfter else { return nil }
        return polls.add(listener.raw, .readable)
    }

    private func addClients() {
        for client in clients {
            client.pollIndex = polls.add(client.raw, client.isStalled ? [.readable, .writable] : .readable)
        }
    }

    private func wait(until deadline: Int64?) throws(MonitorError) {
        let timeout = deadline.map { $0 - MonotonicClock.signedMilliseconds }
        do throws(Errno) { try polls.wait(timeoutMilliseconds: timeout) } catch {
            throw MonitorError("wait for the container's streams", "", error)
        }
    }

    private func nextDeadline(_ now: Int64, graceEnd: Int64?) -> Int64? {
        var deadlines = sources.compactMap { $0.isQuiet(at: now) ? $0.quietUntil : nil }
        if now < acceptAfter { deadlines.append(acceptAfter) }
        if firstActivity != nil { deadlines.append(quietEnd) }
        if let graceEnd { deadlines.append(graceEnd) }
        for client in clients where !client.isForeground {
            if let since = client.stalledSince { deadlines.append(since + options.stallLimit) }
        }
        return deadlines.min()
    }

    // MARK: Clients

    private func acceptClients() {
        guard let listener else { return }
        do throws(Errno) {
            while true {
                let client = RelayClient(try UnixSocket.accept(listener.raw), isForeground: false)
                clients.append(client)
                greet(client)
            }
        } catch .wouldBlock {} catch .connectionAbort {} catch {
            // EMFILE and the like: the client stays in the queue and keeps the listener readable, so look away a while.
            acceptAfter = MonotonicClock.signedMilliseconds + 1000
        }
    }

    private func serveClients(_ pidfd: borrowing OwnedFD) {
        for client in clients {
            let events = polls.events(client.pollIndex)
            client.pollIndex = nil
            if events.contains(.writable) { client.flush() }
            if !events.isDisjoint(with: [.readable, .hangUp, .failed]) {
                noteActivity()
                receive(from: client, pidfd)
            }
        }
    }

    private func dropDeadClients() {
        let now = MonotonicClock.signedMilliseconds
        for client in clients where !client.isForeground {
            if let since = client.stalledSince, now - since >= options.stallLimit { client.drop() }
        }
        if clients.contains(where: \.isGone) {
            for client in clients where client.isGone { forget(client) }
            clients.removeAll(where: \.isGone)
        }
    }

    private func tellAll(_ last: [UInt8]) {
        acceptClients()
        for client in clients { client.send(last) }
        while clients.contains(where: { $0.isStalled }) {
            polls.removeAll()
            let signalIndex = polls.add(signals.descriptor, .readable)
            addClients()
            do throws(MonitorError) {
                try wait(until: nextDeadline(MonotonicClock.signedMilliseconds, graceEnd: nil))
            } catch { break }
            // Only clients are waited for any more; a request to end is a request not to.
            if polls.events(signalIndex) != [], endingSignalArrived() { break }
            for client in clients {
                let events = polls.events(client.pollIndex)
                if events.contains(.writable) { client.flush() }
                if !events.isDisjoint(with: [.readable, .hangUp, .failed]) { discard(from: client) }
            }
            dropDeadClients()
        }
        clients = []
    }
}
