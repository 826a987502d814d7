// SPDX-License-Identifier: Apache-2.0

/// Signals by name: signal(7), the numbers of x86-64, arm64 and most other architectures.
enum SignalNames {
    /// Reads `9`, `KILL`, `SIGKILL`, `kill`, `RTMIN+3`, `SIGRTMAX-1`; nil for anything else and for 0.
    static func number(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let number = table.first(where: { $0.name == name })?.number { return number }
        return realTime(name)
    }

    /// The error for a text that `number` does not take.
    static func parse(_ text: String) throws(Failure) -> Int32 {
        guard let number = number(text) else { throw Failure("invalid signal: \(text)") }
        return number
    }

    /// `SIGTERM` for 15, `SIGRTMIN+3` for 37; the number itself if there is no name.
    static func name(_ number: Int32) -> String {
        if let name = table.first(where: { $0.number == number })?.name { return "SIG" + name }
        switch number {
        case realTimeFirst: return "SIGRTMIN"
        case realTimeFirst + 1...realTimeLast - 15: return "SIGRTMIN+\(number - realTimeFirst)"
        case realTimeLast - 14...realTimeLast - 1: return "SIGRTMAX-\(realTimeLast - number)"
        case realTimeLast: return "SIGRTMAX"
        default: return String(number)
        }
    }

    // glibc keeps 32 and 33 for itself.
    private static let realTimeFirst: Int32 = 34
    private static let realTimeLast: Int32 = 64

    private static func realTime(_ name: String) -> Int32? {
        let number: Int32?
        switch name {
        case "RTMIN": return realTimeFirst
        case "RTMAX": return realTimeLast
        case _ where name.hasPrefix("RTMIN+"): number = Int32(name.dropFirst(6)).map { realTimeFirst &+ $0 }
        case _ where name.hasPrefix("RTMAX-"): number = Int32(name.dropFirst(6)).map { realTimeLast &- $0 }
        default: number = nil
        }
        return number.flatMap { (realTimeFirst...realTimeLast).contains($0) ? $0 : nil }
    }

    /// The usual name of a number comes before its other names.
    private static let table: [(name: String, number: Int32)] = [
        ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("BUS", 7), ("FPE", 8), ("KILL", 9),
        ("USR1", 10), ("SEGV", 11), ("USR2", 12), ("PIPE", 13), ("ALRM", 14), ("TERM", 15), ("STKFLT", 16),
        ("CHLD", 17), ("CONT", 18), ("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22), ("URG", 23), ("XCPU", 24),
        ("XFSZ", 25), ("VTALRM", 26), ("PROF", 27), ("WINCH", 28), ("IO", 29), ("PWR", 30), ("SYS", 31),
        ("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31),
    ]
}
