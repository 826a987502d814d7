// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// rtnetlink(7) as far as a pod's namespace needs it: links, addresses, routes, rules, neighbours.
// `NetlinkRequest` appends messages to one buffer (pure, golden-tested byte by byte); `NetlinkSocket` sends the
// buffer with one system call and reads one acknowledgement per message. The kernel works through the messages in
// order and does not stop at a failure, so the first refusal is the one reported, with the name of its operation and
// the kernel's own explanation where it gives one (extended acknowledgement).
//
// The one question asked of the kernel is which addresses are local (`LocalAddresses`): links and routes are only made.
import CLinux
import LinuxSystem
import SystemPackage

/// A request that the kernel refused.
public struct NetlinkError: Error, Equatable, Sendable {
    /// What was asked, as a verb phrase: "add address 10.0.2.100/24".
    public var operation: String
    public var errno: Errno
    /// The kernel's explanation (NLMSGERR_ATTR_MSG); empty if it gave none.
    public var explanation: String

    public init(operation: String, errno: Errno, explanation: String = "") {
        self.operation = operation
        self.errno = errno
        self.explanation = explanation
    }
}
