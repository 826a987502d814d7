// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// The launched child, from clone to execve.
///
/// Everything here runs in a copy of the parent's memory: raw system calls, pointers into the arena and the scratch
/// memory, no heap allocation, no reference counting, no throw. The order is the point; each "because" is a kernel rule.
enum ChildSequence {
    static func run(_ plan: UnsafePointer<ChildPlan>) -> Never {
        awaitParent(plan)
        Trace.point("container begun")
        // While the host's /proc is there; nothing inside the container leads to this file.
        let ownProgram =
            plan.pointee.usesInit ? samara_openat(AT_FDCWD, "/proc/self/exe", O_PATH | O_CLOEXEC, 0) : -1
        if plan.pointee.mountPoint != nil {
            // Because mount propagation would carry the container's mounts to the namespace this one is a copy of.
            if mount(nil, "/", nil, UInt(MS_REC_VALUE | MS_PRIVATE_VALUE), nil) != 0 {
                ChildReport.fail(plan, .mountPropagation, nil)
            }
            ChildRoot.assemble(plan)
            Trace.point("container root")
        }
        if let hostname = plan.pointee.hostname, sethostname(hostname, plan.pointee.hostnameLength) != 0 {
            ChildReport.fail(plan, .hostname, hostname)
        }
        _ = setsid()
        connectStreams(plan)
        applyLimits(plan)
        _ = umask(plan.pointee.umask)

        // Before the identity changes, because only container root may read every passwd and make the directory.
        var identity = ChildIdentity.lookUp(plan)
        enterWorkingDirectory(plan, &identity)

        // The last of them: the filter may forbid write(2).
        Trace.point("container directory")
        // Without no_new_privs a filter needs CAP_SYS_ADMIN (seccomp(2)), so it is loaded before capabilities go;
        // with it, last of all, so that it need not allow the calls of the set-up.
        if plan.pointee.noNewPrivileges {
            if samara_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 { ChildReport.fail(plan, .seccomp, nil) }
        } else {
            loadFilter(plan)
        }
        let keepsIDs = ChildIdentity.assume(plan, identity)
        // Changes of ids clear it, so it is set again after the last of them: prctl(2), PR_SET_PDEATHSIG.
        if !(keepsIDs && plan.pointee.startsAsRoot && plan.pointee.dieWithParent),
            samara_prctl(PR_SET_PDEATHSIG, plan.pointee.dieWithParent ? UInt(SIGKILL) : 0, 0, 0, 0) != 0
        {
            ChildReport.fail(plan, .identity, nil)
        }
        if plan.pointee.noNewPrivileges { loadFilter(plan) }
        ChildProgram.execute(plan, ownProgram)
    }

    private static func awaitParent(_ plan: UnsafePointer<ChildPlan>) {
        // A parent that dies during the set-up takes the child with it.
        _ = samara_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0)
        guard plan.pointee.waitsForIDMap else { return setOOMScore(plan) }
        close(plan.pointee.parentSyncSocket)
        var byte: UInt8 = 0
        while true {
            let count = read(plan.pointee.syncSocket, &byte, 1)
            if count == 1 { break }
            if count < 0, samara_errno() == EINTR { continue }
            _exit(1)
        }
        // While the process is dumpable: afterwards the file belongs to the root of the machine.
        setOOMScore(plan)
        // The maps are written: nobody needs /proc/PID of this process any more (CVE-2016-9962).
        _ = samara_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        if plan.pointee.startsAsRoot { return }
        // Ids from outside the map appear as 65534; being root of the namespace needs no privilege here.
        _ = samara_setresgid(0, 0, 0)
        _ = samara_setresuid(0, 0, 0)
    }

    private static func connectStreams(_ plan: UnsafePointer<ChildPlan>) {
        if plan.pointee.hasTerminal {
            ChildTerminal.open(plan)
            return
        }
        let streams = (plan.pointee.standardInput, plan.pointee.standardOutput, plan.pointee.standardError)
        // dup2 clears close-on-exec only when the numbers differ; the parent hands over descriptors above 2.
        if dup2(streams.0, 0) < 0 || dup2(streams.1, 1) < 0 || dup2(streams.2, 2) < 0 {
            ChildReport.fail(plan, .standardStreams, nil)
        }
    }

    private static func setOOMScore(_ plan: UnsafePointer<ChildPlan>) {
        guard let score = plan.pointee.oomScore else { return }
        let fd = samara_openat(AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0)
        // Lowering needs CAP_SYS_RESOURCE outside; Podman ignores the refusal for rootless containers as well.
        if fd >= 0 {
            _ = write(fd, score, strlen(score))
            close(fd)
        }
    }

    private static func applyLimits(_ plan: UnsafePointer<ChildPlan>) {
        for limit in plan.pointee.limits {
            var value = rlimit64(rlim_cur: UInt(limit.soft), rlim_max: UInt(limit.hard))
            if samara_setrlimit(limit.resource, &value) != 0 { ChildReport.fail(plan, .limits, nil) }
        }
    }

    private static func enterWorkingDirectory(_ plan: UnsafePointer<ChildPlan>, _ identity: inout ChildIdentity) {
        let directory = plan.pointee.workingDirectory
        if chdir(directory) != 0 {
            let error = samara_errno()
            guard error == ENOENT, plan.pointee.makesWorkingDirectory, plan.pointee.mountPoint != nil else {
                ChildReport.fail(plan, .workingDirectory, directory, errno: error)
            }
            if !ChildPath.makeDirectories(plan, root: AT_FDCWD, directory) || chdir(directory) != 0 {
                ChildReport.fail(plan, .workingDirectory, directory)
            }
        }
        // No descriptor leads to "/".
        if directory[0] == ChildPath.slash, directory[1] == 0 { return }
        // CVE-2024-21626: a working directory outside the root (a leaked descriptor's) reads as "(unreachable)…".
        let buffer = plan.pointee.scratch + ScratchLayout.path
        let length = syscall_getcwd(buffer, ScratchLayout.pathSize)
        if length <= 0 || buffer[0] != UInt8(ascii: "/") {
            ChildReport.fail(plan, .workingDirectory, directory, errno: ENOENT)
        }
    }

    private static func loadFilter(_ plan: UnsafePointer<ChildPlan>) {
        guard let filter = plan.pointee.seccompFilter else { return }
        var program = sock_fprog(
            len: plan.pointee.seccompLength, filter: UnsafeMutablePointer(mutating: filter))
        if samara_seccomp(UInt32(SECCOMP_SET_MODE_FILTER), 0, &program) != 0 { ChildReport.fail(plan, .seccomp, nil) }
    }
}
