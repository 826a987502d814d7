// SPDX-License-Identifier: Apache-2.0

/// A value of the D-Bus types that unit properties have; the associated text is its signature.
enum BusValue: Equatable, Sendable {
    case string(String)
    case bool(Bool)
    case uint32(UInt32)
    case int32(Int32)
    case uint64(UInt64)
    case uint32s([UInt32])

    var signature: String {
        switch self {
        case .string: "s"
        case .bool: "b"
        case .uint32: "u"
        case .int32: "i"
        case .uint64: "t"
        case .uint32s: "au"
        }
    }
}

/// Builds the little-endian form of messages: D-Bus Specification, "Message Format" and "Marshaling".
struct BusWriter {
    private(set) var bytes: [UInt8] = []

    mutating func align(_ boundary: Int) {
        while bytes.count % boundary != 0 { bytes.append(0) }
    }

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func uint32(_ value: UInt32) {
        align(4)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func uint64(_ value: UInt64) {
        align(8)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func string(_ text: String) {
        uint32(UInt32(text.utf8.count))
        bytes += text.utf8
        bytes.append(0)
    }

    mutating func signature(_ text: String) {
        bytes.append(UInt8(text.utf8.count))
        bytes += text.utf8
        bytes.append(0)
    }

    /// An array of what `body` writes; `alignment` is that of its elements.
    mutating func array(alignment: Int, _ body: (inout BusWriter) -> Void) {
        uint32(0)
        let lengthAt = bytes.count - 4
        align(alignment)
        let start = bytes.count
        body(&self)
        let length = UInt32(bytes.count - start)
        for index in 0..<4 { bytes[lengthAt + index] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(index))) }
    }

    mutating func variant(_ value: BusValue) {
        signature(value.signature)
        switch value {
        case .string(let text): string(text)
        case .bool(let flag): uint32(flag ? 1 : 0)
        case .uint32(let number): uint32(number)
        case .int32(let number): uint32(UInt32(bitPattern: number))
        case .uint64(let number): uint64(number)
        case .uint32s(let numbers):
            array(alignment: 4) { writer in for number in numbers { writer.uint32(number) } }
        }
    }

    /// A method call with its header.
    static func call(
        serial: UInt32, path: String, interface: String, member: String, destination: String, signature: String,
        body: BusWriter
    ) -> [UInt8] {
        var writer = BusWriter()
        writer.bytes = [UInt8(ascii: "l"), 1, 0, 1]
        writer.uint32(UInt32(body.bytes.count))
        writer.uint32(serial)
        writer.array(alignment: 8) { writer in
            func field(_ code: UInt8, _ type: String, _ text: String) {
                writer.align(8)
                writer.byte(code)
                writer.signature(type)
                if type == "g" { writer.signature(text) } else { writer.string(text) }
            }
            field(1, "o", path)
            field(2, "s", interface)
            field(3, "s", member)
            field(6, "s", destination)
            if !signature.isEmpty { field(8, "g", signature) }
        }
        writer.align(8)
        return writer.bytes + body.bytes
    }
}

/// A received message, as far as anything here looks at it.
struct BusMessage {
    enum Kind: UInt8 { case call = 1, reply, error, signal }
    var kind: Kind
    var replySerial: UInt32 = 0
    var member = ""
    var errorName = ""
    /// The strings (and object paths) at the body's start, in their order; `u` fields between them are passed over.
    var texts: [String] = []

    /// Bytes of the whole message whose first 16 bytes are `head`; nil for what is not a message of at most 1 MiB in
    /// this machine's byte order.
    static func length(_ head: [UInt8]) -> Int? {
        guard head.count >= 16, head[0] == UInt8(ascii: "l"), head[3] == 1 else { return nil }
        let (body, fields) = (Int(word(head, 4)), Int(word(head, 12)))
        guard body <= 1 << 20, fields <= 1 << 20 else { return nil }
        return (16 + fields + 7) / 8 * 8 + body
    }

    init?(_ bytes: [UInt8]) {
        guard let length = BusMessage.length(bytes), length == bytes.count, let kind = Kind(rawValue: bytes[1]) else {
            return nil
        }
        self.kind = kind
        var position = 16
        let end = 16 + Int(BusMessage.word(bytes, 12))
        var signature = ""
        while position < end {
            position = (position + 7) / 8 * 8
            guard position + 4 <= end else { break }
            let code = bytes[position]
            let type = bytes[position + 2]
            position += 4
            switch type {
            case UInt8(ascii: "u"):
                guard position + 4 <= end else { return nil }
                if code == 5 { replySerial = BusMessage.word(bytes, position) }
                position += 4
            case UInt8(ascii: "g"):
                guard position < end, position + Int(bytes[position]) + 2 <= end else { return nil }
                signature = String(
                    decoding: bytes[(position + 1)..<(position + 1 + Int(bytes[position]))], as: UTF8.self)
                position += Int(bytes[position]) + 2
            case UInt8(ascii: "s"), UInt8(ascii: "o"):
                guard let text = BusMessage.text(bytes, &position, end) else { return nil }
                if code == 3 { member = text } else if code == 4 { errorName = text }
            default: return nil
            }
        }
        position = (end + 7) / 8 * 8
        for type in signature {
            position = (position + 3) / 4 * 4
            if type == "u", position + 4 <= bytes.count {
                position += 4
            } else if type == "s" || type == "o", let text = BusMessage.text(bytes, &position, bytes.count) {
                texts.append(text)
            } else {
                break
            }
        }
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
    }

    private static func text(_ bytes: [UInt8], _ position: inout Int, _ end: Int) -> String? {
        guard position + 4 <= end else { return nil }
        let length = Int(word(bytes, position))
        guard length < 1 << 20, position + 5 + length <= end else { return nil }
        defer { position += 5 + length }
        return String(decoding: bytes[(position + 4)..<(position + 4 + length)], as: UTF8.self)
    }
}
