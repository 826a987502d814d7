// SPDX-License-Identifier: Apache-2.0

/// Backslash escapes of Go's interpreted string and rune literals.
enum TemplateEscapes {
    /// The content of a literal; nil when an escape is malformed or the bytes are not UTF-8.
    static func decode(_ bytes: ArraySlice<UInt8>, quote: UInt8) -> String? {
        var output: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                output.append(byte)
                continue
            }
            guard let letter = rest.popFirst() else { return nil }
            switch letter {
            case UInt8(ascii: "a"): output.append(0x07)
            case UInt8(ascii: "b"): output.append(0x08)
            case UInt8(ascii: "f"): output.append(0x0C)
            case UInt8(ascii: "n"): output.append(0x0A)
            case UInt8(ascii: "r"): output.append(0x0D)
            case UInt8(ascii: "t"): output.append(0x09)
            case UInt8(ascii: "v"): output.append(0x0B)
            case UInt8(ascii: "\\"), quote: output.append(letter)
            case UInt8(ascii: "x"):
                guard let value = number(&rest, digits: 2, radix: 16) else { return nil }
                output.append(UInt8(value))
            case UInt8(ascii: "u"), UInt8(ascii: "U"):
                guard let value = number(&rest, digits: letter == UInt8(ascii: "u") ? 4 : 8, radix: 16),
                    let scalar = Unicode.Scalar(value)
                else { return nil }
                output.append(contentsOf: String(Character(scalar)).utf8)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                rest = bytes[(rest.startIndex - 1)..<bytes.endIndex]
                guard let value = number(&rest, digits: 3, radix: 8), value <= 255 else { return nil }
                output.append(UInt8(value))
            default: return nil
            }
        }
        return String(validating: output, as: UTF8.self)
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, digits: Int, radix: Int) -> UInt32? {
        let text = rest.prefix(digits)
        guard text.count == digits, text.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else {
            return nil
        }
        rest.removeFirst(digits)
        return UInt32(String(decoding: text, as: UTF8.self), radix: radix)
    }
}
