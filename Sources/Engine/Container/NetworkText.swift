// SPDX-License-Identifier: Apache-2.0

import PodNetwork

/// `--network` as given.
enum NetworkText {
    /// What of `text` a record keeps beside the mode: the options of a network with a tap.
    static func options(_ text: String?) -> String {
        guard let text, text.contains(":"), NetworkOptions.isKnown(kind: text.prefix { $0 != ":" }) else { return "" }
        return text
    }

    /// The tap of a record's options, which were checked when it was made.
    static func tap(_ options: String) -> PodNetworkSettings.TapSettings {
        (try? NetworkOptions.settings(options)) ?? PodNetworkSettings.TapSettings()
    }

    static func parse(_ text: String?) throws(EngineError) -> NetworkMode {
        guard let text, !text.isEmpty else { return .private }
        let kind = text.prefix { $0 != ":" }
        switch kind {
        case "none": return .none
        case "host": return .host
        case "default", "private", "bridge", "slirp4netns", "pasta":
            if text.contains(":") {
                if NetworkOptions.isKnown(kind: kind) {
                    do { _ = try NetworkOptions.settings(text) } catch { throw EngineError(error.message) }
                    return .private
                }
                throw EngineError(
                    "network options are not known: \(text); use --network \(kind) without options")
            }
            return .private
        case "container":
            if let mode = NetworkMode(text) { return mode }
            throw EngineError("invalid network \"\(text)\": name a container, as in container:web")
        default:
            throw EngineError(
                "unable to find network with name or ID \(text): network not found; use none, host, private or container:NAME"
            )
        }
    }
}

/// Signals by name or number: signal(7).
public enum SignalNumber {
    private static let names: [(name: String, number: Int32)] = [
        ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("IOT", 6), ("BUS", 7), ("FPE", 8),
        ("KILL", 9), ("USR1", 10), ("SEGV", 11), ("USR2", 12), ("PIPE", 13), ("ALRM", 14), ("TERM", 15), ("STKFLT", 16),
        ("CHLD", 17), ("CONT", 18), ("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22), ("URG", 23), ("XCPU", 24),
        ("XFSZ", 25), ("VTALRM", 26), ("PROF", 27), ("WINCH", 28), ("IO", 29), ("POLL", 29), ("PWR", 30), ("SYS", 31),
    ]

    /// `9`, `KILL`, `SIGKILL`, `kill`, `RTMIN+3`, `RTMAX-1`; nil if it is none.
    public static func parse(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name = String(name.dropFirst(3)) }
        if let found = names.first(where: { $0.name == name }) { return found.number }
        for (base, start, sign) in [("RTMIN", Int32(34), Int32(1)), ("RTMAX", 64, -1)] where name.hasPrefix(base) {
            let rest = name.dropFirst(base.count)
            if rest.isEmpty { return start }
            guard rest.first == (sign > 0 ? "+" : "-"), let offset = Int32(rest.dropFirst()), (0...30).contains(offset)
            else { return nil }
            return start + sign * offset
        }
        return nil
    }
}
