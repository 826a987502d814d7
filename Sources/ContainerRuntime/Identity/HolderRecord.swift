// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// The holder's file: its process, and the id map that every container's namespace repeats, so that no start has to
/// read and take apart what the kernel says of it:
///
///     PID START
///     u FIRST COUNT    one line per extent of user ids
///     g FIRST COUNT    and of group ids
struct HolderRecord {
    var process: ProcessIdentity
    /// nil in a file without extents.
    var map: IDMap?

    /// Of the holder whose namespace this process has joined. Processes of the engine have one thread.
    nonisolated(unsafe) static var joined: HolderRecord?

    init(process: ProcessIdentity, map: IDMap?) {
        self.process = process
        self.map = map
    }

    /// nil if the file is not whole.
    init?(_ bytes: [UInt8]) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"))[...]
        guard let first = lines.popFirst() else { return nil }
        let identity = HolderRecord.numbers(first)
        guard identity.count == 2, let pid = Int32(exactly: identity[0]) else { return nil }
        process = ProcessIdentity(pid: pid, startTime: identity[1])
        var map = IDMap(users: [], groups: [])
        for line in lines {
            let numbers = HolderRecord.numbers(line.dropFirst())
            guard numbers.count == 2, let start = UInt32(exactly: numbers[0]), let count = UInt32(exactly: numbers[1])
            else { return nil }
            let extent = IDMap.Extent(inside: start, outside: start, count: count)
            if line.first == UInt8(ascii: "u") { map.users.append(extent) } else { map.groups.append(extent) }
        }
        self.map = map.users.isEmpty || map.groups.isEmpty ? nil : map
    }

    var bytes: [UInt8] {
        var text = "\(process.pid) \(process.startTime)\n"
        for extent in map?.users ?? [] { text += "u \(extent.inside) \(extent.count)\n" }
        for extent in map?.groups ?? [] { text += "g \(extent.inside) \(extent.count)\n" }
        return Array(text.utf8)
    }

    /// Decimal numbers with anything else between them.
    private static func numbers(_ text: ArraySlice<UInt8>) -> [UInt64] {
        var numbers: [UInt64] = []
        var isInside = false
        for byte in text {
            if byte < 48 || byte > 57 {
                isInside = false
                continue
            }
            if !isInside { numbers.append(0) }
            isInside = true
            numbers[numbers.count - 1] = numbers[numbers.count - 1] &* 10 &+ UInt64(byte - 48)
        }
        return numbers
    }
}
