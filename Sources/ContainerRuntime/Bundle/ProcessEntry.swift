// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// The last part of a process that is inside its container: attributes, identity, program.
struct ProcessEntry {
    var plan: ProcessPlan
    /// Takes a seccomp listener to the command.
    var channel: Int32

    /// Checks at `create` what can be checked without becoming the user: engines expect a missing program there.
    func prepare() throws(RuntimeError) {
        try makeWorkingDirectory()
        _ = try findProgram()
    }

    /// Ends in the program, or throws why not.
    func execute() throws(RuntimeError) -> Never {
        try applyAttributes()
        let environment = environmentWithHome()
        try writeLabel()
        try makeWorkingDirectory()
        // Before the identity changes, because a directory may be closed to the user; and again below, where the
        // filesystem trusts the user rather than root.
        let entered = chdir(plan.process.workingDirectory) == 0
        _ = umask(plan.process.umask ?? 0o022)

        // Without no_new_privs a filter needs CAP_SYS_ADMIN (seccomp(2)), so it is loaded before capabilities go; with
        // it, last of all, so that it need not allow the calls of the set-up.
        if plan.process.noNewPrivileges {
            try SetupStep.check("forbid", "new privileges", samara_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        } else {
            try loadFilter()
        }
        try assumeIdentity()
        if !entered {
            try SetupStep.check("chdir to cwd", plan.process.workingDirectory, chdir(plan.process.workingDirectory))
        }
        try verifyWorkingDirectory()
        let program = try findProgram()
        resetSignals()
        try SetupStep.check(
            "close the descriptors of", program,
            samara_close_range(UInt32(3 + plan.preservedDescriptors), .max, UInt32(CLOSE_RANGE_CLOEXEC)))
        for descriptor in 3..<(3 + plan.preservedDescriptors) { _ = samara_fcntl(descriptor, F_SETFD, 0) }
        let argv = plan.process.arguments.map { strdup($0) } + [nil]
        let envp = environment.map { strdup($0) } + [nil]
        if plan.process.noNewPrivileges { try loadFilter() }
        execve(program, argv, envp)
        throw failure(plan.process.arguments[0], lastErrno())
    }

    // MARK: Attributes

    /// First of all, and before this process or the one that it is cloned from joins anything of a container: the file
    /// belongs to a process only while it is dumpable, and then a container's processes could look into this one
    /// (CVE-2016-9962). It stays dumpable; the caller ends that.
    static func setOOMScore(_ score: Int?) throws(RuntimeError) {
        guard let score else { return }
        _ = samara_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        do throws(Errno) {
            try File.write("/proc/self/oom_score_adj", Array("\(score)".utf8), flags: 0)
        } catch {
            // Lowering needs CAP_SYS_RESOURCE outside: refused to every rootless container, which is no error there.
            guard error == .permissionDenied || error == .notPermitted,
                Identity.effective.0 != 0 || UserNamespace.isNested
            else {
                throw RuntimeError("set", "oom_score_adj", error)
            }
        }
    }

    private func applyAttributes() throws(RuntimeError) {
        // The caller may be pinned to some processors; the container's are those of its cgroup, which was joined before.
        samara_reset_affinity()
        if var scheduler = plan.scheduler {
            try SetupStep.check(
                "set the scheduling policy", plan.process.scheduler?.policy ?? "", samara_sched_setattr(&scheduler))
        }
        if let priority = plan.ioPriority {
            try SetupStep.check("set the I/O priority", "\(priority & 7)", samara_ioprio_set(priority))
        }
        if let persona = plan.persona {
            try SetupStep.check("set the personality", "\(persona)", samara_personality(persona))
        }
        for (index, limit) in plan.limits.enumerated() {
            var value = rlimit64(rlim_cur: UInt(limit.soft), rlim_max: UInt(limit.hard))
            try SetupStep.check("set", plan.process.limits[index].name, samara_setrlimit(limit.resource, &value))
        }
    }

    /// HOME from the container's own passwd(5) when the environment has none.
    private func environmentWithHome() -> [String] {
        if plan.environment.contains(where: { $0.hasPrefix("HOME=") }) { return plan.environment }
        var home = "/"
        // O_NONBLOCK, because an image may put a FIFO there.
        if let file = try? File.open("/etc/passwd", O_RDONLY | O_NONBLOCK), (try? File.status(file).isRegular) == true,
            let bytes = try? File.readAll(file, limit: 4 << 20)
        {
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
                if fields.count > 5, String(decoding: fields[2], as: UTF8.self) == String(plan.process.user) {
                    home = String(decoding: fields[5], as: UTF8.self)
                    break
                }
            }
        }
        return plan.environment + ["HOME=\(home.isEmpty ? "/" : home)"]
    }

    private func writeLabel() throws(RuntimeError) {
        guard let label = plan.label else { return }
        let proc = try ProcHandle()
        try describing("set the security label", label.text) { () throws(Errno) in
            try proc.write("\(Process.id)/attr/\(label.file)", label.text)
        }
    }

    private func loadFilter() throws(RuntimeError) {
        guard let filter = plan.filter else { return }
        let count = filter.instructions.count / MemoryLayout<sock_filter>.stride
        guard let length = UInt16(exactly: count) else { throw RuntimeError("linux.seccomp: the filter is too long") }
        var bytes = filter.instructions
        let result = bytes.withUnsafeMutableBytes { raw -> Int32 in
            var program = sock_fprog(len: length, filter: raw.baseAddress?.assumingMemoryBound(to: sock_filter.self))
            return samara_seccomp(UInt32(SECCOMP_SET_MODE_FILTER), filter.flags, &program)
        }
        try SetupStep.check("load", "the seccomp filter", result)
        // With a listener the result is its descriptor, which close_range takes from the program.
        if filter.listener != nil { try SetupStep.send(.listener(result), channel) }
    }

    // MARK: Working directory

    private func makeWorkingDirectory() throws(RuntimeError) {
        let path = plan.process.workingDirectory
        if File.exists(path) { return }
        let former = umask(0)
        defer { _ = umask(former) }
        // Through the process's root, which a link cannot leave.
        do { try Directory.makeAll(path, mode: 0o755) } catch { throw RuntimeError("mkdir", path, error) }
    }

    /// CVE-2024-21626: a working directory outside the root (a leaked descriptor's) reads as "(unreachable)…".
    private func verifyWorkingDirectory() throws(RuntimeError) {
        let current = try? Directory.current()
        guard let current, current.hasPrefix("/") else {
            throw RuntimeError("process.cwd: `\(plan.process.workingDirectory)` is outside of the container's root")
        }
    }

    // MARK: Identity

    /// Bounding set, groups, gid, uid, capabilities: each later step lacks the privilege for the earlier ones.
    private func assumeIdentity() throws(RuntimeError) {
        let sets = plan.capabilities
        for number in 0...CapabilitySets.highest where sets.bounding & (1 << UInt64(number)) == 0 {
            if samara_prctl(PR_CAPBSET_DROP, UInt(number), 0, 0, 0) != 0, samara_errno() != EINVAL {
                throw RuntimeError("drop", "the bounding set", lastErrno())
            }
        }
        let groups = plan.process.additionalGroups
        if samara_setgroups(groups.count, groups) != 0 {
            let error = lastErrno()
            // Without a gid map by newgidmap setgroups(2) is denied: only an empty list can then be had.
            if error != .notPermitted || !groups.isEmpty { throw RuntimeError("set", "the additional groups", error) }
        }
        _ = samara_prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        let (user, group) = (plan.process.user, plan.process.group)
        try SetupStep.check("setresgid to", "\(group)", samara_setresgid(group, group, group))
        try SetupStep.check("setresuid to", "\(user)", samara_setresuid(user, user, user))
        // An id change makes a process undumpable; its mate `exec` needs to see the fixed value (prctl(2)).
        _ = samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        try setCapabilities(sets)
    }

    private func setCapabilities(_ sets: CapabilitySets) throws(RuntimeError) {
        var header = __user_cap_header_struct(version: UInt32(_LINUX_CAPABILITY_VERSION_3), pid: 0)
        var data = (__user_cap_data_struct(), __user_cap_data_struct())
        func pointing(_ body: (UnsafeMutablePointer<__user_cap_data_struct>) -> Int32) -> Int32 {
            withUnsafeMutablePointer(to: &data) {
                $0.withMemoryRebound(to: __user_cap_data_struct.self, capacity: 2, body)
            }
        }
        try SetupStep.check("read", "the capabilities", pointing { samara_capget(&header, $0) })
        // What this process was not given, it cannot give: config.md asks for a warning only.
        let held = UInt64(data.0.permitted) | UInt64(data.1.permitted) << 32
        func halves(_ mask: UInt64) -> (UInt32, UInt32) {
            (UInt32(truncatingIfNeeded: mask), UInt32(truncatingIfNeeded: mask >> 32))
        }
        let effective = halves(sets.effective & held)
        let permitted = halves(sets.permitted & held)
        let inheritable = halves(sets.inheritable & held & sets.bounding)
        data.0 = __user_cap_data_struct(effective: effective.0, permitted: permitted.0, inheritable: inheritable.0)
        data.1 = __user_cap_data_struct(effective: effective.1, permitted: permitted.1, inheritable: inheritable.1)
        try SetupStep.check("set", "the capabilities", pointing { samara_capset(&header, $0) })
        for number in 0...CapabilitySets.highest where sets.ambient & held & sets.bounding & (1 << UInt64(number)) != 0
        {
            try SetupStep.check(
                "raise", "the ambient capabilities",
                samara_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_RAISE), UInt(number), 0, 0))
        }
    }

    // MARK: Program

    /// The program's path: with a slash as it is, otherwise by the PATH that the process will have.
    private func findProgram() throws(RuntimeError) -> String {
        let name = plan.process.arguments[0]
        if name.contains("/") {
            // A relative one is relative to the working directory.
            let path = name.hasPrefix("/") ? name : plan.process.workingDirectory + "/" + name
            if let error = refusal(path) { throw failure(name, error) }
            return path
        }
        let search = plan.environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) }
        var remembered = Errno.noSuchFileOrDirectory
        for directory in (search ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").split(
            separator: ":") where !name.isEmpty
        {
            let path = "\(directory)/\(name)"
            guard let error = refusal(path) else { return path }
            if error != .noSuchFileOrDirectory, error != .notDirectory { remembered = error }
        }
        throw failure(name, remembered)
    }

    private func refusal(_ path: String) -> Errno? {
        do {
            let status = try File.status(path)
            if status.isDirectory { return .isDirectory }
        } catch { return error }
        return access(path, X_OK) == 0 ? nil : lastErrno()
    }

    /// The words are what engines turn into the exit codes 126 and 127.
    private func failure(_ name: String, _ error: Errno) -> RuntimeError {
        switch error {
        case .noSuchFileOrDirectory, .notDirectory:
            name.contains("/")
                ? RuntimeError("executable file `\(name)` not found: No such file or directory")
                : RuntimeError("executable file `\(name)` not found in $PATH: No such file or directory")
        case .isDirectory: RuntimeError("the path `\(name)` is not a regular file: Operation not permitted")
        default: RuntimeError("exec: `\(name)`: \(error.text)")
        }
    }

    /// Default dispositions and an empty mask: ignored signals and a blocked mask survive execve (signal(7)).
    private func resetSignals() {
        for signal in 1..<Int32(65) where signal != SIGKILL && signal != SIGSTOP { samara_reset_signal(signal) }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }
}
