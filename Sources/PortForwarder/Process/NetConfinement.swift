// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// What a process gives up that parses and forwards what strangers send.
///
///     isolate        before anything is read: no capability, namespaces of its own, an empty root, no inspection
///     restrictCalls  when everything is open that is ever needed: a list of system calls, the rest kills
///
/// Everything a pod's network needs later (sockets of the pod, listeners, requests) arrives by message.
public enum NetConfinement {
    /// The steps whose order matters: namespaces while they can be made, the empty root while there are capabilities
    /// in them, Landlock and the limits when nothing has to be opened any more.
    public static func isolate() throws(Errno) {
        try Confinement.ignoreBrokenPipes()
        // The terminal's signals are for the command that started the pod.
        Process.ignoreSignals([SIGINT, SIGHUP])
        try Confinement.unshareNamespaces()
        try Confinement.emptyRoot()
        try Confinement.forbidNewPrivileges()
        try Confinement.dropCapabilities()
        // After the change of credentials, which makes a process inspectable again.
        try Confinement.forbidInspection()
        // The kernel may lack Landlock; the empty root alone hides every file as well.
        try Landlock.denyAll()
        try Confinement.forbidGrowth()
    }

    /// Any other system call ends the process. Pid, cgroup and time namespaces, signals, files and new processes are
    /// thereby out of reach too.
    public static func restrictCalls() throws(Errno) {
        var filter = SystemCallFilter()
        allowForwarding(&filter)
        allowSockets(&filter)
        allowRuntime(&filter)
        try filter.apply()
    }

    private static func allowForwarding(_ filter: inout SystemCallFilter) {
        filter.allow([
            SYS_epoll_pwait, SYS_recvfrom, SYS_sendto, SYS_splice, SYS_read, SYS_write, SYS_readv, SYS_writev,
            SYS_recvmsg, SYS_sendmsg, SYS_recvmmsg, SYS_sendmmsg, SYS_accept4, SYS_bind, SYS_connect, SYS_epoll_ctl,
            SYS_close, SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_pipe2,
        ])
        #if arch(x86_64)
            filter.allow([SYS_epoll_wait])
        #endif
        filter.allow(SYS_ioctl, [.init(1, in: [samara_siocoutq, Int32(samara_fionread())])])
        filter.allow(SYS_fcntl, [.init(1, in: [F_GETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ])])
    }

    /// Sockets of the host, for what the pod sends outside: TCP, UDP, and echo requests (ping), never raw ones.
    private static func allowSockets(_ filter: inout SystemCallFilter) {
        let flags = UInt32(samara_sock_nonblock | samara_sock_cloexec)
        let types = [Int32(samara_sock_stream), Int32(samara_sock_datagram)]
        filter.allow(SYS_socket, [.init(0, in: [AF_INET, AF_INET6]), .init(1, in: types, ignoring: flags)])
        let level = (ip: Int32(samara_level_ip), ipv6: Int32(samara_level_ipv6), tcp: Int32(samara_level_tcp))
        filter.allow(
            SYS_setsockopt,
            [
                .init(1, in: [SOL_SOCKET]),
                .init(2, in: [SO_LINGER, SO_REUSEADDR, SO_KEEPALIVE, SO_SNDBUF, SO_RCVBUF, SO_OOBINLINE, SO_PEEK_OFF]),
            ],
            [
                .init(1, in: [level.tcp]),
                .init(
                    2,
                    in: [
                        TCP_NODELAY, TCP_CONGESTION, TCP_NOTSENT_LOWAT, TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_KEEPIDLE,
                        TCP_KEEPINTVL, TCP_KEEPCNT, TCP_WINDOW_CLAMP,
                    ]),
            ],
            [.init(1, in: [Int32(samara_protocol_udp)]), .init(2, in: [samara_udp_segment, samara_udp_gro])],
            [
                .init(1, in: [level.ip]),
                .init(2, in: [IP_RECVERR, IP_PKTINFO, IP_MTU_DISCOVER, IP_TOS, IP_TTL, IP_RECVTTL]),
            ],
            [
                .init(1, in: [level.ipv6]),
                .init(
                    2,
                    in: [
                        IPV6_V6ONLY, IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_MTU_DISCOVER, IPV6_UNICAST_HOPS, IPV6_TCLASS,
                        IPV6_RECVHOPLIMIT, samara_ipv6_dontfrag,
                    ]),
            ])
    }

    /// Memory, time and the end.
    private static func allowRuntime(_ filter: inout SystemCallFilter) {
        filter.allow(SYS_mmap, [.init(2, without: PROT_EXEC)])
        filter.allow(SYS_mprotect, [.init(2, without: PROT_EXEC)])
        filter.allow([
            SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_clock_gettime, SYS_sched_yield, SYS_getrandom,
            SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit_group, SYS_rt_sigprocmask, SYS_rt_sigtimedwait,
        ])
    }
}
