// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// How a command couples its own standard streams with a container's process.
public struct SessionOptions: Sendable {
    /// Standard input goes to the process (`--interactive`).
    public var forwardsInput: Bool
    /// The process has a terminal (`--tty`).
    public var hasTerminal: Bool
    /// Signals to the command go to the process (`--sig-proxy`); otherwise those that end the command end the session.
    public var proxiesSignals: Bool
    /// Heeded only when standard input is a terminal: in other input the bytes are data.
    public var detachKeys: DetachKeys
    /// The command's descriptors.
    public var input: Int32 = 0
    public var output: Int32 = 1
    public var errorOutput: Int32 = 2

    public init(
        forwardsInput: Bool, hasTerminal: Bool, proxiesSignals: Bool = true, detachKeys: DetachKeys = .standard
    ) {
        self.forwardsInput = forwardsInput
        self.hasTerminal = hasTerminal
        self.proxiesSignals = proxiesSignals
        self.detachKeys = detachKeys
    }

    /// The size of the command's terminal, nil if it has none. For the container's terminal before its first program
    /// asks.
    public var windowSize: WindowSize? {
        for descriptor in [input, output, errorOutput] {
            if let size = try? Terminal.windowSize(descriptor) { return size }
        }
        return nil
    }
}

/// A terminal in raw mode, given its former settings back however the session ends.
private final class RawTerminal {
    private let descriptor: Int32
    private let former: TerminalAttributes

    init(_ descriptor: Int32) throws(Errno) {
        former = try Terminal.attributes(descriptor)
        self.descriptor = descriptor
        enter()
    }

    // The terminal may have hung up: there is nothing to set or restore then.
    func enter() { try? Terminal.setAttributes(descriptor, former.raw) }

    deinit { try? Terminal.setAttributes(descriptor, former) }
}

/// The command's side of a session: its terminal, its standard streams and the signals it gets.
final class LocalStreams {
    /// What a signal asks for.
    enum Request {
        case windowSize(WindowSize)
        case proxy(Int32)
        /// The session is to end because of this signal.
        case end(Int32)
    }

    /// What reading the input gave.
    enum Input {
        case nothing
        case end
        /// The detach keys were typed.
        case detach
    }

    let options: SessionOptions
    let output: OutputSink
    let errorOutput: OutputSink
    private var signals: SignalDescriptor
    private let raw: RawTerminal?
    private var matcher: DetachMatcher
    private(set) var inputEnded: Bool
    private var inputIndex: Int?
    private var signalIndex: Int?
    private var signalsArePending = false
    private var requests: [Request] = []

    /// Blocks signals and puts the terminal into raw mode for the life of the object.
    init(_ options: SessionOptions) throws(MonitorError) {
        self.options = options
        output = OutputSink(options.output)
        errorOutput = OutputSink(options.errorOutput)
        inputEnded = !options.forwardsInput
        let isInteractive = options.forwardsInput && Terminal.isTerminal(options.input)
        matcher = DetachMatcher(isInteractive ? options.detachKeys : DetachKeys.none)
        do throws(Errno) {
            signals = try SignalDescriptor(blocking: ProxiedSignals.received(proxying: options.proxiesSignals))
        } catch { throw MonitorError("receive signals", "", error) }
        do throws(Errno) {
            raw = isInteractive && options.hasTerminal ? try RawTerminal(options.input) : nil
        } catch { throw MonitorError("set the terminal to raw mode", "", error) }
        if options.hasTerminal, let size = options.windowSize { requests.append(.windowSize(size)) }
    }

    func sink(_ stream: OutputStream) -> OutputSink { stream == .stdout ? output : errorOutput }

    var isBlocked: Bool { output.isBlocked || errorOutput.isBlocked }

    /// Adds to `polls` what this side waits for.
    func add(to polls: inout PollSet, wantsInput: Bool) {
        signalIndex = polls.add(signals.descriptor, .readable)
        inputIndex = wantsInput && !inputEnded ? polls.add(options.input, .readable) : nil
        output.pollIndex = output.isBlocked ? polls.add(output.descriptor, .writable) : nil
        errorOutput.pollIndex = errorOutput.isBlocked ? polls.add(errorOutput.descriptor, .writable) : nil
    }

    /// Writes what there is room for after a wait.
    func flush(_ polls: borrowing PollSet) {
        if polls.events(signalIndex) != [] { signalsArePending = true }
        if polls.events(output.pollIndex) != [] { output.flush() }
        if polls.events(errorOutput.pollIndex) != [] { errorOutput.flush() }
    }

    /// The next thing a signal asks for.
    func nextRequest() -> Request? {
        while requests.isEmpty {
            guard signalsArePending else { return nil }
            guard let signal = signals.next() else {
                signalsArePending = false
                return nil
            }
            append(signal)
        }
        return requests.removeFirst()
    }

    private func append(_ signal: Int32) {
        switch signal {
        case SIGPIPE: return
        case SIGCONT:
            // The shell gave the terminal its own settings while this command was stopped.
            raw?.enter()
            fallthrough
        case SIGWINCH:
            if options.hasTerminal, let size = options.windowSize { requests.append(.windowSize(size)) }
            if signal == SIGCONT, options.proxiesSignals { requests.append(.proxy(signal)) }
        default: requests.append(options.proxiesSignals ? .proxy(signal) : .end(signal))
        }
    }

    /// Appends to `bytes` what can be read from the input, at most `limit` bytes (and what was withheld before).
    func readInput(_ polls: borrowing PollSet, limit: Int, into bytes: inout [UInt8]) -> Input {
        guard polls.events(inputIndex) != [] else { return .nothing }
        inputIndex = nil
        return withUnsafeTemporaryAllocation(byteCount: min(limit, 16 << 10), alignment: 1) { buffer in
            switch NonBlockingIO.read(options.input, into: buffer) {
            case .bytes(let count):
                let typed = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                return matcher.filter(typed, into: &bytes) ? .detach : .nothing
            case .wouldBlock: return .nothing
            case .endOfFile, .failed:
                matcher.finish(into: &bytes)
                inputEnded = true
                return .end
            }
        }
    }

    /// The command ends with this session.
    func keepSignalsBlocked() { signals.keepBlocked() }

    /// Throws if output was lost, other than by its reader's leaving.
    func checkOutput() throws(MonitorError) {
        try check(output, "standard output")
        try check(errorOutput, "standard error")
    }

    private func check(_ sink: OutputSink, _ name: String) throws(MonitorError) {
        if let failure = sink.failure { throw MonitorError("write the container's output to", name, failure) }
    }

    /// Nobody wants the input any more.
    func dropInput() { inputEnded = true }
}
