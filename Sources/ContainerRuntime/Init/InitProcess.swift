// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// PID 1 of a container with `--init`: starts the program as its only child, passes signals on to it, reaps whatever is
/// left to it, and ends as the program ends.
///
/// It is this executable, executed again inside the container with the container's environment and arguments: a copy
/// that merely went on running would show the user's environment in its memory to the container. No path inside leads to
/// it, and the image that runs is the one that `SelfProtection` has made read-only.
public enum InitProcess {
    /// What argv[0] says; no user starts the program under this name.
    public static let name = "samara: init"

    /// Signals that are about this process itself: its own faults and stops.
    private static let own: Set<Int32> = [
        SIGKILL, SIGSTOP, SIGCHLD, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGTTIN, SIGTTOU, 32, 33,
    ]
    private static let forwarded = (Int32(1)...64).filter { !own.contains($0) }

    /// - Parameter arguments: the program and its arguments; the program is looked up in PATH.
    /// - Returns: the program's exit code, 128 + n after signal n, 127 or 126 when it could not be executed.
    public static func run(_ arguments: [String]) -> Int32 {
        // A pid namespace's first process gets no signal that it neither handles nor blocks: pid_namespaces(7).
        guard !arguments.isEmpty, let signals = try? SignalDescriptor(blocking: SignalSet(forwarded + [SIGCHLD])),
            let program = try? Process.fork()
        else { return 126 }
        if program == 0 { execute(arguments) }
        var polls = PollSet()
        while true {
            polls.removeAll()
            polls.add(signals.descriptor, .readable)
            try? polls.wait(timeoutMilliseconds: nil)
            while let signal = signals.next() {
                if signal != SIGCHLD { kill(program, signal) }
            }
            // One SIGCHLD may stand for several children.
            while let (pid, status) = Process.reapAny() {
                if pid == program { return status.code }
            }
        }
    }

    private static func execute(_ arguments: [String]) -> Never {
        // A group of its own in the foreground: what the terminal sends reaches the program once, not also through init.
        setpgid(0, 0)
        Process.ignoreSignals([SIGTTOU])
        tcsetpgrp(0, getpid())
        Process.restoreSignals([SIGTTOU])
        let argv = arguments.map { strdup($0) } + [nil]
        if let program = argv[0] { execvp(program, argv) }
        let error = lastErrno()
        let name = arguments[0]
        let text =
            error == .noSuchFileOrDirectory
            ? "Error: executable file `\(name)` not found in $PATH: No such file or directory\n"
            : "Error: cannot execute `\(name)`: \(error.text)\n"
        _ = text.withCString { write(2, $0, strlen($0)) }
        Process.exitNow(error == .noSuchFileOrDirectory ? 127 : 126)
    }
}
