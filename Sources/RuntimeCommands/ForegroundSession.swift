// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import SystemPackage

/// A command in the foreground: forwards signals to the container's process, carries its terminal, and returns its end.
struct ForegroundSession: ~Copyable {
    private let signals: SignalDescriptor

    /// Every signal that can be forwarded, as data from here on.
    static func blockSignals() throws(Errno) -> SignalDescriptor {
        let own: Set<Int32> = [SIGKILL, SIGSTOP, SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTTIN, SIGTTOU, SIGTSTP]
        return try SignalDescriptor(blocking: SignalSet((1..<Int32(32)).filter { !own.contains($0) }))
    }

    init(_ signals: consuming SignalDescriptor) { self.signals = signals }

    /// - Parameter terminal: the pty master of a process that has one.
    func follow(_ pidfd: borrowing OwnedFD, terminal: consuming OwnedFD?) throws(Errno) -> ExitStatus {
        let master: Int32 = terminal?.raw ?? -1
        var former: termios?
        if master >= 0 {
            var attributes = termios()
            if tcgetattr(0, &attributes) == 0 {
                former = attributes
                cfmakeraw(&attributes)
                tcsetattr(0, TCSANOW, &attributes)
            }
            copyWindowSize(master)
        }
        defer { if var former { tcsetattr(0, TCSANOW, &former) } }
        var readsInput = master >= 0
        var readsOutput = master >= 0
        var hasEnded = false
        while !hasEnded || readsOutput {
            var set = PollSet()
            let process = hasEnded ? nil : set.add(pidfd.raw, .readable)
            let signal = set.add(signals.descriptor, .readable)
            let input = readsInput ? set.add(0, .readable) : nil
            let output = readsOutput ? set.add(master, .readable) : nil
            // After the end only what is already in the terminal is of interest.
            try set.wait(timeoutMilliseconds: hasEnded ? 0 : nil)
            if set.events(process).contains(.readable) { hasEnded = true }
            if set.events(signal).contains(.readable) { forward(pidfd, master) }
            if !set.events(input).isEmpty { readsInput = carry(from: 0, to: master) }
            if !set.events(output).isEmpty { readsOutput = carry(from: master, to: 1) } else if hasEnded { break }
        }
        return try Process.wait(pidfd)
    }

    private func forward(_ pidfd: borrowing OwnedFD, _ master: Int32) {
        while let signal = signals.next() {
            if signal == SIGCHLD || signal == SIGPIPE || signal == SIGURG { continue }
            if signal == SIGWINCH, master >= 0 { copyWindowSize(master) } else { try? Process.signal(pidfd, signal) }
        }
    }

    private func copyWindowSize(_ master: Int32) {
        var size = winsize()
        if samara_ioctl_pointer(0, UInt(TIOCGWINSZ), &size) == 0 {
            _ = samara_ioctl_pointer(master, UInt(TIOCSWINSZ), &size)
        }
    }

    /// false at the end of the source: of a pty master that is EIO.
    private func carry(from source: Int32, to target: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = read(source, &buffer, buffer.count)
        if count <= 0 { return count < 0 && samara_errno() == EINTR }
        return (try? File.writeAll(target, Array(buffer[..<count]))) != nil
    }
}
