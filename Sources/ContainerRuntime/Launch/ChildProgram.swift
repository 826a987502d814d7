// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// The last steps: signals and descriptors as a program expects them, then execve(2).
enum ChildProgram {
    /// - Parameter ownProgram: this executable by descriptor, for a container with an init.
    static func execute(_ plan: UnsafePointer<ChildPlan>, _ ownProgram: Int32) -> Never {
        resetSignals(plan.pointee.ignoredSignals)
        let first = UInt32(3 + plan.pointee.preservedDescriptors)
        if samara_close_range(first, .max, UInt32(CLOSE_RANGE_CLOEXEC)) != 0 {
            ChildReport.fail(plan, .descriptors, nil)
        }
        guard let program = plan.pointee.arguments[0] else {
            ChildReport.fail(plan, .execute, nil, errno: ENOENT)
        }
        if plan.pointee.usesInit {
            _ = samara_execveat(ownProgram, "", plan.pointee.arguments, plan.pointee.environment, AT_EMPTY_PATH)
            ChildReport.fail(plan, .execute, program)
        }
        if strchr(program, Int32(UInt8(ascii: "/"))) != nil {
            run(plan, program)
            failure(plan, program, program, samara_errno())
        }
        search(plan, program)
    }

    /// Tries each directory of PATH, as execvp(3) does: a program that may not be executed is remembered, and the
    /// search goes on.
    private static func search(_ plan: UnsafePointer<ChildPlan>, _ program: UnsafePointer<CChar>) -> Never {
        let path = plan.pointee.searchPath
        let nameLength = strlen(program)
        var remembered = ENOENT
        var start = 0
        let buffer = plan.pointee.scratch + ScratchLayout.path
        buffer.withMemoryRebound(to: CChar.self, capacity: ScratchLayout.pathSize) { candidate in
            while nameLength > 0 {
                var end = start
                while path[end] != 0, path[end] != colon { end += 1 }
                let length = end - start
                if length + 1 + nameLength < 4096 {
                    memcpy(candidate, path + start, length)
                    candidate[length] = ChildPath.slash
                    memcpy(candidate + length + 1, program, nameLength + 1)
                    run(plan, length == 0 ? candidate + 1 : candidate)
                    let error = samara_errno()
                    if error != ENOENT, error != ENOTDIR { remembered = error }
                }
                if path[end] == 0 { break }
                start = end + 1
            }
        }
        failure(plan, program, nil, remembered)
    }

    private static func run(_ plan: UnsafePointer<ChildPlan>, _ path: UnsafePointer<CChar>) {
        _ = execve(path, plan.pointee.arguments, plan.pointee.environment)
    }

    private static func failure(
        _ plan: UnsafePointer<ChildPlan>, _ name: CText, _ path: CText?, _ error: Int32
    ) -> Never {
        var status = stat()
        if error == EACCES, let path, stat(path, &status) == 0, status.st_mode & 0o170000 == 0o040000 {
            ChildReport.fail(plan, .execute, name, errno: EISDIR)
        }
        ChildReport.fail(plan, .execute, name, errno: error)
    }

    /// Default dispositions and an empty mask: ignored signals and a blocked mask survive execve (signal(7)).
    /// Handlers need no call: execve resets them.
    private static func resetSignals(_ ignored: UInt64) {
        var action = sigaction()
        for signal in 1..<Int32(32) where ignored & (1 << UInt64(signal - 1)) != 0 {
            _ = sigaction(signal, &action, nil)
        }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }

    private static let colon = CChar(bitPattern: UInt8(ascii: ":"))
}
