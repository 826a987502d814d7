// SPDX-License-Identifier: Apache-2.0
import Engine
import LinuxSystem
import Presentation

/// The columns of `ps` that say how a container is doing.
enum ContainerText {
    /// `Up 4 seconds`, `Exited (137) 2 seconds ago`, `Created`, `Paused`, `Stopping`.
    static func status(_ state: ContainerState, now: Moment) -> String {
        switch state.status {
        case .running: "Up \(duration(state.started, now))"
        case .exited: "Exited (\(state.exitCode)) \(duration(state.finished, now)) ago"
        case .created: "Created"
        case .paused: "Paused"
        case .stopping: "Stopping"
        }
    }

    /// `8 seconds ago`.
    static func age(_ moment: Moment, now: Moment) -> String {
        HumanDuration.text(seconds: moment.seconds(until: now)) + " ago"
    }

    /// The words joined by spaces, cut to 17 bytes and `...` unless `isFull`.
    static func command(_ words: [String], isFull: Bool) -> String {
        let text = words.joined(separator: " ")
        if isFull || text.utf8.count <= 17 { return text }
        // Go cuts bytes; a character that the cut would split is dropped whole, so that the column stays text.
        var cut = ""
        for character in text.unicodeScalars {
            if cut.utf8.count + UTF8.width(character) > 17 { break }
            cut.unicodeScalars.append(character)
        }
        return cut + "..."
    }

    /// The first twelve digits, or all of them.
    static func id(_ id: String, isFull: Bool) -> String { isFull ? id : String(id.prefix(12)) }

    private static func duration(_ since: LinuxSystem.Timestamp?, _ now: Moment) -> String {
        guard let since else { return HumanDuration.text(seconds: 0) }
        return HumanDuration.text(seconds: Moment(since).seconds(until: now))
    }
}
