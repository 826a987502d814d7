// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// Two network namespaces (MTU 65520 and 1500) that reach the host through one tool.
struct WayOut {
    let name: String
    /// The host's loopback, seen from inside.
    let host: String
    /// A process inside, by MTU; empty for the host's loopback itself.
    var insiders: [Int: Int32] = [:]

    func command(_ line: [String], mtu: Int, _ environment: [String: String]) throws -> Command {
        guard !insiders.isEmpty else {
            return Command(path: line[0], arguments: Array(line.dropFirst()), environment: environment)
        }
        guard let pid = insiders[mtu] else { throw BenchError("\(name) has no namespace with an MTU of \(mtu)") }
        // Everybody's client is entered the same way, without a container's seccomp filter.
        return Command(
            path: "/usr/bin/nsenter", arguments: ["-U", "--preserve-credentials", "-n", "-t", "\(pid)"] + line,
            environment: environment)
    }
}

/// Makes ways out.
struct WayOutSetup {
    static let mtus = [65520, 1500]
    static let gateway = "10.0.2.2"

    let bench: Bench
    private var runner: ProcessRunner { bench.runner }
    private var environment: [String: String] { bench.holder.environment }

    func samara(_ engine: ContainerEngine) throws -> WayOut {
        var way = WayOut(name: engine.name, host: Self.gateway)
        for mtu in Self.mtus {
            let id = try runner.output(
                engine.command(
                    "run", "-d", "--network", "slirp4netns:mtu=\(mtu),allow_host_loopback=true", ContainerEngine.image,
                    "sleep", "86400"))
            runner.adoptResidents()
            way.insiders[mtu] = try pid(runner.output(engine.command("inspect", "--format", "{{.State.Pid}}", id)))
        }
        return way
    }

    /// pasta tells nobody when it is done; its child is started by then.
    func pasta(_ path: String, _ name: String) throws -> WayOut {
        var way = WayOut(name: name, host: Self.gateway)
        for mtu in Self.mtus {
            let started = try runner.startResident(
                Command(
                    path: path,
                    arguments: [
                        "--foreground", "--config-net", "--mtu", "\(mtu)", "-a", "10.0.2.100", "-n", "24", "-g",
                        Self.gateway, "--map-host-loopback", Self.gateway, "-t", "none", "-u", "none", "-T", "none",
                        "-U", "none", "--", "/bin/sh", "-c", "echo $$; exec sleep 86400",
                    ], environment: environment))
            // Its own pid namespace may number the process differently: it is the one child.
            way.insiders[mtu] = try child(of: started.pid)
        }
        return way
    }

    func slirp4netns(_ path: String, _ name: String) throws -> WayOut {
        var way = WayOut(name: name, host: Self.gateway)
        for mtu in Self.mtus {
            let pod = try bench.holder.hold(["--namespaces", "user,net", "--no-capabilities", "--hold"])
            way.insiders[mtu] = pod.pid
            let line = "\(path) -c --mtu=\(mtu) --enable-sandbox --enable-seccomp -r 3 \(pod.pid) tap0 3>&1"
            // It writes "1" without a line's end when it is ready.
            _ = try runner.startResident(
                Command(
                    path: "/bin/sh",
                    arguments: ["-c", "{ \(line) >/dev/null & } | { head -c 1; echo; exec cat >/dev/null; }"],
                    environment: environment))
        }
        return way
    }

    private func pid(_ text: String) throws -> Int32 {
        guard let pid = Int32(text), pid > 0 else { throw BenchError("`\(text)` is not the pid of a container") }
        return pid
    }

    private func child(of parent: Int32) throws -> Int32 {
        let path = "/proc/\(parent)/task/\(parent)/children"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return try pid(text.split(separator: " ").first.map(String.init) ?? "")
    }
}
