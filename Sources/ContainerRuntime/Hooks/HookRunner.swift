// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// Runs the hooks of one kind in their order: runtime.md, "Lifecycle"; config.md, "POSIX-platform Hooks".
package enum HookRunner {
    private static let outputLimit = 64 << 10

    /// - Parameter state: the state document that each hook reads on its standard input.
    /// - Throws: at the first hook that fails, with what it wrote to standard error.
    package static func run(_ kind: RuntimeHooks.Kind, _ hooks: RuntimeHooks, state: @autoclosure () -> JSON)
        throws(RuntimeError)
    {
        let list = hooks[kind]
        if list.isEmpty { return }
        let input = state().serialized()
        for (index, hook) in list.enumerated() {
            if let problem = run(hook, input) {
                throw RuntimeError("error running \(kind.rawValue) hook #\(index): \(problem)")
            }
        }
    }

    /// Runs every hook whatever the others did; what went wrong is returned: poststop.
    package static func runAll(_ kind: RuntimeHooks.Kind, _ hooks: RuntimeHooks, state: @autoclosure () -> JSON)
        -> [String]
    {
        if hooks[kind].isEmpty { return [] }
        let input = state().serialized()
        return hooks[kind].enumerated().compactMap { index, hook in
            run(hook, input).map { "error running \(kind.rawValue) hook #\(index): \($0)" }
        }
    }

    /// nil when the hook succeeded.
    private static func run(_ hook: RuntimeHook, _ input: [UInt8]) -> String? {
        do {
            let stdin = try PipePair.make()
            let output = try PipePair.make()
            let null = try File.open("/dev/null", O_WRONLY)
            let arguments = hook.arguments.isEmpty ? [] : Array(hook.arguments.dropFirst())
            let pid = try Spawn.start(
                hook.path, arguments, environment: hook.environment,
                descriptors: [stdin.readEnd.raw, null.raw, output.writeEnd.raw])
            let pidfd = try Process.openDescriptor(pid)
            let reading = output.keepingReadEnd()
            let inputEnd = stdin.keepingWriteEnd()
            return follow(hook, pidfd, inputEnd, reading, input)
        } catch {
            return "exec: `\(hook.path)`: \(error.text)"
        }
    }

    /// Feeds the state, collects standard error and waits; kills at the timeout.
    private static func follow(
        _ hook: RuntimeHook, _ pidfd: borrowing OwnedFD, _ stdin: consuming OwnedFD, _ reading: borrowing OwnedFD,
        _ input: [UInt8]
    ) -> String? {
        // A hook that does not read its input is no error: EPIPE and a full pipe are ignored.
        Process.ignoreSignals([SIGPIPE])
        try? Waiting.setNonBlocking(stdin.raw)
        try? Waiting.setNonBlocking(reading.raw)
        // Closed as soon as everything is written: a hook reads to the end.
        var writer = stdin.release()
        defer { if writer >= 0 { close(writer) } }
        var written = 0
        func feed() {
            let count = input[written...].withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
            if count > 0 { written += count }
            if written == input.count || (count < 0 && samara_errno() != EAGAIN) {
                close(writer)
                writer = -1
            }
        }
        feed()
        var collected: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        func drain() {
            while true {
                let count = read(reading.raw, &buffer, buffer.count)
                if count <= 0 { return }
                if collected.count < outputLimit { collected += buffer[..<count] }
            }
        }
        let deadline = hook.timeoutSeconds.map { samara_monotonic_milliseconds() + UInt64($0) * 1000 }
        var hasEnded = false
        var isOverdue = false
        while !hasEnded {
            var set = PollSet()
            let process = set.add(pidfd.raw, .readable)
            set.add(reading.raw, .readable)
            if writer >= 0 { set.add(writer, .writable) }
            let now = samara_monotonic_milliseconds()
            let rest = deadline.map { $0 > now ? Int64($0 - now) : 0 }
            if (try? set.wait(timeoutMilliseconds: rest)) == nil { break }
            drain()
            if writer >= 0 { feed() }
            hasEnded = set.events(process).contains(.readable)
            if !hasEnded, set.events(1).contains(.hangUp) {
                hasEnded = Process.waitForEnd(pidfd, milliseconds: rest.map { Int32(clamping: $0) } ?? -1)
            }
            if !hasEnded, let deadline, samara_monotonic_milliseconds() >= deadline {
                try? Process.signal(pidfd, SIGKILL)
                isOverdue = true
                break
            }
        }
        let status = try? Process.wait(pidfd)
        drain()
        let said = String(decoding: collected, as: UTF8.self).split(separator: "\n").joined(separator: "; ")
        if isOverdue { return "hook ran past specified timeout of \(hook.timeoutSeconds ?? 0).0s" }
        switch status {
        case .exited(0): return nil
        case .exited(let code): return "exit status \(code), stderr: \(said)"
        case .signaled(let signal): return "signal \(signal), stderr: \(said)"
        case nil: return "cannot wait for it"
        }
    }
}
