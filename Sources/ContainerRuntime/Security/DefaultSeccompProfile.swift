// SPDX-License-Identifier: Apache-2.0
import CLinux

extension SeccompProfile {
    /// The default profile compiled, from `cache` (a directory) when it is there. A cache that cannot be written is not
    /// an error: the filter is compiled again next time.
    ///
    /// The cached file's name is a hash of everything that the filter follows from: the rules as written here, the
    /// capabilities that select among them, and the compiler. The rules themselves are made only for the compiler.
    public static func podmanDefault(
        capabilities: UInt64, cache: String
    ) throws(LaunchError) -> SeccompProgram {
        var hash = ContentHash()
        // Changed with the code of `podmanDefault(capabilities:)` and of `compile`.
        hash.add(1)
        hash.add(alwaysAllowed)
        for group in needingCapability {
            hash.add(UInt64(group.capability))
            hash.add(group.calls)
        }
        hash.add(capabilities & selecting)
        return try compiled(cache: cache, hash) { podmanDefault(capabilities: capabilities) }
    }

    /// The capabilities that the rules ask for: sets that differ only in others share a filter.
    private static var selecting: UInt64 {
        needingCapability.reduce(0) { $0 | 1 << UInt64($1.capability) }
    }

    /// The default profile: what containers may call, by name, as Podman's default allows; calls that need a
    /// capability are allowed only when `capabilities` has it, and otherwise fail with EPERM.
    public static func podmanDefault(capabilities: UInt64) -> SeccompProfile {
        var rules = words(alwaysAllowed).map { Rule(name: $0) }

        // personality(2): only the execution domains that change nothing about security.
        for persona: UInt64 in [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff] {
            rules.append(
                Rule(name: "personality", conditions: [Condition(argument: 0, mask: .max, value: persona)]))
        }
        // AF_VSOCK (40) would reach the hypervisor around every network namespace.
        for family: UInt64 in 0..<46 where family != 40 {
            rules.append(Rule(name: "socket", conditions: [Condition(argument: 0, mask: .max, value: family)]))
        }
        let namespaceFlags: UInt64 = 0x7E02_0080  // CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
        let hasAdmin = capabilities & (1 << UInt64(CAP_SYS_ADMIN)) != 0
        if hasAdmin {
            rules += ["clone", "clone3", "unshare", "setns"].map { Rule(name: $0) }
        } else {
            rules.append(Rule(name: "clone", conditions: [Condition(argument: 0, mask: namespaceFlags, value: 0)]))
            // Its flags are in memory that a filter cannot read: ENOSYS makes libc fall back to clone.
            rules.append(Rule(name: "clone3", errno: ENOSYS))
        }
        for group in needingCapability {
            let granted = capabilities & (1 << UInt64(group.capability)) != 0
            for name in words(group.calls) {
                if hasAdmin, ["unshare", "setns"].contains(name) { continue }
                rules.append(Rule(name: name, errno: granted ? nil : EPERM))
            }
        }
        return SeccompProfile(rules: rules, defaultErrno: ENOSYS)
    }

    private static func words(_ text: StaticString) -> [String] {
        text.description.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    private static var needingCapability: [(capability: Int32, calls: StaticString)] {
        [
            (
                CAP_SYS_ADMIN,
                """
                bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
                perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
                """
            ),
            (CAP_DAC_READ_SEARCH, "open_by_handle_at"),
            (CAP_SYS_BOOT, "reboot"),
            (CAP_SYS_CHROOT, "chroot"),
            (CAP_SYS_MODULE, "delete_module finit_module init_module query_module"),
            (CAP_SYS_PACCT, "acct"),
            (CAP_SYS_PTRACE, "kcmp process_madvise process_vm_readv process_vm_writev"),
            (CAP_SYS_RAWIO, "ioperm iopl"),
            (CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64"),
            (CAP_SYS_TTY_CONFIG, "vhangup"),
            (CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        ]
    }

    private static let alwaysAllowed: StaticString = """
        _llseek _newselect accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod
        chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
        eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark
        fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork
        fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex
        futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu
        getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
        getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
        getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
        io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc keyctl kill
        landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen
        listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack
        membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2
        modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
        mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
        name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_getfd pidfd_open
        pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv
        preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead
        readdir readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
        removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
        rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
        sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
        semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area
        set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer
        setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
        setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaction
        sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketcall socketpair
        splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee
        tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
        timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times
        tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
        utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
        """
}
