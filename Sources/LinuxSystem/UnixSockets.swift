// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Two connected sockets.
public struct SocketPair: ~Copyable {
    public var first: OwnedFD
    public var second: OwnedFD

    /// Gives up ownership of both. What a clone must keep open in the child is released first: the compiler ends an
    /// owned value's life after its last use, which in the child's branch is before the child ends.
    public consuming func release() -> (first: Int32, second: Int32) { (first.release(), second.release()) }
    /// Closes the second and returns the first.
    public consuming func keepingFirst() -> OwnedFD { first }
    /// Closes the first and returns the second.
    public consuming func keepingSecond() -> OwnedFD { second }
}

/// AF_UNIX sockets and the passing of descriptors: unix(7).
public enum UnixSocket {
    /// `socketpair(2)`; `type` is SOCK_STREAM or SOCK_SEQPACKET.
    public static func pair(type: Int32) throws(Errno) -> SocketPair {
        var raw: [Int32] = [-1, -1]
        _ = try checked(socketpair(AF_UNIX, type | Int32(SOCK_CLOEXEC.rawValue), 0, &raw))
        return SocketPair(first: OwnedFD(raw[0]), second: OwnedFD(raw[1]))
    }

    /// Sends one message with descriptors: `sendmsg(2)`, SCM_RIGHTS. At most 253 descriptors (SCM_MAX_FD).
    @discardableResult
    public static func send(_ socket: Int32, _ bytes: [UInt8], descriptors: [Int32] = [], flags: Int32 = 0)
        throws(Errno) -> Int
    {
        try retrying {
            samara_send_with_fds(socket, bytes, bytes.count, descriptors, Int32(descriptors.count), flags)
        }
    }

    /// One received message. The descriptors are close-on-exec and belong to the caller.
    public struct Message {
        public var bytes: [UInt8]
        public var descriptors: [Int32]
    }

    /// Receives one message of at most `limit` bytes; empty bytes mean the peer closed: `recvmsg(2)`.
    public static func receive(
        _ socket: Int32, limit: Int = 4096, descriptorLimit: Int = 64, flags: Int32 = 0
    ) throws(Errno) -> Message {
        var bytes = [UInt8](repeating: 0, count: limit)
        var descriptors = [Int32](repeating: -1, count: descriptorLimit)
        var count = Int32(descriptorLimit)
        let length = try retrying { () -> Int in
            count = Int32(descriptorLimit)
            return samara_recv_with_fds(socket, &bytes, limit, &descriptors, &count, flags)
        }
        return Message(bytes: Array(bytes[..<length]), descriptors: Array(descriptors[..<Int(count)]))
    }
}
