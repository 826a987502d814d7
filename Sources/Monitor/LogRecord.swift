// SPDX-License-Identifier: Apache-2.0
import JSON

/// One record of a log file: a line of output, or a part of one.
struct LogRecord {
    var time: LogTimestamp
    var stream: OutputStream
    /// A later record of the same stream continues the line.
    var isPartial: Bool
    /// The output, without the newline that ends a whole line.
    var text: Text

    /// Where the content is: copied only where the file holds it in another form.
    enum Text {
        /// In the line that was parsed, from this index on.
        case from(Int)
        case unescaped([UInt8])
    }

    /// Parses a line of a log in either format, without its newline; nil if it is none. The formats are told apart by
    /// the first byte: a timestamp does not begin with a brace.
    init?(_ line: some RandomAccessCollection<UInt8>) {
        if line.first == UInt8(ascii: "{") { self.init(json: line) } else { self.init(k8s: line) }
    }

    /// `2026-11-22T20:08:17.123456789+00:00 stdout F text`; tags after the first, separated by colons, are allowed by
    /// the CRI and of no meaning here.
    private init?<Line: RandomAccessCollection<UInt8>>(k8s line: Line) {
        let space = UInt8(ascii: " ")
        // No RFC 3339 time is longer than 35 bytes.
        guard let timeEnd = line.prefix(36).firstIndex(of: space), let time = LogTimestamp(line[..<timeEnd]) else {
            return nil
        }
        let streamStart = line.index(after: timeEnd)
        guard let streamEnd = line[streamStart...].prefix(7).firstIndex(of: space) else { return nil }
        let stream: OutputStream
        if line[streamStart..<streamEnd].elementsEqual("stdout".utf8) {
            stream = .stdout
        } else if line[streamStart..<streamEnd].elementsEqual("stderr".utf8) {
            stream = .stderr
        } else {
            return nil
        }
        let tagStart = line.index(after: streamEnd)
        guard let tagEnd = line[tagStart...].firstIndex(of: space) else { return nil }
        let tag = line[tagStart..<tagEnd].split(separator: UInt8(ascii: ":"), maxSplits: 1).first
        guard let tag, tag.count == 1, let letter = tag.first else { return nil }
        guard letter == UInt8(ascii: "F") || letter == UInt8(ascii: "P") else { return nil }
        self.time = time
        self.stream = stream
        isPartial = letter == UInt8(ascii: "P")
        text = .from(line.distance(from: line.startIndex, to: tagEnd) + 1)
    }

    /// Docker's json-file: an object with the strings "log", "stream" and "time".
    private init?(json line: some RandomAccessCollection<UInt8>) {
        guard let object = try? JSON.parse(Array(line), depthLimit: 8),
            let log = object["log"]?.stringValue, let name = object["stream"]?.stringValue,
            let timeText = object["time"]?.stringValue, let time = LogTimestamp(Array(timeText.utf8))
        else { return nil }
        switch name {
        case "stdout": stream = .stdout
        case "stderr": stream = .stderr
        default: return nil
        }
        self.time = time
        var bytes = Array(log.utf8)
        isPartial = bytes.last != UInt8(ascii: "\n")
        if !isPartial { bytes.removeLast() }
        text = .unescaped(bytes)
    }
}
