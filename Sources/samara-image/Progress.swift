// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import OCISpec
import Presentation

/// What a transfer tells on standard error: a live line per blob on a terminal, plain lines elsewhere, or one JSON
/// object per line.
final class Progress {
    enum Mode: String {
        /// A terminal or plain lines.
        case automatic = "auto"
        case terminal = "tty"
        case plain, json, none
    }

    /// One line on the terminal.
    private struct Line {
        var title: String
        var total: Int64
        var done: Int64 = 0
        let started = MonotonicClock.signedMilliseconds
        /// When it was last told in JSON.
        var reported = MonotonicClock.signedMilliseconds
    }

    /// Milliseconds between two drawings.
    private static let interval: Int64 = 100

    private let mode: Mode
    private var live: [Digest: Line] = [:]
    private var order: [Digest] = []
    /// Live lines on the screen, to be overwritten by the next drawing.
    private var drawn = 0
    private var lastDrawing: Int64 = 0
    private let columns: Int

    init(_ mode: Mode) {
        self.mode = mode == .automatic ? (Terminal.isTerminal(2) ? .terminal : .plain) : mode
        let size = try? Terminal.windowSize(2)
        columns = max(20, Int(size?.columns ?? 80))
    }

    /// A step of the command.
    func message(_ text: String) {
        switch mode {
        case .none: return
        case .json: emit(["event": "message", "text": .string(text)])
        default: permanent(text)
        }
    }

    /// Something that is worth knowing though all may end well.
    func note(_ text: String) {
        switch mode {
        case .none: return
        case .json: emit(["event": "note", "text": .string(text)])
        default: permanent("Note: \(text)")
        }
    }

    /// - Parameter kind: `blob` or `config`.
    func begin(_ kind: String, _ descriptor: Descriptor) {
        switch mode {
        case .plain: permanent("Copying \(kind) \(descriptor.digest)")
        case .json:
            live[descriptor.digest] = Line(title: kind, total: descriptor.size)
            event(kind, descriptor, "started", 0)
        case .terminal:
            if live[descriptor.digest] == nil { order.append(descriptor.digest) }
            live[descriptor.digest] = Line(
                title: "Copying \(kind) \(descriptor.digest.hex.prefix(12))", total: descriptor.size)
            draw(force: true)
        case .none, .automatic: return
        }
    }

    func alreadyPresent(_ kind: String, _ descriptor: Descriptor) {
        switch mode {
        case .plain: permanent("Copying \(kind) \(descriptor.digest) skipped: already exists")
        case .json: event(kind, descriptor, "present", descriptor.size)
        case .terminal: permanent("Copying \(kind) \(descriptor.digest.hex.prefix(12)) skipped: already exists")
        case .none, .automatic: return
        }
    }

    /// So many bytes of a blob are there.
    func update(_ kind: String, _ descriptor: Descriptor, _ bytes: Int64) {
        guard mode == .terminal || mode == .json, bytes != live[descriptor.digest]?.done else { return }
        if mode == .terminal {
            live[descriptor.digest]?.done = bytes
            return draw(force: false)
        }
        let now = MonotonicClock.signedMilliseconds
        guard now - live[descriptor.digest, default: Line(title: "", total: 0)].reported >= Progress.interval else {
            return
        }
        live[descriptor.digest]?.done = bytes
        live[descriptor.digest]?.reported = now
        event(kind, descriptor, "progress", bytes)
    }

    func end(_ kind: String, _ descriptor: Descriptor) {
        switch mode {
        case .json:
            live[descriptor.digest] = nil
            event(kind, descriptor, "done", descriptor.size)
        case .terminal:
            guard let line = live.removeValue(forKey: descriptor.digest) else { return }
            order.removeAll { $0 == descriptor.digest }
            permanent("\(line.title) done   | \(HumanSize.text(bytes: line.total))\(rate(line))")
        case .plain, .none, .automatic: return
        }
    }

    /// Takes the live lines off the screen: an error message follows.
    func close() {
        order.removeAll()
        live.removeAll()
        draw(force: true)
    }

    // MARK: Terminal

    private func rate(_ line: Line) -> String {
        let milliseconds = max(1, MonotonicClock.signedMilliseconds - line.started)
        return " | " + HumanSize.text(bytes: line.total * 1000 / milliseconds) + "/s"
    }

    private func draw(force: Bool) {
        let now = MonotonicClock.signedMilliseconds
        if !force, now - lastDrawing < Progress.interval { return }
        if drawn == 0, order.isEmpty { return }
        lastDrawing = now
        write(erasing() + liveText(now))
    }

    private func permanent(_ text: String) {
        let head = erasing()
        write(head + text + "\n" + liveText(MonotonicClock.signedMilliseconds))
    }

    // ECMA-48: CUU moves up, ED erases to the end of the screen.
    private func erasing() -> String {
        defer { drawn = 0 }
        return drawn == 0 ? "" : "\u{1b}[\(drawn)A\u{1b}[J"
    }

    private func liveText(_ now: Int64) -> String {
        var text = ""
        for digest in order {
            guard let line = live[digest] else { continue }
            let width = 24
            let filled = line.total > 0 ? Int(Int64(width) * min(line.done, line.total) / line.total) : width
            let bar = String(repeating: "=", count: filled) + String(repeating: "-", count: width - filled)
            let milliseconds = max(1, now - line.started)
            let speed = HumanSize.text(bytes: line.done * 1000 / milliseconds)
            let whole =
                "\(line.title) [\(bar)] \(HumanSize.text(bytes: line.done)) / \(HumanSize.text(bytes: line.total)) | \(speed)/s"
            // A line that wraps would be erased only in part.
            text += whole.prefix(columns - 1) + "\n"
            drawn += 1
        }
        return text
    }

    // MARK: Output

    private func event(_ kind: String, _ descriptor: Descriptor, _ status: String, _ bytes: Int64) {
        emit([
            "event": .string(kind), "digest": .string(descriptor.digest.description), "size": .int(descriptor.size),
            "status": .string(status), "bytes": .int(bytes),
        ])
    }

    private func emit(_ object: JSONObject) {
        write(String(decoding: JSON.object(object).serialized(), as: UTF8.self) + "\n")
    }

    private func write(_ text: String) { try? File.writeAll(2, Array(text.utf8)) }
}
