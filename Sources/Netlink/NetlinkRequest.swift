// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// A batch of rtnetlink messages in the kernel's byte layout: netlink(7), rtnetlink(7).
public struct NetlinkRequest {
    /// The messages, each padded to 4 bytes (NLMSG_ALIGN).
    public private(set) var bytes: [UInt8] = []
    /// One verb phrase per message, in order.
    public private(set) var operations: [String] = []

    public init() {}

    public var isEmpty: Bool { operations.isEmpty }

    /// Appends one message: header, fixed part, and the attributes that `attributes` adds. Its sequence number is its
    /// place in the batch, from 1; every message asks for an acknowledgement.
    mutating func message<Fixed: BitwiseCopyable>(
        _ operation: String, type: Int, flags: Int32, _ fixed: Fixed, _ attributes: (inout NetlinkRequest) -> Void
    ) {
        operations.append(operation)
        let start = bytes.count
        append(UInt32(0))
        append(UInt16(type))
        append(UInt16(flags | NLM_F_REQUEST | NLM_F_ACK))
        append(UInt32(operations.count))
        append(UInt32(0))
        append(fixed)
        pad()
        attributes(&self)
        withUnsafeBytes(of: UInt32(bytes.count - start)) { bytes.replaceSubrange(start..<(start + 4), with: $0) }
    }

    /// Appends an attribute whose payload is the memory of `value`.
    mutating func attribute<Value: BitwiseCopyable>(_ type: Int, _ value: Value) {
        withUnsafeBytes(of: value) { attribute(type, payload: $0) }
    }

    /// Appends a NUL-terminated string attribute.
    mutating func attribute(_ type: Int, _ text: String) {
        (Array(text.utf8) + [0]).withUnsafeBytes { attribute(type, payload: $0) }
    }

    /// Appends an address in network order: 4 or 16 bytes.
    mutating func attribute(_ type: Int, _ address: IPAddress) {
        address.bytes.withUnsafeBytes { attribute(type, payload: $0) }
    }

    /// Appends opaque bytes.
    mutating func attribute(_ type: Int, bytes payload: [UInt8]) {
        payload.withUnsafeBytes { attribute(type, payload: $0) }
    }

    private mutating func attribute(_ type: Int, payload: UnsafeRawBufferPointer) {
        append(UInt16(4 + payload.count))
        append(UInt16(type))
        bytes.append(contentsOf: payload)
        pad()
    }

    private mutating func append<Value: BitwiseCopyable>(_ value: Value) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    /// NLMSG_ALIGN and RTA_ALIGN are both 4; every message starts aligned.
    private mutating func pad() {
        while bytes.count & 3 != 0 { bytes.append(0) }
    }
}
