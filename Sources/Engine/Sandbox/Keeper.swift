// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import PodNetwork
import SystemPackage

/// The keeper's life: set the namespaces up, say so, then serve samara-net until told to end.
///
/// It is a copy of the engine process inside the new namespaces; nothing of the engine's state is used any more.
struct Keeper {
    let spec: SandboxSpec
    let shmDirectory: String
    let settings: PodNetworkSettings?
    /// To the starting engine: one message, empty for ready or a sentence.
    let readySocket: Int32
    /// Listens for samara-net: a connection asks for sockets and the tap. One that is killed can be replaced.
    let listener: Int32

    func run() -> Never {
        _ = setsid()
        Process.setTitle("samara: keeper \(spec.name)")
        let tap: Int32
        do throws(EngineError) {
            if let made = try prepare() { tap = made.release() } else { tap = -1 }
        } catch {
            _ = try? UnixSocket.send(readySocket, Array(error.message.utf8))
            Process.exitNow(1)
        }
        // Blocked before "ready": from then on a stop may come.
        detach(keeping: tap)
        guard
            let signals = try? SignalDescriptor(
                blocking: SignalSet([SIGTERM, SIGINT, SIGCHLD, SIGHUP, SIGQUIT, SIGPIPE]))
        else { Process.exitNow(1) }
        _ = try? UnixSocket.send(readySocket, [0])
        serve(SocketMint(tap: tap >= 0 ? OwnedFD(tap) : nil), signals)
    }

    private func prepare() throws(EngineError) -> OwnedFD? {
        if spec.namespaces.contains(.uts), sethostname(spec.hostname, spec.hostname.utf8.count) != 0 {
            throw EngineError("cannot set the host name \(spec.hostname): \(lastErrno().text)")
        }
        if spec.namespaces.contains(.mount) {
            // Receives the host's later mounts, sends none.
            if mount(nil, "/", nil, MS_REC_VALUE | MS_SLAVE_VALUE, nil) != 0 {
                throw EngineError("cannot separate the mounts of \(spec.name): \(lastErrno().text)")
            }
            if spec.namespaces.contains(.ipc),
                mount(
                    "shm", shmDirectory, "tmpfs", UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC),
                    "mode=1777,size=\(spec.shmSize)") != 0
            {
                throw EngineError("cannot mount the shared memory of \(spec.name): \(lastErrno().text)")
            }
        }
        for sysctl in spec.sysctls {
            let path = "/proc/sys/" + sysctl.key.split(separator: ".").joined(separator: "/")
            try attempt("set the sysctl", sysctl.key) { () throws(Errno) in
                try File.write(path, Array(sysctl.value.utf8), flags: 0)
            }
        }
        guard let settings else { return nil }
        do { return try PodNetwork.configure(settings) } catch { throw EngineError(error.message) }
    }

    /// The caller's terminal, pipes and locks must not stay open for the life of the pod.
    private func detach(keeping tap: Int32) {
        let null = samara_openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0)
        if null >= 0 { for descriptor in Int32(0)...2 { dup2(null, descriptor) } }
        Descriptors.close(from: 3, keeping: [readySocket, listener, tap])
        _ = chdir("/")
    }

    private func serve(_ mint: consuming SocketMint, _ signals: consuming SignalDescriptor) -> Never {
        var mint = mint
        var net: OwnedFD?
        var starter: OwnedFD? = OwnedFD(readySocket)
        var polls = PollSet()
        while true {
            polls.removeAll()
            let signalIndex = polls.add(signals.descriptor, .readable)
            let listenerIndex = polls.add(listener, .readable)
            let netIndex = net?.raw == nil ? nil : polls.add(net?.raw ?? -1, .readable)
            let starterIndex = starter?.raw == nil ? nil : polls.add(starter?.raw ?? -1, .readable)
            try? polls.wait(timeoutMilliseconds: nil)
            if let descriptor = starter?.raw, polls.events(starterIndex) != [] {
                // The engine says that this sandbox is recorded. If it died before, nobody would ever find it.
                guard let word = try? UnixSocket.receive(descriptor, limit: 8), word.bytes == [1] else {
                    Process.exitNow(1)
                }
                starter = nil
                Process.trimMemory()
            }
            while polls.events(signalIndex) != [], let signal = signals.next() {
                // As PID 1 of a shared pid namespace this ends every member with it.
                if signal != SIGCHLD, signal != SIGPIPE { Process.exitNow(0) }
            }
            // PID 1 of a shared pid namespace inherits the orphans.
            while waitpid(-1, nil, WNOHANG) > 0 {}
            if let descriptor = net?.raw, polls.events(netIndex) != [] {
                let outcome = try? mint.serve(socketFD: descriptor)
                // Without samara-net the containers go on over their loopback; the next start of the pod replaces it.
                if outcome == nil || outcome == .peerClosed { net = nil }
            }
            if polls.events(listenerIndex) != [], let accepted = try? UnixSocket.accept(listener) {
                net = consume accepted
            }
        }
    }
}
