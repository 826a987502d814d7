// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// One file of a log.
final class LogFile {
    private let fd: OwnedFD
    let inode: UInt64

    /// nil if there is no such file.
    init?(_ path: String) throws(MonitorError) {
        do throws(Errno) {
            fd = try File.open(path, O_RDONLY | O_NOFOLLOW)
            inode = try File.status(fd).inode
        } catch .noSuchFileOrDirectory { return nil } catch { throw MonitorError("read the log file", path, error) }
    }

    /// The number of bytes read at `offset` into the beginning of `buffer`; 0 at the end: `pread(2)`.
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(MonitorError) -> Int {
        do throws(Errno) {
            return try retrying { pread(fd.raw, buffer.baseAddress, buffer.count, off_t(offset)) }
        } catch { throw MonitorError("read the log file", "", error) }
    }

    func size() throws(MonitorError) -> Int64 {
        do throws(Errno) { return try File.status(fd).size } catch {
            throw MonitorError("read the log file", "", error)
        }
    }

    /// The older and the current file of the log at `path`, as far as there are any, oldest first.
    static func openAll(_ path: String) throws(MonitorError) -> [LogFile] {
        while true {
            let current = try LogFile(path)
            let older = try LogFile(LogWriter.olderPath(path))
            // Renamed between the two opens: look again, for the current one is another now.
            if let current, let older, current.inode == older.inode { continue }
            return [older, current].compactMap { $0 }
        }
    }
}

/// Where reading starts for the last lines of a log.
struct LogTail {
    /// A position in the log.
    struct Place: Comparable {
        /// Index into the files.
        var file: Int
        var offset: Int64
        static func < (a: Place, b: Place) -> Bool { a.file != b.file ? a.file < b.file : a.offset < b.offset }
    }

    /// The earliest place that any wanted record has.
    private(set) var start: Place
    /// Per stream, the place of the first record wanted: earlier ones belong to lines that are not.
    private var first: [OutputStream: Place]

    /// How far before the wanted lines the beginnings of unfinished ones are looked for, in bytes. A program writes the
    /// parts of a line close together; without a bound one line of standard output before a gigabyte of errors would
    /// mean reading all of it.
    private static let searchLimit: Int64 = 1 << 20

    /// Whether the record of `stream` at this place is part of the last lines.
    func includes(_ stream: OutputStream, file: Int, offset: Int64) -> Bool {
        guard let place = first[stream] else { return false }
        return Place(file: file, offset: offset) >= place
    }

    /// Finds the last `count` lines by reading backwards. A line is what ends with a newline, or stands unfinished at
    /// the end; parts of one line count once.
    init(_ files: [LogFile], lines count: Int) throws(MonitorError) {
        var end = Place(file: max(0, files.count - 1), offset: 0)
        if let last = files.last { end.offset = try last.size() }
        start = end
        // What is written from now on is wanted in any case.
        first = [.stdout: end, .stderr: end]
        var found = 0
        var searched: Int64 = 0
        // Streams of which a wanted line is open: its last record was seen, its first perhaps not.
        var open: Set<OutputStream> = []
        var closed: Set<OutputStream> = []
        scan: for index in files.indices.reversed() {
            var lines = try BackwardLines(files[index], end: index == end.file ? end.offset : files[index].size())
            while let line = try lines.next() {
                if found == count {
                    if open.isEmpty { break scan }
                    searched += Int64(line.bytes.count)
                    if searched > LogTail.searchLimit { break scan }
                }
                guard let record = LogRecord(line.bytes) else { continue }
                let stream = record.stream
                if record.isPartial, open.contains(stream) {
                    take(stream, Place(file: index, offset: line.offset))
                } else if !closed.contains(stream) {
                    // The end of a line, thus also the beginning of the one after it.
                    open.remove(stream)
                    if found < count {
                        found += 1
                        open.insert(stream)
                        take(stream, Place(file: index, offset: line.offset))
                    } else {
                        closed.insert(stream)
                    }
                }
            }
        }
    }

    private mutating func take(_ stream: OutputStream, _ place: Place) {
        first[stream] = place
        start = min(start, place)
    }
}

/// The lines of a file from the last to the first. What follows the last newline is none.
struct BackwardLines {
    private let file: LogFile
    /// The bytes from `start` on, up to the end of the next line to return, its newline included.
    private var block: [UInt8] = []
    private var start: Int64

    struct Line {
        var bytes: ArraySlice<UInt8>
        var offset: Int64
    }

    private static let blockSize = 64 << 10

    /// Looks at the first `end` bytes.
    init(_ file: LogFile, end: Int64) throws(MonitorError) {
        self.file = file
        start = end
        while start > 0, !block.contains(UInt8(ascii: "\n")) { try extend() }
        if let newline = block.lastIndex(of: UInt8(ascii: "\n")) {
            block.removeSubrange((newline + 1)...)
        } else {
            block = []
        }
    }

    mutating func next() throws(MonitorError) -> Line? {
        if block.isEmpty, start > 0 { try extend() }
        if block.isEmpty { return nil }
        while true {
            let end = block.count - 1
            if let newline = block[..<end].lastIndex(of: UInt8(ascii: "\n")) {
                let line = Line(
                    bytes: ArraySlice(Array(block[(newline + 1)..<end])), offset: start + Int64(newline) + 1)
                block.removeSubrange((newline + 1)...)
                return line
            }
            if start == 0 {
                let line = Line(bytes: block[..<end], offset: 0)
                block = []
                return line
            }
            try extend()
        }
    }

    /// Puts the bytes before `start` in front; doubling, so that a very long line is not copied once per block.
    private mutating func extend() throws(MonitorError) {
        let length = Int(min(start, Int64(max(BackwardLines.blockSize, block.count))))
        var longer = [UInt8](repeating: 0, count: length)
        var failure: MonitorError?
        var count = 0
        longer.withUnsafeMutableBytes { buffer in
            do throws(MonitorError) {
                while count < length {
                    let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
                    let more = try file.read(at: start - Int64(length - count), into: rest)
                    if more == 0 { throw MonitorError("read the log file: it was truncated") }
                    count += more
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
        longer.append(contentsOf: block)
        block = longer
        start -= Int64(length)
    }
}
