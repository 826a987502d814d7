// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Writes a container's output to its log file.
///
/// A chunk becomes records, one per line, with one timestamp, in one `write(2)` per 32 KiB of records. A chunk that does
/// not end with a newline ends with a partial record, whose line a later record continues.
///
/// With a size limit there are two files: the log itself and the older `PATH.1`. The log takes PATH.1's place when it
/// would pass half of the limit, so that both together stay within it and at least half of it is kept.
///
/// A full disk does not stop the container. What cannot be written is counted, and said in a record of standard error
/// as soon as there is room.
public final class LogWriter {
    private let path: String
    private let halfLimit: Int64?
    /// Opened when there is something to write: many containers never say anything.
    private var fd: OwnedFD?
    private var size: Int64 = 0
    private var format: LogLineFormat
    private let holdsSequences: Bool
    /// Formatted records that are not written yet.
    private var records: [UInt8] = []
    /// Content bytes in `records`.
    private var contentCount = 0
    /// Content bytes that could not be written, and why.
    private var lost: (bytes: Int, reason: Errno)?
    /// Per stream, the beginning of a UTF-8 sequence whose rest has not come (json-file only).
    private var held: [OutputStream: [UInt8]] = [:]

    private static let flushSize = 32 << 10

    /// The older file of a log with a size limit.
    public static func olderPath(_ path: String) -> String { path + ".1" }

    /// Writes to the log at `path`, which is made with mode 0600 if missing. `maxSize` is in bytes, for both files
    /// together; nil: no limit.
    public init(path: String, format: LogFormat, maxSize: Int64? = nil) {
        self.path = path
        self.format = LogLineFormat(format)
        holdsSequences = format == .jsonFile
        halfLimit = maxSize.map { max(1, $0 / 2) }
    }

    /// Records what the process wrote. Never fails: see the type's comment.
    public func write(_ stream: OutputStream, _ chunk: UnsafeRawBufferPointer) {
        format.begin(stream, at: LogTimestamp.now())
        if let start = held.removeValue(forKey: stream) {
            (start + chunk).withUnsafeBytes { append(stream, $0) }
        } else {
            append(stream, chunk)
        }
        flush()
    }

    /// Records what was held back of an unfinished line. Called when the process has ended.
    public func finishLines() {
        for stream in [OutputStream.stdout, .stderr] {
            guard let rest = held.removeValue(forKey: stream) else { continue }
            format.begin(stream, at: LogTimestamp.now())
            rest.withUnsafeBytes { appendRecord($0, isWhole: false) }
        }
        flush()
    }

    private func append(_ stream: OutputStream, _ chunk: UnsafeRawBufferPointer) {
        var start = 0
        while start < chunk.count {
            guard let base = chunk.baseAddress,
                let newline = memchr(base + start, Int32(UInt8(ascii: "\n")), chunk.count - start)
            else { break }
            let end = UnsafeRawPointer(newline) - base
            appendRecord(UnsafeRawBufferPointer(rebasing: chunk[start..<end]), isWhole: true)
            start = end + 1
        }
        let rest = UnsafeRawBufferPointer(rebasing: chunk[start...])
        let incomplete = holdsSequences ? LogLineFormat.incompleteSuffix(rest) : 0
        if incomplete > 0 { held[stream] = Array(rest[(rest.count - incomplete)...]) }
        if rest.count > incomplete {
            appendRecord(UnsafeRawBufferPointer(rebasing: rest[..<(rest.count - incomplete)]), isWhole: false)
        }
    }

    private func appendRecord(_ text: UnsafeRawBufferPointer, isWhole: Bool) {
        if !records.isEmpty {
            let after = records.count + format.sizeLimit(text.count)
            let passesLimit = halfLimit.map { size + Int64(after) > $0 } ?? false
            if after > LogWriter.flushSize || passesLimit { flush() }
        }
        format.append(text, isWhole: isWhole, to: &records)
        contentCount += text.count + (isWhole ? 1 : 0)
    }

    private func flush() {
        if records.isEmpty { return }
        if let lost { report(lost) }
        if let reason = put(records) { lost = ((lost?.bytes ?? 0) + contentCount, reason) }
        // Worst cases (a chunk of newlines in JSON) must not stay as memory for the container's life.
        if records.capacity > 4 * LogWriter.flushSize { records = [] } else { records.removeAll(keepingCapacity: true) }
        contentCount = 0
    }

    /// Says what is missing, in front of what comes after it.
    private func report(_ loss: (bytes: Int, reason: Errno)) {
        var note = format
        note.begin(.stderr, at: LogTimestamp.now())
        let text = "samara: \(loss.bytes) bytes of output could not be written to the log: \(loss.reason.text)"
        var bytes: [UInt8] = []
        Array(text.utf8).withUnsafeBytes { note.append($0, isWhole: true, to: &bytes) }
        if put(bytes) == nil { lost = nil }
    }

    /// Writes whole records, or none of them and says why.
    private func put(_ bytes: [UInt8]) -> Errno? {
        let descriptor: Int32
        do throws(Errno) {
            _ = try opened()
            if let halfLimit, size > 0, size + Int64(bytes.count) > halfLimit { rotate() }
            descriptor = try opened()
        } catch { return error }
        do throws(Errno) { try File.writeAll(descriptor, bytes) } catch {
            // Half a record would garble the next one.
            _ = ftruncate(descriptor, off_t(size))
            return error
        }
        size += Int64(bytes.count)
        return nil
    }

    private func opened() throws(Errno) -> Int32 {
        if let descriptor = fd?.raw { return descriptor }
        let log = try LogWriter.open(path)
        size = try LogWriter.dropTornRecord(log)
        let descriptor = log.raw
        fd = consume log
        return descriptor
    }

    private func rotate() {
        let older = LogWriter.olderPath(path)
        do throws(Errno) {
            try File.rename(path, older)
            fd = try LogWriter.open(path)
            size = 0
        } catch {
            // Most likely no space for a new file. The log outgrows its limit rather than losing what it has; the next
            // write tries again.
            if !File.exists(path) { try? File.rename(older, path) }
        }
    }

    private static func open(_ path: String) throws(Errno) -> OwnedFD {
        try File.open(path, O_RDWR | O_APPEND | O_CREAT, mode: 0o600)
    }

    /// A monitor killed by a power loss may leave the beginning of a record at the end. Returns the size without it.
    private static func dropTornRecord(_ fd: borrowing OwnedFD) throws(Errno) -> Int64 {
        let status = try File.status(fd)
        guard status.isRegular, status.size > 0 else { return 0 }
        var end = status.size
        var block = [UInt8](repeating: 0, count: 4096)
        while end > 0 {
            let start = max(0, end - Int64(block.count))
            let count = try checked(pread(fd.raw, &block, Int(end - start), off_t(start)))
            if let newline = block[..<count].lastIndex(of: UInt8(ascii: "\n")) {
                end = start + Int64(newline) + 1
                break
            }
            end = start
        }
        if end < status.size { _ = try checked(ftruncate(fd.raw, off_t(end))) }
        return end
    }
}
