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
    private static let own: Set<Int32> = [
        SIGKILL, SIGSTOP, SIGCHLD, SIGURG, SIGPIPE, SIGWINCH, SIGTTIN, SIGTTOU,
        SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, 32, 33,
    ]

    /// All that are forwarded.
    static let forwarded = (Int32(1)...64).filter { !own.contains($0) }

    /// All that a session receives.
    static func received(proxying: Bool) -> SignalSet {
        SignalSet((proxying ? forwarded : ending) + [SIGWINCH, SIGPIPE, SIGCONT])
    }
}
