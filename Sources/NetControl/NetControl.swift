// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// What the processes of a pod's network say to each other, and nothing else. Every conversation is a SOCK_SEQPACKET
// unix socket, one message per packet, descriptors by SCM_RIGHTS. Both ends are the same build of the same package,
// so integers travel in host byte order and a message of another version is an error, never a guess.
//
//      engine ── fd 5: configure, listeners… → ready | sentence, then closed ──┐
//      engine ── fd 4: control socket: publish, unpublish, statistics, stop ── samara-net
//      keeper ── fd 3: sockets, tap (asked for by samara-net) ─────────────────┘
//
// `KeeperMessages` is the traffic on fd 3: fixed-size records that are read and written without allocation, because
// samara-net asks for sockets while it forwards. `ControlMessages` is the traffic on fd 4 and fd 5: a few messages per
// pod, so plain arrays and strings serve. `NetClient` is the engine's end of fd 4 and fd 5.
import LinuxSystem
import SystemPackage

/// The descriptors that samara-net starts with.
public enum NetDescriptor {
    /// SOCK_SEQPACKET to the keeper. Its end is the pod's end.
    public static let keeper: Int32 = 3
    /// The listening SOCK_SEQPACKET control socket in the pod's run directory.
    public static let control: Int32 = 4
    /// SOCK_SEQPACKET to the engine process that starts the pod; closed by samara-net once it has answered.
    public static let starter: Int32 = 5
}

/// A conversation that failed.
public struct NetControlError: Error, Equatable, Sendable {
    public enum Cause: Equatable, Sendable {
        /// samara-net, or the keeper, is not there any more.
        case gone
        /// The other side refused; the text is its sentence.
        case refused
        /// A message that this version does not understand.
        case protocolViolation
        case system(Errno)
    }

    public var cause: Cause
    /// One sentence for people.
    public var message: String

    public init(_ cause: Cause, _ message: String) {
        self.cause = cause
        self.message = message
    }
}

/// The mark of samara's transparent pod sockets (SO_MARK), and the routing tables that bring their answers back.
public enum PodRouting {
    public static let mark: UInt32 = 0x53
    /// `ip rule fwmark`: everything that carries the mark is delivered inside the pod.
    public static let markTable: UInt8 = 100
    /// `ip rule ipproto udp sport`: one local route per client of a published UDP port.
    public static let datagramTable: UInt8 = 101
}
