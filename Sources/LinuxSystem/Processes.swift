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
        guard pid > 0, let stat = ProcessStat("/proc/\(pid)/stat") else { return nil }
        self.init(pid: pid, startTime: stat.startTime)
    }

    /// True while this very process exists and is not a zombie.
    public var isAlive: Bool {
        guard pid > 0, let stat = ProcessStat("/proc/\(pid)/stat") else { return false }
        return stat.startTime == startTime && stat.state != UInt8(ascii: "Z") && stat.state != UInt8(ascii: "X")
    }

    /// A pidfd for exactly this process; ESRCH if it is gone or the number was used again.
    public func open() throws(Errno) -> OwnedFD {
        let fd = OwnedFD(try checked(samara_pidfd_open(pid, 0)))
        // Checked after the open: from here on the descriptor cannot change its meaning.
        if !isAlive { throw .noSuchProcess }
        return fd
    }
}

/// Processes: making, waiting, signalling.
public enum Process {
    /// This process's pid, asked of the kernel: libc may cache it across a raw clone.
    public static var id: Int32 { samara_getpid() }

    /// A copy of this process; 0 in the copy: `fork(2)`. Only for a process with one thread.
    public static func fork() throws(Errno) -> Int32 {
        let pid = try checked(samara_fork())
        if pid == 0 { forgetIdentity() }
        return pid
    }

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

    /// What the kernel says of this process, read once per process: a copy made by `fork` reads its own.
    private nonisolated(unsafe) static var ownStat: ProcessStat?

    private static func stat() -> ProcessStat? {
        if ownStat == nil { ownStat = ProcessStat("/proc/self/stat") }
        return ownStat
    }

    /// To be called in a copy of this process that was made otherwise than by `fork`.
    public static func forgetIdentity() { ownStat = nil }

    /// This process.
    public static var identity: ProcessIdentity {
        stat().map { ProcessIdentity(pid: $0.pid, startTime: $0.startTime) }
            ?? ProcessIdentity(pid: 0, startTime: 0)
    }

    /// The standard signals this process ignored when it was first asked about itself, bit n - 1 for signal n: field 31
    /// of `/proc/self/stat` as counted from the pid, proc(5). All where that cannot be read.
    public static var ignoredSignals: UInt64 { stat()?.ignoredSignals ?? .max }

    /// Sets the file mode creation mask and returns the former: `umask(2)`.
    public static func setFileModeMask(_ mask: UInt32) -> UInt32 { umask(mask) }

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

    /// Gives memory back that is free, on the heap and below the top of the stack, for a process that will live long after
    /// a busy start: malloc_trim(3), madvise(2).
    public static func trimMemory() { samara_trim_memory() }

    /// The name in ps(1): see `samara_set_process_title`.
    public static func setTitle(_ title: String) { samara_set_process_title(title) }
}
