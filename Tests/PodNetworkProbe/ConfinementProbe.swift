// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import PortForwarder
import SystemPackage

/// Tries from inside samara-net's confinement what it must not be able to do. Every attempt has a process of its own,
/// because the system call filter ends the process that makes it.
enum ConfinementProbe {
    private struct Attempt: Sendable {
        var name: String
        /// What the layers below the filter answer; nil where only the filter stands in the way.
        var errors: [Int32]?
        /// The version of Landlock that answers so.
        var landlock: Int32 = 0
        var make: @Sendable () -> Int
    }

    /// A process of the same user, outside the confinement, and an abstract unix socket of it.
    nonisolated(unsafe) private static var outsider: Int32 = 0
    nonisolated(unsafe) private static var abstractName = sockaddr_un()

    static func run() {
        Check.noError("confinement") {
            let pipe = try PipePair.make()
            outsider = try checked(samara_fork())
            if outsider == 0 {
                while true { pause() }
            }
            defer {
                _ = kill(outsider, SIGKILL)
                _ = try? Process.wait(pid: outsider)
            }
            let listener = try listenAbstract()
            for attempt in attempts {
                if let errors = attempt.errors, Landlock.version >= attempt.landlock {
                    let answer = try outcome(filtered: false, pipe.readEnd.raw, attempt)
                    Check.equal(
                        errors.map { ExitStatus.exited($0) }.contains(answer), true, "\(attempt.name): \(answer)")
                }
                let end = try outcome(filtered: true, pipe.readEnd.raw, attempt)
                Check.equal(end, .signaled(SIGSYS), "\(attempt.name) with the filter")
            }
            for attempt in allowed {
                let end = try outcome(filtered: true, pipe.readEnd.raw, attempt)
                Check.equal(end, .exited(0), "\(attempt.name), which forwarding needs")
            }
            let root = Attempt(name: "the root directory", errors: nil) {
                // Through the descriptor of the current directory: a path could not be opened at all.
                var status = stat()
                return fstatat(AT_FDCWD, "etc", &status, 0) < 0 && errno() == ENOENT ? 0 : -1
            }
            Check.equal(try outcome(filtered: false, -1, root), .exited(0), "an empty root")
            extendLifetime(listener)
        }
    }

    /// How a confined process ends that makes the attempt: with its error number, 0 if it succeeded.
    private static func outcome(filtered: Bool, _ descriptor: Int32, _ attempt: Attempt) throws -> ExitStatus {
        let child = try checked(samara_fork())
        if child != 0 { return try Process.wait(pid: child) }
        do {
            try NetConfinement.isolate()
            if filtered { try NetConfinement.restrictCalls() }
        } catch {
            Check.fail("cannot confine: \(error)")
            Process.exitNow(255)
        }
        let result = attempt.make()
        let error = errno()
        Process.exitNow(result >= 0 ? 0 : error)
    }

    private static func errno() -> Int32 { samara_errno() }

    private static func listenAbstract() throws -> OwnedFD {
        abstractName.sun_family = sa_family_t(AF_UNIX)
        // A name of sun_path's whole length that starts with a null byte: unix(7).
        withUnsafeMutableBytes(of: &abstractName.sun_path) { path in
            path[1] = UInt8(ascii: "p")
            path.storeBytes(of: Process.id, toByteOffset: 4, as: Int32.self)
        }
        let socket = OwnedFD(try checked(CLinux.socket(AF_UNIX, Int32(samara_sock_seqpacket), 0)))
        _ = try checked(samara_bind_unix(socket.raw, &abstractName))
        _ = try checked(CLinux.listen(socket.raw, 1))
        return socket
    }

    private static func socket(_ family: Int32, _ type: Int) -> Int { Int(CLinux.socket(family, Int32(type), 0)) }

    private static let attempts: [Attempt] = [
        Attempt(name: "open a file", errors: [ENOENT, EACCES]) {
            Int(samara_openat(AT_FDCWD, "/etc/passwd", O_RDONLY, 0))
        },
        Attempt(name: "open the root directory", errors: [EACCES]) { Int(samara_openat(AT_FDCWD, "/", O_RDONLY, 0)) },
        Attempt(name: "make a file", errors: [EROFS, EACCES]) {
            Int(samara_openat(AT_FDCWD, "/file", O_WRONLY | O_CREAT, 0o600))
        },
        Attempt(name: "make a directory", errors: [EROFS, EACCES]) { Int(mkdir("/directory", 0o700)) },
        Attempt(name: "a process", errors: [EAGAIN]) { Int(samara_fork()) },
        Attempt(name: "a program", errors: [ENOENT, EACCES]) {
            var arguments: [UnsafeMutablePointer<CChar>?] = [nil]
            var environment: [UnsafeMutablePointer<CChar>?] = [nil]
            return Int(samara_execveat(AT_FDCWD, "/bin/true", &arguments, &environment, 0))
        },
        Attempt(name: "kill a process", errors: [EPERM], landlock: 6) { Int(kill(outsider, SIGKILL)) },
        Attempt(name: "signal through a pidfd", errors: [EPERM], landlock: 6) {
            let descriptor = samara_pidfd_open(outsider, 0)
            return descriptor < 0 ? -1 : Int(samara_pidfd_send_signal(descriptor, SIGTERM, nil, 0))
        },
        Attempt(name: "another process's descriptor", errors: [EPERM], landlock: 1) {
            let descriptor = samara_pidfd_open(outsider, 0)
            return descriptor < 0 ? -1 : Int(samara_pidfd_getfd(descriptor, 0, 0))
        },
        Attempt(name: "an abstract socket", errors: [EPERM], landlock: 6) {
            let socket = CLinux.socket(AF_UNIX, Int32(samara_sock_seqpacket), 0)
            return Int(samara_connect_unix(socket, &abstractName))
        },
        Attempt(name: "a raw socket", errors: [EPERM]) {
            Int(CLinux.socket(AF_INET, Int32(samara_sock_raw), Int32(IPPROTO_ICMP)))
        },
        Attempt(name: "a netlink socket", errors: nil) { socket(AF_NETLINK, samara_sock_raw) },
        Attempt(name: "a packet socket", errors: [EPERM]) { socket(AF_PACKET, samara_sock_raw) },
        Attempt(name: "a new namespace", errors: [EPERM]) { Int(samara_unshare(CLONE_NEWNET)) },
        Attempt(name: "a new user namespace", errors: [EPERM, ENOSPC]) { Int(samara_unshare(CLONE_NEWUSER)) },
        Attempt(name: "a mount", errors: [EPERM]) { Int(mount("none", "/", "tmpfs", 0, nil)) },
        Attempt(name: "the host name", errors: [EPERM]) { Int(sethostname("x", 1)) },
        Attempt(name: "a user id", errors: [EINVAL, EPERM]) { Int(samara_setresuid(0, 0, 0)) },
        Attempt(name: "a higher limit", errors: [EPERM]) {
            var limit = rlimit64(rlim_cur: 1 << 20, rlim_max: 1 << 20)
            return Int(samara_setrlimit(samara_rlimit_file_size, &limit))
        },
        Attempt(name: "be inspectable", errors: nil) { Int(samara_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) },
        Attempt(name: "memory to execute", errors: nil) {
            let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            return memory == UnsafeMutableRawPointer(bitPattern: -1) ? -1 : 0
        },
        Attempt(name: "SO_MARK", errors: [EPERM]) {
            let socket = CLinux.socket(AF_INET, Int32(samara_sock_stream), 0)
            return Int(samara_set_option(socket, SOL_SOCKET, SO_MARK, 1))
        },
        Attempt(name: "a stranger's interface", errors: nil) {
            let socket = CLinux.socket(AF_INET, Int32(samara_sock_datagram), 0)
            return Int(samara_set_option(socket, SOL_SOCKET, SO_BINDTODEVICE, 0))
        },
        Attempt(name: "an ioctl", errors: nil) { Int(samara_ioctl_value(0, UInt(TIOCSCTTY_VALUE), 0)) },
        Attempt(name: "a lock", errors: nil) { Int(flock(0, LOCK_SH)) },
    ]

    private static let allowed: [Attempt] = [
        Attempt(name: "a TCP socket", errors: nil) { socket(AF_INET6, samara_sock_stream | samara_sock_nonblock) },
        Attempt(name: "a UDP socket", errors: nil) { socket(AF_INET, samara_sock_datagram | samara_sock_cloexec) },
        Attempt(name: "a pipe", errors: nil) { (try? Pipe(wanted: 65536)) == nil ? -1 : 0 },
        Attempt(name: "reno", errors: nil) {
            let socket = CLinux.socket(AF_INET, Int32(samara_sock_stream), 0)
            Socket.setReno(socket)
            Socket.resetOnClose(socket)
            return Socket.unacknowledgedBytes(socket)
        },
        Attempt(name: "memory", errors: nil) {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: 64 << 20, alignment: 4096)
            memory.storeBytes(of: 1, as: UInt8.self)
            memory.deallocate()
            return 0
        },
    ]
}
