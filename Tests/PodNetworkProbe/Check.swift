// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// Counts and prints what did not hold.
enum Check {
    nonisolated(unsafe) static var failures = 0

    static func fail(_ text: String) {
        failures += 1
        // Not print: the process leaves without flushing stdio.
        try? File.writeAll(1, Array("FAILED: \(text)\n".utf8))
    }

    static func equal<Value: Equatable>(_ actual: Value, _ expected: Value, _ subject: String) {
        if actual != expected { fail("\(subject): \(actual), expected \(expected)") }
    }

    /// Runs `body`; an error is a failure of `subject`.
    static func noError(_ subject: String, _ body: () throws -> Void) {
        do { try body() } catch { fail("\(subject): \(error)") }
    }
}

/// A new user and network namespace for this process, as root of it.
enum Namespace {
    static func enter(_ more: Int32 = 0) throws {
        let user = getuid()
        let group = getgid()
        _ = try checked(samara_unshare(CLONE_NEWUSER | CLONE_NEWNET | more))
        try File.write("/proc/self/setgroups", Array("deny".utf8), flags: 0)
        try File.write("/proc/self/uid_map", Array("0 \(user) 1".utf8), flags: 0)
        try File.write("/proc/self/gid_map", Array("0 \(group) 1".utf8), flags: 0)
    }
}

/// Waits until `fd` is readable; false after `milliseconds`.
func waitReadable(_ fd: Int32, milliseconds: Int32 = 5000) -> Bool {
    var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, milliseconds) == 1
}
