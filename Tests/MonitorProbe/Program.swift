// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import LinuxSystem
import Monitor
import SystemPackage

/// Starts the arguments' program with pipes, or with a pseudo-terminal as its controlling terminal.
func startProgram(_ arguments: Arguments) throws -> MonitoredProcess {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    var flags = POSIX_SPAWN_SETSIGMASK
    var streams: ProcessStreams
    if arguments.flags.contains("tty") {
        flags |= Int32(POSIX_SPAWN_SETSID)
        let master = OwnedFD(try checked(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)))
        _ = try checked(grantpt(master.raw))
        _ = try checked(unlockpt(master.raw))
        var name = [CChar](repeating: 0, count: 64)
        if ptsname_r(master.raw, &name, name.count) != 0 { throw lastErrno() }
        // Opened by a session's leader, it becomes its controlling terminal.
        posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        streams = .terminal(master)
        return try spawn(arguments, attributes, actions, flags, streams)
    }
    let stdin = try PipePair.make()
    let stdout = try PipePair.make()
    let stderr = try PipePair.make()
    posix_spawn_file_actions_adddup2(&actions, stdin.readEnd.raw, 0)
    posix_spawn_file_actions_adddup2(&actions, stdout.writeEnd.raw, 1)
    posix_spawn_file_actions_adddup2(&actions, stderr.writeEnd.raw, 2)
    let pidfd = try spawn(arguments, attributes, actions, flags)
    return MonitoredProcess(
        pidfd: pidfd,
        streams: .pipes(
            stdin: stdin.keepingWriteEnd(), stdout: stdout.keepingReadEnd(), stderr: stderr.keepingReadEnd()))
}

private func spawn(
    _ arguments: Arguments, _ attributes: posix_spawnattr_t, _ actions: posix_spawn_file_actions_t, _ flags: Int32,
    _ streams: consuming ProcessStreams
) throws -> MonitoredProcess {
    MonitoredProcess(pidfd: try spawn(arguments, attributes, actions, flags), streams: streams)
}

private func spawn(
    _ arguments: Arguments, _ attributes: posix_spawnattr_t, _ actions: posix_spawn_file_actions_t, _ flags: Int32
) throws -> OwnedFD {
    var attributes = attributes
    var actions = actions
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var pid: pid_t = 0
    let argv = arguments.program.map { strdup($0) } + [nil]
    let code = posix_spawnp(&pid, arguments.program[0], &actions, &attributes, argv, samara_environ())
    if code != 0 { throw Errno(rawValue: code) }
    return try LinuxSystem.Process.openDescriptor(pid)
}
