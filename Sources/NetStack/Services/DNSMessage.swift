// SPDX-License-Identifier: Apache-2.0

/// Response codes of RFC 1035, section 4.1.1.
package enum DNSResponseCode: UInt8, BitwiseCopyable, Sendable {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    /// NXDOMAIN.
    case nameError = 3
    case notImplemented = 4
    case refused = 5
}

/// The one question of a DNS query, as far as answering names locally needs it (RFC 1035, section 4.1).
package struct DNSQuery: BitwiseCopyable {
    package static var headerLength: Int { 12 }
    package static var typeA: UInt16 { 1 }
    package static var typePTR: UInt16 { 12 }
    package static var typeAAAA: UInt16 { 28 }
    package static var typeANY: UInt16 { 255 }

    /// The message; valid as long as the bytes it was made from.
    let message: ByteView
    package let id: UInt16
    package let isRecursionDesired: Bool
    package let type: UInt16
    package let queryClass: UInt16
    /// Where the question ends in the message.
    let questionEnd: Int
    /// Bytes the asker accepts in a UDP answer: 512, or what an OPT record says (RFC 6891), at most 1232.
    package private(set) var maximumUDPLength = 512
    /// The query has an OPT record, so the answer must.
    private(set) var hasOPT = false

    /// Why a message is not a question to answer.
    package enum Rejection: Error {
        /// Not a query, or too short to answer: say nothing.
        case ignore
        /// Answer with this code.
        case answer(DNSResponseCode)
    }

    package init(_ message: ByteView) throws(Rejection) {
        guard message.count >= Self.headerLength, message.u16(2) & 0x8000 == 0 else { throw .ignore }
        guard message.u16(2) & 0x7800 == 0 else { throw .answer(.notImplemented) }
        guard message.u16(4) == 1 else { throw .answer(.formatError) }
        self.message = message
        id = message.u16(0)
        isRecursionDesired = message.u16(2) & 0x0100 != 0
        guard let nameEnd = Self.nameEnd(message, from: Self.headerLength), nameEnd + 4 <= message.count else {
            throw .answer(.formatError)
        }
        type = message.u16(nameEnd)
        queryClass = message.u16(nameEnd + 2)
        questionEnd = nameEnd + 4
        readOPT()
    }

    /// Behind the root label of the uncompressed name at `start`. A compression pointer has nothing to point to here.
    private static func nameEnd(_ message: ByteView, from start: Int) -> Int? {
        var offset = start
        while offset < message.count {
            let length = Int(message.u8(offset))
            offset += 1 + length
            if length == 0 { return offset }
            guard length <= 63, offset - start < 255 else { return nil }
        }
        return nil
    }

    private mutating func readOPT() {
        guard message.u16(6) == 0, message.u16(8) == 0, message.u16(10) >= 1,
            questionEnd + 11 <= message.count, message.u8(questionEnd) == 0, message.u16(questionEnd + 1) == 41
        else { return }
        hasOPT = true
        maximumUDPLength = max(512, min(Int(message.u16(questionEnd + 3)), 1232))
    }

    /// Writes the name as text, lower case, labels separated by dots, without a final dot; returns its length.
    /// Nil when a label holds a dot or a byte that is not printable ASCII (no local name does), or when there is no room.
    package func copyName(into text: MutableByteView) -> Int? {
        var offset = Self.headerLength
        var length = 0
        while true {
            let label = Int(message.u8(offset))
            if label == 0 { return length }
            guard length + label + 1 <= text.count else { return nil }
            if length > 0 {
                text.set8(length, UInt8(ascii: "."))
                length += 1
            }
            for i in 1...label {
                let byte = message.u8(offset + i)
                guard byte > 0x20, byte < 0x7f, byte != UInt8(ascii: ".") else { return nil }
                text.set8(length, Self.lowercased(byte))
                length += 1
            }
            offset += label + 1
        }
    }

    /// Whether the name is `text`: labels separated by dots, without a final dot, case-insensitive (RFC 4343).
    package func nameEquals(_ text: ByteView) -> Bool {
        var offset = Self.headerLength
        var position = 0
        while true {
            let label = Int(message.u8(offset))
            if label == 0 { return position == text.count && offset > Self.headerLength }
            if position > 0 {
                guard position < text.count, text.u8(position) == UInt8(ascii: ".") else { return false }
                position += 1
            }
            guard label <= text.count - position else { return false }
            for i in 0..<label {
                let byte = message.u8(offset + 1 + i)
                guard byte != UInt8(ascii: "."),
                    Self.lowercased(byte) == Self.lowercased(text.u8(position + i))
                else { return false }
            }
            position += label
            offset += label + 1
        }
    }

    /// The address asked about by a name under in-addr.arpa (RFC 1035, section 3.5) or ip6.arpa (RFC 3596, section 2.5).
    package var reverseAddress: InternetAddress? {
        var offset = Self.headerLength
        var labels = 0
        var ipv4: UInt32 = 0
        var high: UInt64 = 0
        var low: UInt64 = 0
        var isDecimal = true
        var isHexadecimal = true
        // Digits come least significant first, before a suffix of two labels.
        while true {
            let length = Int(message.u8(offset))
            guard length > 0 else { return nil }
            let label = message.slice(offset + 1, length)
            if labels == 4 && isDecimal && suffixEquals(offset, "in-addr", "arpa") {
                return InternetAddress(ipv4: ipv4)
            }
            if labels == 32 && isHexadecimal && suffixEquals(offset, "ip6", "arpa") {
                return InternetAddress(high: high, low: low)
            }
            if labels < 4, let octet = Self.decimal(label) {
                ipv4 |= octet << UInt32(labels * 8)
            } else {
                isDecimal = false
            }
            if labels < 32, let nibble = Self.nibble(label) {
                if labels < 16 {
                    low |= nibble << UInt64(labels * 4)
                } else {
                    high |= nibble << UInt64(labels * 4 - 64)
                }
            } else {
                isHexadecimal = false
            }
            guard isDecimal || isHexadecimal else { return nil }
            labels += 1
            offset += length + 1
        }
    }

    private func suffixEquals(_ start: Int, _ top: StaticString, _ arpa: StaticString) -> Bool {
        let second = start + 1 + top.utf8CodeUnitCount
        return labelEquals(start, top) && labelEquals(second, arpa)
            && message.u8(second + 1 + arpa.utf8CodeUnitCount) == 0
    }

    private func labelEquals(_ offset: Int, _ text: StaticString) -> Bool {
        let expected = ByteView(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        guard Int(message.u8(offset)) == expected.count else { return false }
        for i in 0..<expected.count where Self.lowercased(message.u8(offset + 1 + i)) != expected.u8(i) {
            return false
        }
        return true
    }

    private static func decimal(_ label: ByteView) -> UInt32? {
        guard label.count <= 3 else { return nil }
        var value: UInt32 = 0
        for i in 0..<label.count {
            let digit = label.u8(i) &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            value = value * 10 + UInt32(digit)
        }
        return value <= 255 ? value : nil
    }

    private static func nibble(_ label: ByteView) -> UInt64? {
        guard label.count == 1 else { return nil }
        switch lowercased(label.u8(0)) {
        case let digit where digit >= UInt8(ascii: "0") && digit <= UInt8(ascii: "9"):
            return UInt64(digit - UInt8(ascii: "0"))
        case let digit where digit >= UInt8(ascii: "a") && digit <= UInt8(ascii: "f"):
            return UInt64(digit - UInt8(ascii: "a") + 10)
        default: return nil
        }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}
