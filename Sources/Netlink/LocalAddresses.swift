// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// The addresses of the network namespace that the process was in when this was made, and word of their changes:
/// RTM_GETADDR, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, rtnetlink(7).
public struct LocalAddresses: ~Copyable {
    private let fd: OwnedFD

    /// A non-blocking netlink socket that hears of changes.
    public init() throws(Errno) {
        let type = Int32(samara_sock_raw | samara_sock_cloexec | samara_sock_nonblock)
        let socket = OwnedFD(try checked(socket(AF_NETLINK, type, NETLINK_ROUTE)))
        for group in [RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
            try Socket.set(socket.raw, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32(group.rawValue))
        }
        fd = socket
    }

    /// Readable when addresses may have changed.
    public var descriptor: Int32 { fd.raw }

    /// Every local address of the namespace. Takes pending notices off the socket; never waits.
    public func current() throws(Errno) -> [IPAddress] {
        var request = [UInt8](repeating: 0, count: 24)
        request.withUnsafeMutableBytes {
            $0.storeBytes(of: UInt32(24), toByteOffset: 0, as: UInt32.self)
            $0.storeBytes(of: UInt16(RTM_GETADDR), toByteOffset: 4, as: UInt16.self)
            $0.storeBytes(of: UInt16(NLM_F_REQUEST | NLM_F_DUMP), toByteOffset: 6, as: UInt16.self)
            $0.storeBytes(of: UInt32(1), toByteOffset: 8, as: UInt32.self)
        }
        let raw = fd.raw
        discardNotices()
        _ = try retrying { samara_send_with_fds(raw, request, request.count, nil, 0, 0) }
        var addresses: [IPAddress] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        // The kernel puts each part of a dump into the queue before the call that asked for it returns.
        while true {
            let count = try retrying { recv(raw, &buffer, buffer.count, 0) }
            if Self.parse(buffer[..<count], into: &addresses) { return addresses }
        }
    }

    /// Takes pending notices off the socket.
    public func discardNotices() {
        var byte: UInt8 = 0
        // ENOBUFS (too many notices) is an error once, and then there are more to take.
        while recv(fd.raw, &byte, 1, 0) >= 0 || lastErrno() == .noBufferSpace {}
    }

    /// Adds the addresses of a received buffer; true at the end of the dump.
    static func parse(_ bytes: ArraySlice<UInt8>, into addresses: inout [IPAddress]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset + 16 <= buffer.count {
                let length = Int(buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                guard length >= 16, length <= buffer.count - offset else { return true }
                let type = Int(buffer.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self))
                let isAnswer = buffer.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self) == 1
                if isAnswer && (type == Int(NLMSG_DONE) || type == Int(NLMSG_ERROR)) { return true }
                if isAnswer && type == Int(RTM_NEWADDR) && length >= 24 {
                    let message = UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)])
                    if let address = decode(message) { addresses.append(address) }
                }
                offset += (length + 3) & ~3
            }
            return false
        }
    }

    /// IFA_LOCAL, or IFA_ADDRESS where there is no other end (IPv6).
    private static func decode(_ message: UnsafeRawBufferPointer) -> IPAddress? {
        var result: IPAddress?
        var offset = 24
        while offset + 4 <= message.count {
            let length = Int(message.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            let type = Int(message.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self))
            guard length >= 4, offset + length <= message.count else { return result }
            if type == Int(IFA_LOCAL) || (type == Int(IFA_ADDRESS) && result == nil) {
                if length == 8 {
                    let number = message.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                    result = IPAddress(ipv4: UInt32(bigEndian: number))
                } else if length == 20 {
                    result = IPAddress(
                        high: UInt64(bigEndian: message.loadUnaligned(fromByteOffset: offset + 4, as: UInt64.self)),
                        low: UInt64(bigEndian: message.loadUnaligned(fromByteOffset: offset + 12, as: UInt64.self)))
                }
            }
            offset += (length + 3) & ~3
        }
        return result
    }
}
