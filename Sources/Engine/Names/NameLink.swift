// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// What a name's symbolic link says: `c` or `p` (container or pod), the 256-bit id in 43 digits of base 64, and the
/// maker's pid and start time in base 36: `cAbc…_9.3k1.2gosa`.
///
/// At most 59 bytes: so short a link is in its inode, where a longer one takes a disk block to be allocated and freed
/// (ext4, "fast symlinks").
struct NameLink: Equatable {
    var owner: NameOwner
    var maker: ProcessIdentity

    init(owner: NameOwner, maker: ProcessIdentity) {
        self.owner = owner
        self.maker = maker
    }

    var text: String {
        let pid = Digits.text(UInt64(UInt32(bitPattern: maker.pid)), radix: 36)
        return "\(NameLink.text(of: owner)).\(pid).\(Digits.text(maker.startTime, radix: 36))"
    }

    /// The part that says whose the name is.
    private static func text(of owner: NameOwner) -> String {
        let kind = if case .container = owner { "c" } else { "p" }
        return kind + pack(owner.id)
    }

    /// Whether a link's text says that the name is `owner`'s.
    static func names(_ owner: NameOwner, _ text: String) -> Bool { text.hasPrefix(self.text(of: owner) + ".") }

    /// nil if the text is no such link.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].utf8.count == 44, let id = NameLink.unpack(parts[0].dropFirst().utf8),
            let pid = UInt32(parts[1], radix: 36), let start = UInt64(parts[2], radix: 36)
        else { return nil }
        switch parts[0].utf8.first {
        case UInt8(ascii: "c"): owner = .container(id)
        case UInt8(ascii: "p"): owner = .pod(id)
        default: return nil
        }
        maker = ProcessIdentity(pid: Int32(bitPattern: pid), startTime: start)
    }

    private static let digits: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    /// 64 hexadecimal digits as 43 of base 64, most significant first; the last has two bits of padding.
    private static func pack(_ hex: String) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(43)
        var (value, bits) = (UInt32(0), 0)
        for byte in hex.utf8 {
            value = value << 4 | UInt32(hexValue(byte) ?? 0)
            bits += 4
            if bits >= 6 {
                bits -= 6
                result.append(digits.utf8Start[Int(value >> UInt32(bits) & 63)])
            }
        }
        if bits > 0 { result.append(digits.utf8Start[Int(value << UInt32(6 - bits) & 63)]) }
        return String(decoding: result, as: UTF8.self)
    }

    private static func unpack(_ text: some Sequence<UInt8>) -> String? {
        var result: [UInt8] = []
        result.reserveCapacity(64)
        var (value, bits) = (UInt32(0), 0)
        for byte in text {
            guard let digit = base64Value(byte) else { return nil }
            value = value << 6 | digit
            bits += 6
            while bits >= 4, result.count < 64 {
                bits -= 4
                let nibble = UInt8(value >> UInt32(bits) & 15)
                result.append(nibble < 10 ? 48 + nibble : 87 + nibble)
            }
        }
        return result.count == 64 ? String(decoding: result, as: UTF8.self) : nil
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 97...102: byte - 87
        default: nil
        }
    }

    private static func base64Value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 65...90: UInt32(byte - 65)
        case 97...122: UInt32(byte - 71)
        case 48...57: UInt32(byte + 4)
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
