// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Prints log records to standard output and error, as `podman logs` does.
struct LogPrinter {
    /// What stands in front of each line.
    struct Prefix {
        /// "name ", or empty.
        var text: [UInt8]
        /// Escape sequence that starts the container's colour, or empty.
        var color: [UInt8]
    }

    private struct Destination {
        let descriptor: Int32
        var pending: [UInt8] = []
        /// The container and stream in whose line the output stands, nil at the beginning of a line.
        var open: (source: Int, stream: OutputStream)?
    }

    private var output: Destination
    private var errorOutput: Destination
    private let prefixes: [Prefix]
    private let timestamps: Bool
    /// A reader is gone: there is no use in going on.
    private(set) var isBroken = false

    private static let flushSize = 32 << 10

    init(output: Int32, errorOutput: Int32, prefixes: [Prefix], timestamps: Bool) {
        self.output = Destination(descriptor: output)
        self.errorOutput = Destination(descriptor: errorOutput)
        self.prefixes = prefixes
        self.timestamps = timestamps
    }

    /// Prints one record. Parts of a line stand on one line; where another container's output comes between them on the
    /// same descriptor, the line is broken and continues with a prefix of its own.
    mutating func print(_ record: LogRecord, _ text: UnsafeRawBufferPointer, source: Int) throws(MonitorError) {
        // What was written first is printed first, also where both streams are one terminal.
        if record.stream == .stdout {
            try LogPrinter.flush(&errorOutput, &isBroken)
            add(record, text, source, to: &output)
            if output.pending.count >= LogPrinter.flushSize { try LogPrinter.flush(&output, &isBroken) }
        } else {
            try LogPrinter.flush(&output, &isBroken)
            add(record, text, source, to: &errorOutput)
            if errorOutput.pending.count >= LogPrinter.flushSize { try LogPrinter.flush(&errorOutput, &isBroken) }
        }
    }

    var outputDescriptor: Int32 { output.descriptor }

    /// Whether nobody can read the output any more.
    func hasLostReader() -> Bool {
        !PollSet.events(of: output.descriptor, []).isDisjoint(with: [.failed, .hangUp, .invalid])
    }

    mutating func flush() throws(MonitorError) {
        try LogPrinter.flush(&output, &isBroken)
        try LogPrinter.flush(&errorOutput, &isBroken)
    }

    private func add(
        _ record: LogRecord, _ text: UnsafeRawBufferPointer, _ source: Int, to destination: inout Destination
    ) {
        let prefix = prefixes[source]
        var isContinued = false
        if let open = destination.open {
            isContinued = open.source == source && open.stream == record.stream
            if !isContinued { destination.pending.append(UInt8(ascii: "\n")) }
        }
        if !prefix.color.isEmpty { destination.pending.append(contentsOf: prefix.color) }
        if !isContinued {
            destination.pending.append(contentsOf: prefix.text)
            if timestamps {
                record.time.append(to: &destination.pending, utc: .letter)
                destination.pending.append(UInt8(ascii: " "))
            }
        }
        destination.pending.append(contentsOf: text)
        if !prefix.color.isEmpty { destination.pending.append(contentsOf: "\u{1B}[0m".utf8) }
        if record.isPartial {
            destination.open = (source, record.stream)
        } else {
            destination.pending.append(UInt8(ascii: "\n"))
            destination.open = nil
        }
    }

    private static func flush(_ destination: inout Destination, _ isBroken: inout Bool) throws(MonitorError) {
        if destination.pending.isEmpty { return }
        defer { destination.pending.removeAll(keepingCapacity: true) }
        if isBroken { return }
        do throws(Errno) { try File.writeAll(destination.descriptor, destination.pending) } catch {
            isBroken = true
            if error != .brokenPipe { throw MonitorError("write the log to standard output", "", error) }
        }
    }
}
