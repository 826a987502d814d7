// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Other programs: `posix_spawn(3)`.
public enum Spawn {
    /// What a finished helper program said.
    public struct Outcome: Sendable {
        public var status: ExitStatus
        public var standardError: String
    }

    /// Starts `path` with the descriptors of `descriptors` as its 0, 1, 2, … and every other one closed.
    ///
    /// - Returns: the child's pid; the caller waits for it.
    public static func start(
        _ path: String, _ arguments: [String], environment: [String]? = nil, descriptors: [Int32]
    ) throws(Errno) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Two passes: a target number may be the source of a later one. The first moves every source out of the way.
        let high = (descriptors.max() ?? 0) + Int32(descriptors.count) + 3
        for (index, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, high + Int32(index))
        }
        for index in descriptors.indices {
            posix_spawn_file_actions_adddup2(&actions, high + Int32(index), Int32(index))
        }
        posix_spawn_file_actions_addclosefrom_np(&actions, Int32(descriptors.count))
        var pid: pid_t = 0
        let argv = ([path] + arguments).map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        let code: Int32
        if let environment {
            let envp = environment.map { strdup($0) } + [nil]
            defer { envp.forEach { free($0) } }
            code = posix_spawn(&pid, path, &actions, nil, argv, envp)
        } else {
            code = posix_spawn(&pid, path, &actions, nil, argv, samara_environ())
        }
        if code != 0 { throw Errno(rawValue: code) }
        return pid
    }

    /// Becomes another program, found in PATH, with this process's environment and descriptors 0 to 2: `execvp(3)`.
    /// Returns only by throwing.
    public static func become(_ program: String, _ arguments: [String]) throws(Errno) {
        let argv = ([program] + arguments).map { strdup($0) } + [nil]
        execvp(program, argv)
        let error = lastErrno()
        argv.forEach { free($0) }
        throw error
    }

    /// Runs `path` to its end with /dev/null as standard input and output, and keeps up to 64 KiB of what it wrote to
    /// standard error.
    public static func run(
        _ path: String, _ arguments: [String], environment: [String]? = nil
    ) throws(Errno) -> Outcome {
        let null = try File.open("/dev/null", O_RDWR)
        let pipe = try PipePair.make()
        let pid = try start(
            path, arguments, environment: environment, descriptors: [null.raw, null.raw, pipe.writeEnd.raw])
        let reading = pipe.keepingReadEnd()
        let text = (try? File.readAll(reading, limit: 64 << 10)) ?? []
        return Outcome(status: try Process.wait(pid: pid), standardError: String(decoding: text, as: UTF8.self))
    }
}

/// `pipe2(2)`, both ends close-on-exec.
public struct PipePair: ~Copyable {
    public var readEnd: OwnedFD
    public var writeEnd: OwnedFD

    public static func make(flags: Int32 = 0) throws(Errno) -> PipePair {
        var raw: [Int32] = [-1, -1]
        _ = try checked(pipe2(&raw, O_CLOEXEC | flags))
        return PipePair(readEnd: OwnedFD(raw[0]), writeEnd: OwnedFD(raw[1]))
    }

    /// Gives up ownership of both.
    public consuming func release() -> (read: Int32, write: Int32) { (readEnd.release(), writeEnd.release()) }
    /// Closes the write end and returns the read end.
    public consuming func keepingReadEnd() -> OwnedFD { readEnd }
    /// Closes the read end and returns the write end.
    public consuming func keepingWriteEnd() -> OwnedFD { writeEnd }
}
