// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Reads one log forwards, record by record, across its files and while they are written and replaced.
final class LogCursor {
    private let path: String
    private var files: [LogFile]
    private var fileIndex = 0
    private var tail: LogTail?
    /// Bytes of the current file from `bufferOffset` on; those before `consumed` are used up.
    private var buffer: [UInt8] = []
    private var bufferOffset: Int64 = 0
    private var consumed = 0
    private var peeked: LogRecord?
    /// Where the peeked record's line lies in `buffer`.
    private var line = 0..<0
    /// Lines that were no records.
    private(set) var malformed = 0

    private let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    /// Starts at the beginning, or `lines` lines before the end. A log that does not exist yet is empty.
    init(_ path: String, tail lines: Int?) throws(MonitorError) {
        self.path = path
        files = try LogFile.openAll(path)
        if let lines {
            let tail = try LogTail(files, lines: lines)
            fileIndex = tail.start.file
            bufferOffset = tail.start.offset
            self.tail = tail
        }
    }

    deinit { block.deallocate() }

    /// The next record, which stays the next one until `take`. nil at the end of what is written.
    func peek() throws(MonitorError) -> LogRecord? {
        while peeked == nil {
            guard try findLine() else { return nil }
            let offset = bufferOffset + Int64(line.lowerBound)
            let parsed = buffer.withUnsafeBytes { LogRecord(UnsafeRawBufferPointer(rebasing: $0[line])) }
            guard let record = parsed else {
                malformed += 1
                continue
            }
            if let tail, !tail.includes(record.stream, file: fileIndex, offset: offset) { continue }
            peeked = record
        }
        return peeked
    }

    /// Gives the content of the peeked record to `body` and moves on.
    func take(_ body: (UnsafeRawBufferPointer) -> Void) {
        guard let record = peeked else { return }
        switch record.text {
        case .from(let start):
            buffer.withUnsafeBytes {
                body(UnsafeRawBufferPointer(rebasing: $0[(line.lowerBound + start)..<line.upperBound]))
            }
        case .unescaped(let bytes): bytes.withUnsafeBytes(body)
        }
        peeked = nil
    }

    /// Finds the next complete line in `buffer`, reading more where needed.
    private func findLine() throws(MonitorError) -> Bool {
        var searched = consumed
        while true {
            if let newline = newline(from: searched) {
                line = consumed..<newline
                consumed = newline + 1
                return true
            }
            searched = buffer.count - consumed
            if try !fill() { return false }
        }
    }

    private func newline(from start: Int) -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard start < bytes.count, let base = bytes.baseAddress,
                let found = memchr(base + start, Int32(UInt8(ascii: "\n")), bytes.count - start)
            else { return nil }
            return UnsafeRawPointer(found) - base
        }
    }

    /// Reads on. False at the end of what is written.
    private func fill() throws(MonitorError) -> Bool {
        buffer.removeSubrange(..<consumed)
        bufferOffset += Int64(consumed)
        consumed = 0
        while fileIndex < files.count {
            if try readBlock() { return true }
            if fileIndex + 1 == files.count, try !findNewerFile() { return false }
            // Looked at before the next file: it may have got its last records before it was replaced.
            if try readBlock() { return true }
            fileIndex += 1
            buffer = []
            bufferOffset = 0
        }
        files = try LogFile.openAll(path)
        fileIndex = 0
        if files.isEmpty { return false }
        return try fill()
    }

    private func readBlock() throws(MonitorError) -> Bool {
        let count = try files[fileIndex].read(at: bufferOffset + Int64(buffer.count), into: block)
        buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: block[..<count]))
        return count > 0
    }

    /// Whether the log was replaced since its last file was opened; opens what took its place.
    private func findNewerFile() throws(MonitorError) -> Bool {
        guard let known = files.last else { return false }
        let present = try LogFile.openAll(path)
        guard let newest = present.last, newest.inode != known.inode else { return false }
        // Replaced more than once: what was between is in the older file, if it is not gone.
        let newer = present.drop { $0.inode != known.inode }.dropFirst()
        files.append(contentsOf: newer.isEmpty ? present[...] : newer)
        return true
    }
}
