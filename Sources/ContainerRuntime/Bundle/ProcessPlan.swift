// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// A process of config.json with every name resolved to the kernel's number, so that nothing unknown is left for the
/// child to find.
struct ProcessPlan: Sendable {
    var process: RuntimeProcess
    var environment: [String]
    var capabilities: CapabilitySets
    var limits: [(resource: Int32, soft: UInt64, hard: UInt64)] = []
    var filter: SeccompSection.Filter?
    var scheduler: samara_sched_attr?
    var ioPriority: Int32?
    /// personality(2); nil leaves it.
    var persona: UInt?
    /// Text for /proc/self/attr/exec and the file below attr that takes it.
    var label: (file: String, text: String)?
    var preservedDescriptors: Int32

    /// - Parameters:
    ///   - cache: where compiled filters are kept.
    ///   - warn: told about capabilities and system calls that this system does not know.
    init(
        _ process: RuntimeProcess, seccomp: RuntimeSeccompSection?, personality: String?, preservedDescriptors: Int,
        cache: String?, warn: (String) -> Void
    ) throws(RuntimeError) {
        self.process = process
        var preserved = preservedDescriptors
        environment = process.environment
        // Sockets of systemd's activation are 3…: sd_listen_fds(3). The program is pid 1 where it looks.
        if let text = Identity.environment("LISTEN_FDS"), let count = Int(text), count > 0, count < 1024 {
            preserved = max(preserved, count)
            environment += ["LISTEN_FDS=\(count)", "LISTEN_PID=1"]
        }
        for descriptor in 0..<preserved where samara_fcntl(Int32(3 + descriptor), F_GETFD, 0) < 0 {
            throw RuntimeError("--preserve-fds \(preserved): descriptor \(3 + descriptor) is not open")
        }
        self.preservedDescriptors = Int32(preserved)
        capabilities = try ProcessPlan.capabilities(process.capabilities, warn)
        for limit in process.limits {
            guard let number = ProcessPlan.limitNumbers[limit.name] else {
                throw RuntimeError("process.rlimits: `\(limit.name)` is not a resource limit")
            }
            limits.append((number, limit.soft, limit.hard))
        }
        if let seccomp { filter = try SeccompSection.compile(seccomp, cache: cache, warn: warn) }
        scheduler = try process.scheduler.map { (given) throws(RuntimeError) in try ProcessPlan.scheduler(given) }
        if let (name, priority) = process.ioPriority {
            guard let number = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3][name] else {
                throw RuntimeError("process.ioPriority.class: `\(name)` is not an I/O priority class")
            }
            if priority > 7 { throw RuntimeError("process.ioPriority.priority: must be from 0 to 7") }
            ioPriority = Int32(number) << 13 | Int32(priority)
        }
        persona = personality.map { $0 == "LINUX32" ? 8 : 0 }
        label = try ProcessPlan.label(process)
    }

    private static func capabilities(
        _ given: RuntimeProcess.Capabilities?, _ warn: (String) -> Void
    ) throws(RuntimeError) -> CapabilitySets {
        var sets = CapabilitySets(0)
        guard let given else { return sets }
        let known = CapabilitySets.all.bounding
        func mask(_ names: [String]) throws(RuntimeError) -> UInt64 {
            var mask: UInt64 = 0
            for name in names {
                guard let bit = CapabilitySets.mask(named: name) else {
                    throw RuntimeError("process.capabilities: `\(name)` is not a capability")
                }
                // config.md: what cannot be granted is a warning.
                if bit & known == 0 {
                    warn("process.capabilities: `\(name)` is not a capability of this kernel and is left out")
                }
                mask |= bit & known
            }
            return mask
        }
        sets.bounding = try mask(given.bounding)
        sets.permitted = try mask(given.permitted)
        sets.effective = try mask(given.effective) & sets.permitted
        sets.inheritable = try mask(given.inheritable)
        // The kernel raises only what is permitted and inheritable: prctl(2), PR_CAP_AMBIENT.
        let ambient = try mask(given.ambient)
        sets.ambient = ambient & sets.permitted & sets.inheritable
        if ambient != sets.ambient {
            warn("process.capabilities.ambient: capabilities that are not permitted and inheritable are left out")
        }
        return sets
    }

    private static func scheduler(_ given: RuntimeProcess.Scheduler) throws(RuntimeError) -> samara_sched_attr {
        let policies: [String: UInt32] = [
            "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
            "SCHED_DEADLINE": 6,
        ]
        let flags: [String: UInt64] = [
            "SCHED_FLAG_RESET_ON_FORK": 1, "SCHED_FLAG_RECLAIM": 2, "SCHED_FLAG_DL_OVERRUN": 4,
            "SCHED_FLAG_KEEP_POLICY": 8,
            "SCHED_FLAG_KEEP_PARAMS": 16, "SCHED_FLAG_UTIL_CLAMP_MIN": 32, "SCHED_FLAG_UTIL_CLAMP_MAX": 64,
        ]
        guard let policy = policies[given.policy] else {
            throw RuntimeError("process.scheduler.policy: `\(given.policy)` is not a scheduling policy")
        }
        var bits: UInt64 = 0
        for name in given.flags {
            guard let flag = flags[name] else {
                throw RuntimeError("process.scheduler.flags: `\(name)` is not a scheduling flag")
            }
            bits |= flag
        }
        return samara_sched_attr(
            size: 0, policy: policy, flags: bits, nice: given.nice, priority: given.priority, runtime: given.runtime,
            deadline: given.deadline, period: given.period)
    }

    private static func label(_ process: RuntimeProcess) throws(RuntimeError) -> (file: String, text: String)? {
        if let label = process.selinuxLabel {
            guard File.exists("/sys/fs/selinux/enforce") else {
                throw RuntimeError("process.selinuxLabel: SELinux is not enabled on this host")
            }
            return ("exec", label)
        }
        if let profile = process.apparmorProfile, profile != "unconfined" {
            guard (try? File.read("/sys/module/apparmor/parameters/enabled", limit: 8))?.first == UInt8(ascii: "Y")
            else {
                throw RuntimeError("process.apparmorProfile: AppArmor is not enabled on this host")
            }
            return (File.exists("/proc/self/attr/apparmor/exec") ? "apparmor/exec" : "exec", "exec \(profile)")
        }
        return nil
    }

    private static let limitNumbers: [String: Int32] = [
        "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5,
        "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10,
        "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
    ]
}
