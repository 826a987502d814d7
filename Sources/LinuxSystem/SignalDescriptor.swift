// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// A set of signal numbers, 1 to 64: `sigsetops(3)`.
public struct SignalSet: Sendable {
    fileprivate var raw = sigset_t()

    public init() { sigemptyset(&raw) }

    public init(_ signals: [Int32]) {
        self.init()
        for signal in signals { insert(signal) }
    }

    public mutating func insert(_ signal: Int32) { sigaddset(&raw, signal) }

    public func contains(_ signal: Int32) -> Bool {
        withUnsafePointer(to: raw) { sigismember($0, signal) == 1 }
    }
}

/// Signals received as data instead of interruptions: `signalfd(2)`.
///
/// The set is blocked for the life of the value; afterwards the calling thread's former mask is back. A child made in
/// between inherits the blocked mask and has to reset it before it executes a program.
public struct SignalDescriptor: ~Copyable {
    private let fd: OwnedFD
    private let former: sigset_t
    private let own: sigset_t
    private var staysBlocked = false

    /// Blocks `signals` in this thread and opens the descriptor, non-blocking.
    public init(blocking signals: SignalSet) throws(Errno) {
        var set = signals.raw
        var previous = sigset_t()
        let opened = OwnedFD(try checked(samara_signalfd(&set)))
        _ = try checked(sigprocmask(SIG_BLOCK, &set, &previous))
        self.init(opened, own: set, former: previous)
    }

    private init(_ fd: consuming OwnedFD, own: sigset_t, former: sigset_t) {
        self.fd = fd
        self.own = own
        self.former = former
    }

    /// Leaves the signals blocked when the value's life is over, because the process's is too.
    public mutating func keepBlocked() { staysBlocked = true }

    deinit {
        if staysBlocked { return }
        // A write to a broken pipe or beyond a size limit has left its signal pending; unblocking it now would kill.
        var accidental = SignalSet()
        for signal in [SIGPIPE, SIGXFSZ] where withUnsafePointer(to: own, { sigismember($0, signal) }) == 1 {
            accidental.insert(signal)
        }
        while samara_take_pending_signal(&accidental.raw) > 0 {}
        var mask = former
        sigprocmask(SIG_SETMASK, &mask, nil)
    }

    /// For `PollSet`: readable while a signal is pending.
    public var descriptor: Int32 { fd.raw }

    /// The next pending signal, which is thereby consumed; nil if there is none.
    public func next() -> Int32? {
        let signal = samara_signalfd_next(fd.raw)
        return signal > 0 ? signal : nil
    }
}
