// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
// ===================
//
// Each container has one monitor: a process forked from the command line program, without exec, that is the parent of
// the container's first process and outlives the command that started it.
//
//     samara run (AttachClient) --- SOCK_SEQPACKET ---+
//     samara attach (AttachClient) --- listener ----- Relay --- pipes or pty master --- container process
//                                                       |
//                                                   LogWriter ---> ctr.log, ctr.log.1 ---> LogReader (samara logs)
//
// `Relay` (in the monitor) copies the process's output to the log and to every client, and the clients' input to the
// process; it forwards signals and waits for the exit. `AttachClient` (in the command) is the other end, which owns the
// user's terminal. `LocalSession` is both at once for `samara exec`, where the command itself holds the process.
//
// Flow of output. One chunk is read, written to the log, then sent to each client, in this order: what a client has
// seen is in the log. A client whose socket is full stops the reading until it has taken its chunk, so that
// `samara run x | less` holds x back as a plain pipe does. A foreground client may do so for as long as it lives, for
// its user chose that; one that attached later is dropped when it has taken nothing for `stallLimit`.
//
// Flow of input. A client may have `AttachProtocol.stdinWindow` bytes under way; the relay says which have reached the
// process. So the socket from the client never fills, and a signal or a new window size overtakes input that the
// process does not read.
//
// The end. The exit is reported when the process has ended and its output is drained: what was in the pipes at the exit
// is always read (queued for slow clients, so that recording an exit never waits for one), and processes that inherited
// the pipes have `drainGrace` to say something more. In a container with its own pid namespace there are none: the
// kernel kills them before it reports the exit of the first process.
//
// Memory. Buffers are sized for the monitor, of which there is one per container: one chunk of 32 KiB, one buffer of
// formatted log lines of about the same size, and nothing else while clients keep up.
//
// No threads, no Foundation. SIGPIPE and SIGXFSZ are blocked, not ignored, because an ignored signal would stay ignored
// in programs that this process executes.
import LinuxSystem
import SystemPackage

/// One of a process's two output streams. With a terminal there is only `stdout`.
public enum OutputStream: UInt8, Sendable {
    case stdout = 1
    case stderr = 2
}

/// What the monitor or a log command could not do.
public struct MonitorError: Error, Equatable, CustomStringConvertible {
    /// A verb phrase: "open the log file".
    public var operation: String
    /// The file or other thing it was done to; may be empty.
    public var subject: String
    /// The kernel's reason; nil where `operation` says all.
    public var errno: Errno?

    public init(_ operation: String, _ subject: String = "", _ errno: Errno? = nil) {
        self.operation = operation
        self.subject = subject
        self.errno = errno
    }

    public var description: String {
        var text = operation
        if !subject.isEmpty { text += " \(subject)" }
        if let errno { text += ": \(errno.text)" }
        return text
    }
}
