// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A container's log, as `samara logs` sees it.
public struct LogSource {
    public var path: String
    /// The container's full ID; its first 12 characters mark its lines.
    public var id: String
    public var name: String
    /// Whether more may be written. Asked before the file is read to its end, so that nothing written before the answer
    /// is missed.
    public var isRunning: () -> Bool
    /// Readable when `isRunning` may have changed (such as a pidfd of the monitor), nil: asked every 250 ms.
    public var wakeDescriptor: Int32?

    public init(
        path: String, id: String, name: String, wakeDescriptor: Int32? = nil, isRunning: @escaping () -> Bool
    ) {
        self.path = path
        self.id = id
        self.name = name
        self.wakeDescriptor = wakeDescriptor
        self.isRunning = isRunning
    }
}

/// What `samara logs` prints, and how.
public struct LogQuery: Sendable {
    /// Goes on until every container has ended.
    public var follow = false
    /// Only so many lines from the end, of each container; nil: all. 0: none of those there are.
    public var tail: Int?
    /// Only lines begun after this moment.
    public var since: Timestamp?
    /// Only lines begun before this moment.
    public var until: Timestamp?
    public var timestamps = false
    /// With several containers, their names instead of their IDs in front of lines.
    public var names = false
    public var color = false

    public init() {}
}

/// Prints the logs of containers: `podman logs`.
public struct LogReader: ~Copyable {
    private let sources: [LogSource]
    private let query: LogQuery
    private var cursors: [LogCursor] = []
    private var printer: LogPrinter
    /// Whether each container's streams are inside a line, and whether that line is printed.
    private var openLines: [[OutputStream: Bool]]

    /// Milliseconds between looks where nothing tells of changes.
    private static let pollInterval: Int64 = 250

    /// Prints to the descriptors until the logs end, or with `follow` the containers have. Lines of several containers
    /// are merged by time. Returns early when the reader of `output` is gone. Damaged lines are skipped with a warning.
    ///
    /// The caller blocks or ignores SIGPIPE, or lets it end the program.
    public static func run(
        _ sources: [LogSource], _ query: LogQuery, output: Int32 = 1, errorOutput: Int32 = 2
    ) throws(MonitorError) {
        var reader = try LogReader(sources, query, output, errorOutput)
        try reader.run()
        reader.warn(errorOutput)
    }

    private init(
        _ sources: [LogSource], _ query: LogQuery, _ output: Int32, _ errorOutput: Int32
    ) throws(MonitorError) {
        self.sources = sources
        self.query = query
        printer = LogPrinter(
            output: output, errorOutput: errorOutput, prefixes: LogReader.prefixes(sources, query),
            timestamps: query.timestamps)
        openLines = Array(repeating: [:], count: sources.count)
        for source in sources { cursors.append(try LogCursor(source.path, tail: query.tail)) }
    }

    private static func prefixes(_ sources: [LogSource], _ query: LogQuery) -> [LogPrinter.Prefix] {
        // The colours and their order are podman's: light grey, red, yellow, blue, magenta, cyan, green.
        let colors = [37, 31, 33, 34, 35, 36, 32]
        return sources.indices.map { index in
            let source = sources[index]
            let mark = sources.count < 2 ? "" : (query.names ? source.name : String(source.id.prefix(12))) + " "
            let color = query.color ? "\u{1B}[\(colors[index % colors.count])m" : ""
            return LogPrinter.Prefix(text: Array(mark.utf8), color: Array(color.utf8))
        }
    }

    private mutating func run() throws(MonitorError) {
        let watch = query.follow ? makeWatch() : nil
        var polls = PollSet()
        var wakeDescriptors = sources.compactMap(\.wakeDescriptor)
        while true {
            let isRunning = query.follow && sources.contains { $0.isRunning() }
            try printAvailable()
            try printer.flush()
            if !isRunning || printer.isBroken || isPastUntil() { return }
            polls.removeAll()
            // First in the set, so that places in both are the same.
            let wakes = wakeDescriptors.map { polls.add($0, .readable) }
            // Watched only to leave when it has no reader any more.
            polls.add(printer.outputDescriptor, [])
            var timeout: Int64? = LogReader.pollInterval
            if let watch {
                polls.add(watch.descriptor, .readable)
                if query.until == nil, wakeDescriptors.count == sources.count { timeout = nil }
            }
            do throws(Errno) { try polls.wait(timeoutMilliseconds: timeout) } catch {
                throw MonitorError("wait for the log", "", error)
            }
            watch?.clear()
            // Each says once that the answer may have changed; if it has not yet, it is asked from time to time.
            for index in wakes.reversed() where polls.events(index) != [] { wakeDescriptors.remove(at: index) }
            if printer.hasLostReader() { return }
        }
    }

    /// nil where the user's inotify limits are reached: the files are looked at from time to time instead.
    private func makeWatch() -> DirectoryWatch? {
        do throws(Errno) {
            let watch = try DirectoryWatch()
            for source in sources {
                // The directory, because the file may not exist yet and is replaced at its size limit.
                let directory = source.path.lastIndex(of: "/").map { String(source.path[..<$0]) } ?? "."
                try watch.add(directory.isEmpty ? "/" : directory)
            }
            return watch
        } catch { return nil }
    }

    private func isPastUntil() -> Bool {
        guard let until = query.until else { return false }
        return Timestamp.now >= until
    }

    private mutating func printAvailable() throws(MonitorError) {
        while !printer.isBroken, let next = try earliest() {
            let record = next.record
            let wanted = isWanted(record, source: next.source)
            var failure: MonitorError?
            cursors[next.source].take { text in
                if !wanted { return }
                do throws(MonitorError) { try printer.print(record, text, source: next.source) } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
        }
    }

    private func earliest() throws(MonitorError) -> (source: Int, record: LogRecord)? {
        var best: (source: Int, record: LogRecord)?
        for index in cursors.indices {
            guard let record = try cursors[index].peek() else { continue }
            if let known = best, known.record.time.moment <= record.time.moment { continue }
            best = (index, record)
        }
        return best
    }

    /// Whether a record is printed: decided by the time at which its line began.
    private mutating func isWanted(_ record: LogRecord, source: Int) -> Bool {
        let begun = openLines[source][record.stream]
        let wanted = begun ?? isInRange(record.time.moment)
        openLines[source][record.stream] = record.isPartial ? wanted : nil
        return wanted
    }

    private func isInRange(_ time: Timestamp) -> Bool {
        if let since = query.since, time <= since { return false }
        if let until = query.until, time >= until { return false }
        return true
    }

    private func warn(_ errorOutput: Int32) {
        for (source, cursor) in zip(sources, cursors) where cursor.malformed > 0 {
            let text = "samara: warning: \(cursor.malformed) damaged lines of \(source.path) were skipped\n"
            // Nobody is left to tell if standard error is gone.
            try? File.writeAll(errorOutput, Array(text.utf8))
        }
    }
}
