// SPDX-License-Identifier: Apache-2.0
import JSON

/// JSON values as block-style YAML with sorted keys: what `info` prints. YAML 1.2 section 8.
enum YAMLText {
    static func document(_ value: JSON) -> String {
        var text = ""
        append(value, indent: 0, to: &text)
        return text
    }

    private static func append(_ value: JSON, indent: Int, to text: inout String) {
        let margin = String(repeating: " ", count: indent)
        switch value {
        case .object(let object):
            for key in object.keys.sorted() {
                guard let member = object[key] else { continue }
                text += margin + scalar(.string(key)) + ":"
                appendBehindKey(member, indent: indent, to: &text)
            }
        case .array(let items):
            for item in items {
                var nested = ""
                append(item, indent: indent + 2, to: &nested)
                text += margin + "- " + nested.dropFirst(indent + 2)
            }
        default: text += margin + scalar(value) + "\n"
        }
    }

    private static func appendBehindKey(_ value: JSON, indent: Int, to text: inout String) {
        switch value {
        case .object(let object) where object.keys.isEmpty: text += " {}\n"
        case .array(let items) where items.isEmpty: text += " []\n"
        case .object:
            text += "\n"
            append(value, indent: indent + 2, to: &text)
        case .array:
            text += "\n"
            append(value, indent: indent, to: &text)
        default: text += " " + scalar(value) + "\n"
        }
    }

    private static func scalar(_ value: JSON) -> String {
        guard case .string(let string) = value else { return String(decoding: value.serialized(), as: UTF8.self) }
        if string.isEmpty { return "\"\"" }
        // Plain where no reader could take it for something else; JSON strings are YAML's double-quoted style.
        let isPlain =
            string.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || ("0"..."9").contains($0)
                        || "-_./ ()+~".unicodeScalars.contains($0))
            }
            && string.first?.isLetter == true && string.last != " "
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(string.lowercased())
        let isPath =
            string.hasPrefix("/")
            && string.dropFirst().allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./".contains($0)) }
        return isPlain || isPath ? string : String(decoding: value.serialized(), as: UTF8.self)
    }
}
