// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// A process of the host as proc(5) shows it.
struct HostProcess {
    let pid: pid_t
    let title: String

    /// Every process of this user or its subordinate IDs whose title begins so.
    static func all(titled prefix: String) -> [HostProcess] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { name in
            guard let pid = pid_t(name), pid != getpid(),
                let bytes = FileManager.default.contents(atPath: "/proc/\(name)/cmdline")
            else { return nil }
            let title = String(decoding: bytes, as: UTF8.self)
                .replacingOccurrences(of: "\0", with: " ").trimmingCharacters(in: .whitespaces)
            return title.hasPrefix(prefix) && isOwn(pid) ? HostProcess(pid: pid, title: title) : nil
        }
    }

    /// The one process with this title.
    static func one(titled title: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> HostProcess {
        let found = all(titled: title)
        try #require(found.count == 1, "processes titled \"\(title)\": \(found)", sourceLocation: sourceLocation)
        return found[0]
    }

    /// Kills it with SIGKILL and waits until it is gone (or waits for a parent that never reaps).
    func killAndWait() throws {
        guard kill(pid, SIGKILL) == 0 else { throw HarnessError("cannot kill \(title): errno \(errno)") }
        eventually("\(title) ends") { !isAlive }
    }

    var isAlive: Bool {
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return false }
        // proc_pid_stat(5): the state follows the name, which is in parentheses and may contain anything.
        let state = String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " ").first
        return state != "Z" && state != "X" && state != nil
    }

    /// The namespace's inode as readlink shows it, `net:[4026531840]`.
    static func namespace(_ kind: String, of pid: Int) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/\(kind)")
    }

    private static func isOwn(_ pid: pid_t) -> Bool {
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/status") else { return false }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("Uid:\t") }
        guard let user = line?.split(separator: "\t").dropFirst().first.flatMap({ Int($0) }) else { return false }
        return HostSnapshot.userIDs.contains { $0.contains(user) }
    }
}
