// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Which signals to the command go to the container instead: podman's `--sig-proxy`.
enum ProxiedSignals {
    /// Signals that would end the command.
    static let ending: [Int32] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM]

    /// Signals that concern the command itself: its children, its own pipes, its own faults, its own terminal. SIGTTIN
    /// and SIGTTOU keep their meaning, because a command in the background has to stop when it touches the terminal.
    /// 32 and 33 belong to libc: nptl(7). SIGWINCH becomes a window size.
    private static func isOwn(_ signal: Int32) -> Bool {
        switch signal {
        case SIGKILL, SIGSTOP, SIGCHLD, SIGURG, SIGPIPE, SIGWINCH, SIGTTIN, SIGTTOU: true
        case SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, 32, 33: true
        default: false
        }
    }

    /// All that a session receives.
    static func received(proxying: Bool) -> SignalSet {
        var set = SignalSet(ending)
        if proxying {
            var signal: Int32 = 1
            while signal <= 64 {
                if !isOwn(signal) { set.insert(signal) }
                signal += 1
            }
        }
        for signal in [SIGWINCH, SIGPIPE, SIGCONT] { set.insert(signal) }
        return set
    }
}
