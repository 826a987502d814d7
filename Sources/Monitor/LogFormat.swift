// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// The file format of a container's log.
public enum LogFormat: String, Sendable {
    /// `TIME stdout F text`: kubernetes/design-proposals CRI logging; what podman calls k8s-file.
    case k8sFile = "k8s-file"
    /// One JSON object per line, as Docker writes it: `{"log":"text\n","stream":"stdout","time":"…Z"}`.
    case jsonFile = "json-file"
}

/// Formats records of one chunk of output; the timestamp is made once per chunk.
struct LogLineFormat {
    private let format: LogFormat
    /// The text after which a record's content follows (k8s-file), or that follows the content (json-file).
    private var frame: [UInt8] = []

    init(_ format: LogFormat) { self.format = format }

    /// Starts a chunk of `stream` at `time`.
    mutating func begin(_ stream: OutputStream, at time: LogTimestamp) {
        frame.removeAll(keepingCapacity: true)
        switch format {
        case .k8sFile:
            time.append(to: &frame, utc: .numeric)
            frame.append(contentsOf: stream == .stdout ? " stdout ".utf8 : " stderr ".utf8)
        case .jsonFile:
            frame.append(
                contentsOf: stream == .stdout ? "\",\"stream\":\"stdout\"".utf8 : "\",\"stream\":\"stderr\"".utf8)
            frame.append(contentsOf: ",\"time\":\"".utf8)
            var utc = time
            utc.utcOffset = 0
            utc.append(to: &frame, utc: .letter)
            frame.append(contentsOf: "\"}\n".utf8)
        }
    }

    /// Appends one record. `text` has no newline; `isWhole` says whether the process wrote one after it.
    func append(_ text: UnsafeRawBufferPointer, isWhole: Bool, to bytes: inout [UInt8]) {
        switch format {
        case .k8sFile:
            bytes.append(contentsOf: frame)
            bytes.append(UInt8(ascii: isWhole ? "F" : "P"))
            bytes.append(UInt8(ascii: " "))
            bytes.append(contentsOf: text)
            bytes.append(UInt8(ascii: "\n"))
        case .jsonFile:
            bytes.append(contentsOf: "{\"log\":\"".utf8)
            LogLineFormat.appendEscaped(text, to: &bytes)
            if isWhole { bytes.append(contentsOf: "\\n".utf8) }
            bytes.append(contentsOf: frame)
        }
    }

    /// The most bytes that a record of `count` content bytes takes.
    func sizeLimit(_ count: Int) -> Int {
        switch format {
        case .k8sFile: count + frame.count + 3
        case .jsonFile: count * 6 + frame.count + 12
        }
    }

    /// How many bytes at the end of `bytes` are the beginning of a UTF-8 sequence that is not complete: 0 to 3.
    static func incompleteSuffix(_ bytes: UnsafeRawBufferPointer) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            if byte & 0xC0 == 0x80 { continue }
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return length > back ? back : 0
        }
        return 0
    }

    /// As Go's encoding/json: control characters escaped, bytes that are no UTF-8 replaced by U+FFFD.
    private static func appendEscaped(_ text: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte < 0x80 {
                appendASCII(byte, to: &bytes)
                index += 1
                continue
            }
            let length = sequenceLength(text, at: index)
            if length == 0 {
                bytes.append(contentsOf: "\\ufffd".utf8)
                index += 1
            } else {
                bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[index..<(index + length)]))
                index += length
            }
        }
    }

    private static func appendASCII(_ byte: UInt8, to bytes: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
        case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
        case 0..<0x20, 0x7F:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: "\\u00".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        default: bytes.append(byte)
        }
    }

    /// The length of the well-formed UTF-8 sequence at `index` (Unicode 15, table 3-7); 0 if there is none.
    private static func sequenceLength(_ text: UnsafeRawBufferPointer, at index: Int) -> Int {
        let first = text[index]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return 0
        }
        guard index + length <= text.count, second.contains(text[index + 1]) else { return 0 }
        for offset in 2..<max(2, length) where text[index + offset] & 0xC0 != 0x80 { return 0 }
        return length
    }
}
