// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// How a child ended: `waitid(2)`.
public enum ExitStatus: Equatable, Sendable {
    case exited(Int32)
    case signaled(Int32)

    /// The shell's convention: the code itself, or 128 + signal.
    public var code: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }
}

/// A process that cannot be confused with a later one of the same number: the pid together with its start time
/// (clock ticks since boot, field 22 of `/proc/PID/stat`, proc(5)). Valid only within one boot.
public struct ProcessIdentity: Equatable, Hashable, Sendable {
    public var pid: Int32
    public var startTime: UInt64

    public init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }

    /// The identity of a running process; nil if there is none with this pid.
    public init?(pid: Int32) {
        guard pid > 0, let stat = ProcessIdentity.statFields(pid: pid) else { return nil }
        self.init(pid: pid, startTime: stat.startTime)
    }

    /// True while this very process exists and is not a zombie.
    public var isAlive: Bool {
        guard pid > 0, let stat = ProcessIdentity.statFields(pid: pid) else { return false }
        return stat.startTime == startTime && stat.state != UInt8(ascii: "Z") && stat.state != UInt8(ascii: "X")
    }

    /// A pidfd for exactly this process; ESRCH if it is gone or the number was used again.
    public func open() throws(Errno) -> OwnedFD {
        let fd = OwnedFD(try checked(samara_pidfd_open(pid, 0)))
        // Checked after the open: from here on the descriptor cannot change its meaning.
        if !isAlive { throw .noSuchProcess }
        return fd
    }

    private static func statFields(pid: Int32) -> (state: UInt8, startTime: UInt64)? {
        guard let bytes = try? File.read("/proc/\(pid)/stat", limit: 4096) else { return nil }
        // The command name is in parentheses and may itself contain spaces and parentheses: skip to the last one.
        guard let close = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[(close + 1)...].split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
        guard fields.count > 19, let state = fields[0].first,
            let start = UInt64(String(decoding: fields[19], as: UTF8.self))
        else { return nil }
        return (state, start)
    }
}

/// Processes: making, waiting, signalling.
public enum Process {
    /// This process's pid, asked of the kernel: libc may cache it across a raw clone.
    public static var id: Int32 { samara_getpid() }

    /// A copy of this process; 0 in the copy: `fork(2)`. Only for a process with one thread.
    public static func fork() throws(Errno) -> Int32 { try checked(samara_fork()) }

    /// `pidfd_open(2)`.
    public static func openDescriptor(_ pid: Int32) throws(Errno) -> OwnedFD {
        OwnedFD(try checked(samara_pidfd_open(pid, 0)))
    }

    /// `pidfd_send_signal(2)`.
    public static func signal(_ pidfd: borrowing OwnedFD, _ signal: Int32) throws(Errno) {
        _ = try checked(samara_pidfd_send_signal(pidfd.raw, signal, nil, 0))
    }

    /// Waits until the process behind `pidfd`, a child or not, has ended; false when `milliseconds` pass first (-1: no
    /// limit). Does not reap: `poll(2)` on a pidfd.
    public static func waitForEnd(_ pidfd: borrowing OwnedFD, milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&entry, 1, milliseconds)
            if count >= 0 { return count > 0 }
            if samara_errno() != EINTR { return false }
        }
    }

    /// Waits for the child behind `pidfd` and reaps it: `waitid(2)` P_PIDFD.
    public static func wait(_ pidfd: borrowing OwnedFD) throws(Errno) -> ExitStatus {
        var info = siginfo_t()
        let raw = pidfd.raw
        _ = try retrying { samara_waitid_pidfd(raw, &info, WEXITED) }
        let status = info._sifields._sigchld.si_status
        return info.si_code == CLD_EXITED ? .exited(status) : .signaled(status)
    }

    /// Waits for the child `pid` and reaps it: `waitpid(2)`.
    public static func wait(pid: Int32) throws(Errno) -> ExitStatus {
        var status: Int32 = 0
        _ = try retrying { waitpid(pid, &status, 0) }
        return samara_wifexited(status) != 0 ? .exited(samara_wexitstatus(status)) : .signaled(samara_wtermsig(status))
    }

    /// The standard signals this process ignores, bit n - 1 for signal n: field 33 of `/proc/self/stat`, proc(5).
    public static var ignoredSignals: UInt64 {
        guard let bytes = try? File.read("/proc/self/stat", limit: 4096),
            let close = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return .max }
        let fields = bytes[(close + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 30 else { return .max }
        return UInt64(String(decoding: fields[30], as: UTF8.self)) ?? .max
    }

    /// Sleeps at least this long: `nanosleep(2)`.
    public static func sleep(milliseconds: Int64) {
        var rest = timespec(tv_sec: Int(milliseconds / 1000), tv_nsec: Int(milliseconds % 1000) * 1_000_000)
        withUnsafeMutablePointer(to: &rest) { while nanosleep($0, $0) != 0, samara_errno() == EINTR {} }
    }

    /// Reaps `pid` if it is an ended child of this process; otherwise does nothing.
    public static func reap(_ pid: Int32) { waitpid(pid, nil, WNOHANG) }

    /// Reaps any ended child of this process; nil if there is none: `waitpid(2)` WNOHANG.
    public static func reapAny() -> (pid: Int32, status: ExitStatus)? {
        var status: Int32 = 0
        let pid = waitpid(-1, &status, WNOHANG)
        if pid <= 0 { return nil }
        return (
            pid,
            samara_wifexited(status) != 0 ? .exited(samara_wexitstatus(status)) : .signaled(samara_wtermsig(status))
        )
    }

    /// Leaves without running atexit handlers or flushing stdio copied from a parent: `_exit(2)`.
    public static func exitNow(_ code: Int32) -> Never { _exit(code) }

    /// Threads in this process. Anything but 1 makes `setns`/`unshare(CLONE_NEWUSER)` fail with EINVAL.
    public static func threadCount() -> Int {
        (try? Directory.names("/proc/self/task").count) ?? 0
    }

    /// Sets dispositions to "ignore": `sigaction(2)`, SIG_IGN.
    public static func ignoreSignals(_ signals: [Int32]) {
        for signal in signals { _ = samara_ignore_signal(signal) }
    }

    /// Sets dispositions to the default and unblocks every signal: what a program expects at execve (signal(7)).
    public static func restoreSignals(_ signals: [Int32]) {
        var action = sigaction()
        for signal in signals { _ = sigaction(signal, &action, nil) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }

    /// The name in ps(1): see `samara_set_process_title`.
    public static func setTitle(_ title: String) { samara_set_process_title(title) }
}
