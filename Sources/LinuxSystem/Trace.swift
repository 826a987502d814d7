// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// The points of a start, written as they are passed, to see where its time goes.
///
/// `SAMARA_TRACE=FILE` turns them on. Every process of the start appends its lines to FILE, each with one write:
///
///     CLOCK_MONOTONIC-NANOSECONDS ROLE POINT        e.g. `81735127936412 monitor ready`
///
/// A point is named after what has just been done, so that a phase is the time since the line before. Off, a point is a
/// look at one integer; on, it is a write(2) without allocation, which a launched child may do as well.
public enum Trace {
    private nonisolated(unsafe) static var descriptor: Int32 = -1

    /// Above the sockets of activation, which are placed from 3 on; below the usual limit of 1024.
    private static let lowestNumber: Int32 = 1000

    /// Opens the file that the environment names, if any. The descriptor is close-on-exec, so that no container has it.
    public static func start() throws(Errno) {
        guard let path = Identity.environment(variable), !path.isEmpty else { return }
        let file = try File.open(path, O_WRONLY | O_APPEND | O_CREAT, mode: 0o600)
        descriptor = try file.duplicate(atLeast: lowestNumber).release()
    }

    public static let variable = "SAMARA_TRACE"

    /// What a process that closes the descriptors it does not know has to keep; -1 when tracing is off.
    public static var kept: Int32 { descriptor }

    /// - Parameter name: ASCII: the role, a space, what has just been done.
    public static func point(_ name: StaticString) {
        if descriptor >= 0 { write(name.utf8Start) }
    }

    private static func write(_ name: UnsafePointer<UInt8>) {
        name.withMemoryRebound(to: CChar.self, capacity: 1) { samara_trace(descriptor, $0) }
    }
}
