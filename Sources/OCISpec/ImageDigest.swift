// SPDX-License-Identifier: Apache-2.0

/// What a document of the image specification lacks or has wrong: one sentence naming the field.
public struct ImageSpecError: Error, Equatable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) { self.description = description }
}

/// A content address: image-spec, descriptor.md, "Digests".
///
/// Only SHA-256 is accepted; it is the one algorithm every registry and archive uses.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// 64 lowercase hexadecimal characters.
    public let hex: String

    /// Takes 64 lowercase hexadecimal characters; nil for anything else.
    ///
    /// Not generic, as every start comes by here: what another module's generic function needs is looked up at run time,
    /// and stays in memory.
    public init?(hex: Substring) {
        guard hex.utf8.count == 64, hex.utf8.allSatisfy(Digest.isLowercaseHexadecimal) else { return nil }
        self.hex = String(hex)
    }

    public init?(hex: String) { self.init(hex: hex[...]) }

    /// Takes `sha256:` followed by the hexadecimal form.
    public init(_ text: Substring) throws(ImageSpecError) {
        guard text.utf8.starts(with: "sha256:".utf8), let digest = Digest(hex: text.dropFirst(7)) else {
            throw ImageSpecError("\"\(text)\" is not a SHA-256 digest (sha256: and 64 lowercase hexadecimal digits)")
        }
        self = digest
    }

    public init(_ text: String) throws(ImageSpecError) { try self.init(text[...]) }

    /// The digest a hash function gave; `bytes` are 32.
    public init(bytes: some Collection<UInt8>) {
        precondition(bytes.count == 32, "a SHA-256 digest is 32 bytes")
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        hex = String(decoding: text, as: UTF8.self)
    }

    public var description: String { "sha256:" + hex }

    static func isLowercaseHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
