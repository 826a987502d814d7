// SPDX-License-Identifier: Apache-2.0

/// Builds the answer to a query in memory of the caller: header, the question repeated, answers, OPT when asked with one.
///
/// Answers that do not fit set the truncation bit; the asker then comes again over TCP (RFC 7766).
package struct DNSResponse: BitwiseCopyable {
    private let bytes: MutableByteView
    private let query: DNSQuery
    private var length: Int
    private var answers: UInt16 = 0
    private var isTruncated = false
    /// Kept free for the OPT record.
    private let reserve: Int

    /// - Parameter bytes: memory for the answer, as large as it may become (`query.maximumUDPLength` for UDP). Nil
    ///   when not even the question fits. May not overlap the query.
    package init?(to bytes: MutableByteView, answering query: DNSQuery) {
        reserve = query.hasOPT ? 11 : 0
        guard query.questionEnd + reserve <= bytes.count else { return nil }
        self.bytes = bytes
        self.query = query
        length = query.questionEnd
        bytes.copy(query.message.prefix(query.questionEnd), at: 0)
    }

    private mutating func beginAnswer(_ type: UInt16, _ dataLength: Int, timeToLive: UInt32) -> Int? {
        guard length + 12 + dataLength + reserve <= bytes.count else {
            isTruncated = true
            return nil
        }
        // A pointer to the question's name (RFC 1035, section 4.1.4).
        bytes.set16(length, 0xc000 | UInt16(DNSQuery.headerLength))
        bytes.set16(length + 2, type)
        bytes.set16(length + 4, 1)
        bytes.set32(length + 6, timeToLive)
        bytes.set16(length + 10, UInt16(dataLength))
        answers += 1
        defer { length += 12 + dataLength }
        return length + 12
    }

    /// Adds an A or AAAA record that may be kept for `timeToLive` seconds.
    package mutating func add(_ address: InternetAddress, timeToLive: UInt32) {
        if address.isIPv4 {
            if let offset = beginAnswer(DNSQuery.typeA, 4, timeToLive: timeToLive) { bytes.set32(offset, address.ipv4) }
        } else if let offset = beginAnswer(DNSQuery.typeAAAA, 16, timeToLive: timeToLive) {
            bytes.setIPv6(offset, address)
        }
    }

    /// Adds a PTR record. Returns false, adding nothing, when `name` is not a name: labels separated by dots, without a
    /// final dot, at most 253 bytes.
    package mutating func add(pointerTo name: ByteView, timeToLive: UInt32) -> Bool {
        guard name.count > 0, name.count <= 253 else { return false }
        var labelStart = 0
        for i in 0...name.count where i == name.count || name.u8(i) == UInt8(ascii: ".") {
            guard i > labelStart, i - labelStart <= 63 else { return false }
            labelStart = i + 1
        }
        guard let offset = beginAnswer(DNSQuery.typePTR, name.count + 2, timeToLive: timeToLive) else { return true }
        labelStart = 0
        for i in 0...name.count where i == name.count || name.u8(i) == UInt8(ascii: ".") {
            bytes.set8(offset + labelStart, UInt8(i - labelStart))
            bytes.copy(name.slice(labelStart, i - labelStart), at: offset + labelStart + 1)
            labelStart = i + 1
        }
        bytes.set8(offset + name.count + 1, 0)
        return true
    }

    /// Completes the message and returns its length.
    package mutating func finish(_ code: DNSResponseCode) -> Int {
        // Response, authoritative, recursion available; opcode 0.
        var flags: UInt16 = 0x8480 | UInt16(code.rawValue)
        if query.isRecursionDesired { flags |= 0x0100 }
        if isTruncated { flags |= 0x0200 }
        bytes.set16(2, flags)
        bytes.set16(6, answers)
        bytes.set16(8, 0)
        bytes.set16(10, query.hasOPT ? 1 : 0)
        if query.hasOPT {
            bytes.set8(length, 0)
            bytes.set16(length + 1, 41)
            bytes.set16(length + 3, 1232)
            bytes.set32(length + 5, 0)
            bytes.set16(length + 9, 0)
            length += 11
        }
        return length
    }

    /// Answers a message that is no usable question with `code`: its header alone. Returns the length, nil without room.
    package static func reject(_ message: ByteView, _ code: DNSResponseCode, to bytes: MutableByteView) -> Int? {
        guard message.count >= DNSQuery.headerLength, bytes.count >= DNSQuery.headerLength else { return nil }
        bytes.zero(0, DNSQuery.headerLength)
        bytes.set16(0, message.u16(0))
        bytes.set16(2, 0x8080 | (message.u16(2) & 0x7900) | UInt16(code.rawValue))
        return DNSQuery.headerLength
    }
}
