// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A blocking NETLINK_ROUTE socket of the network namespace that the process was in when it was opened.
public struct NetlinkSocket: ~Copyable {
    private let fd: OwnedFD

    /// `socket(2)` AF_NETLINK. Failure is reported as the operation "open a netlink socket".
    public init() throws(NetlinkError) {
        do {
            let type = Int32(samara_sock_raw | samara_sock_cloexec)
            fd = OwnedFD(try checked(socket(AF_NETLINK, type, NETLINK_ROUTE)))
        } catch {
            throw NetlinkError(operation: "open a netlink socket", errno: error)
        }
        // Best effort: kernels before 4.12 answer without an explanation.
        try? Socket.set(fd.raw, SOL_NETLINK, NETLINK_EXT_ACK, 1)
        try? Socket.set(fd.raw, SOL_NETLINK, NETLINK_CAP_ACK, 1)
    }

    /// Sends the batch and waits for every acknowledgement. Throws the first refusal; the kernel has then tried the
    /// later messages as well.
    public func perform(_ request: NetlinkRequest) throws(NetlinkError) {
        if request.isEmpty { return }
        let raw = fd.raw
        do {
            _ = try retrying { samara_send_with_fds(raw, request.bytes, request.bytes.count, nil, 0, 0) }
        } catch {
            throw NetlinkError(operation: request.operations[0], errno: error)
        }
        var first: NetlinkError?
        var outstanding = request.operations.count
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while outstanding > 0 {
            let count: Int
            do { count = try retrying { recv(raw, &buffer, buffer.count, 0) } } catch {
                throw NetlinkError(operation: request.operations[0], errno: error)
            }
            for answer in NetlinkAcknowledgement.parse(buffer[..<count]) {
                guard answer.sequence >= 1, Int(answer.sequence) <= request.operations.count else { continue }
                outstanding -= 1
                if answer.errno != 0, first == nil {
                    first = NetlinkError(
                        operation: request.operations[Int(answer.sequence) - 1],
                        errno: Errno(rawValue: answer.errno), explanation: answer.explanation)
                }
            }
        }
        if let first { throw first }
    }
}

/// One NLMSG_ERROR message: the outcome of one request message.
struct NetlinkAcknowledgement: Equatable {
    var sequence: UInt32
    /// 0 for success, else the errno, positive.
    var errno: Int32
    var explanation: String

    /// The acknowledgements in a received buffer. Other messages are not answers and are passed over; a length that
    /// does not fit ends the parse.
    static func parse(_ bytes: ArraySlice<UInt8>) -> [NetlinkAcknowledgement] {
        var answers: [NetlinkAcknowledgement] = []
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset + 20 <= buffer.count {
                let length = Int(buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                guard length >= 20, length <= buffer.count - offset else { return }
                if buffer.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self) == UInt16(NLMSG_ERROR) {
                    let message = UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)])
                    answers.append(decode(message))
                }
                offset += (length + 3) & ~3
            }
        }
        return answers
    }

    private static func decode(_ message: UnsafeRawBufferPointer) -> NetlinkAcknowledgement {
        let flags = message.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        let errno = -message.loadUnaligned(fromByteOffset: 16, as: Int32.self)
        var answer = NetlinkAcknowledgement(
            sequence: message.loadUnaligned(fromByteOffset: 8, as: UInt32.self), errno: errno, explanation: "")
        guard flags & UInt16(NLM_F_ACK_TLVS) != 0, message.count >= 36 else { return answer }
        // After the error code comes the request's header, and its payload too unless NLM_F_CAPPED.
        var offset = 20 + 16
        if flags & UInt16(NLM_F_CAPPED) == 0 {
            let echoed = Int(message.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
            offset = 20 + ((echoed + 3) & ~3)
        }
        while offset + 4 <= message.count {
            let length = Int(message.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            let type = message.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self)
            guard length >= 4, offset + length <= message.count else { return answer }
            if Int(type) == Int(NLMSGERR_ATTR_MSG.rawValue) {
                let text = message[(offset + 4)..<(offset + length)].prefix { $0 != 0 }
                answer.explanation = String(decoding: text, as: UTF8.self)
            }
            offset += (length + 3) & ~3
        }
        return answer
    }
}
