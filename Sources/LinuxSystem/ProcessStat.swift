// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// The fields of `/proc/PID/stat` that are used here: proc(5).
struct ProcessStat {
    private(set) var pid: Int32 = 0
    private(set) var state: UInt8 = 0
    /// Clock ticks since boot.
    private(set) var startTime: UInt64 = 0
    private(set) var ignoredSignals: UInt64 = 0

    /// nil if the process is gone.
    init?(_ path: String) {
        guard let fd = try? File.open(path, O_RDONLY) else { return nil }
        let raw = fd.raw
        let isWhole = withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 1) { buffer in
            guard let count = try? retrying({ CLinux.read(raw, buffer.baseAddress, buffer.count) }) else {
                return false
            }
            return parse(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        if !isWhole { return nil }
    }

    /// The command name is in parentheses and may itself contain spaces and parentheses: what follows the last one
    /// counts. 0 is the state there, 19 the start time, 30 the ignored signals.
    private mutating func parse(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let close = text.lastIndex(of: UInt8(ascii: ")")) else { return false }
        for digit in text.prefix(while: { $0 >= 48 && $0 <= 57 }) { pid = pid &* 10 &+ Int32(digit - 48) }
        var field = -1
        var value: UInt64 = 0
        for byte in text[(close + 1)...] {
            if byte == UInt8(ascii: " ") {
                keep(value, field)
                field += 1
                value = 0
            } else if field == 0 {
                state = byte
            } else if byte >= 48, byte <= 57 {
                value = value &* 10 &+ UInt64(byte - 48)
            }
        }
        keep(value, field)
        return field > 30
    }

    private mutating func keep(_ value: UInt64, _ field: Int) {
        if field == 19 { startTime = value }
        if field == 30 { ignoredSignals = value }
    }
}
