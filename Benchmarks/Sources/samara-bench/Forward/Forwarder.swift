// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation

/// A way from two ports of the host's loopback to an iperf3 server and a net-load server somewhere else.
struct Forwarder {
    let name: String
    let ports: ForwardPorts
    /// The processes that carry the bytes; empty for the host's loopback itself.
    var carriers: [Int32] = []
    var note: String?

    /// Whether the load has a server behind this forwarder.
    func offers(_ load: ForwardLoad) -> Bool {
        if case .throughput = load.kind { return ports.bulk != 0 }
        return load.costsTime || !carriers.isEmpty || load.id == "refusal" && ports.closed != 0
    }

    /// Resident memory of the carriers in MiB: VmRSS, proc_pid_status(5).
    func residentMemory() -> Double { carriers.reduce(0) { $0 + Self.status($1, "VmRSS") } / 1024 }

    /// How often the carriers have gone to sleep so far.
    func wakeUps() -> Double {
        carriers.reduce(0) { sum, pid in
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
            return threads.reduce(sum) { $0 + Self.status(pid, "voluntary_ctxt_switches", thread: $1) }
        }
    }

    private static func status(_ pid: Int32, _ field: String, thread: String? = nil) -> Double {
        let path = thread.map { "/proc/\(pid)/task/\($0)/status" } ?? "/proc/\(pid)/status"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) } ?? 0
    }

    /// CPU time of the carriers so far, in nanoseconds: /proc/PID/schedstat, first field.
    func carrierCPU() -> UInt64 {
        carriers.reduce(0) { sum, pid in
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
            return threads.reduce(sum) { sum, thread in
                let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(thread)/schedstat", encoding: .utf8)) ?? ""
                return sum + (text.split(separator: " ").first.flatMap { UInt64($0) } ?? 0)
            }
        }
    }
}

/// Makes forwarders.
struct ForwarderSetup {
    /// Inside the pod; on the host for loopback.
    static let (bulk, load, closed) = (5201, 7000, 9)

    let tools: Tools
    let workspace: Workspace
    let runner: ProcessRunner
    let holder: UserNamespace
    /// Where the ports are published.
    let address: String

    private static func freePorts() -> ForwardPorts {
        ForwardPorts(
            bulk: Int(cbench_free_port()), load: Int(cbench_free_port()), closed: Int(cbench_free_port()))
    }

    // MARK: The limit

    func loopback() throws -> Forwarder {
        let forwarder = Forwarder(name: "loopback", ports: Self.freePorts())
        _ = try runner.startResident(
            shell(try servers(forwarder.ports.bulk, forwarder.ports.load), holder.environment))
        return forwarder
    }

    // MARK: Engines

    /// A pod with two published ports and a container for each server. The container sees iperf3 and its libraries on
    /// the host.
    func engine(_ engine: ContainerEngine) throws -> Forwarder {
        let ports = Self.freePorts()
        let carriers = engine.name.hasPrefix("samara") ? ["samara-net"] : ["rootlessport", "pasta", "passt"]
        return try started(engine.name, ports, carriers) {
            try runner.output(
                engine.command(
                    "pod", "create", "--name", "forward", "-p", "\(address):\(ports.bulk):\(Self.bulk)", "-p",
                    "\(address):\(ports.load):\(Self.load)", "-p", "\(address):\(ports.closed):\(Self.closed)"))
            let (folder, iperf) = try iperfInContainer()
            let arguments =
                ["run", "-d", "--pod", "forward", "-v", "\(folder):\(folder):ro", ContainerEngine.image] + iperf
                + ["-s", "-p", "\(Self.bulk)"]
            try runner.output(engine.command(arguments))
            try runner.output(
                engine.command(
                    "run", "-d", "--pod", "forward", "-v", "\(tools.programFolder):/programs:ro", ContainerEngine.image,
                    "/programs/net-load", "serve", "\(Self.load)"))
        }
    }

    /// The net-load server alone, with the listening socket of the host: native speed for programs that can take it.
    func activated(_ engine: ContainerEngine) throws -> Forwarder {
        let port = Int(cbench_free_port())
        try runner.output(
            engine.command(
                "run", "-d", "--network", "none", "-p", "\(address):\(port):\(Self.load),mode=activate", "-v",
                "\(tools.programFolder):/programs:ro", ContainerEngine.image, "/programs/net-load", "serve",
                "\(Self.load)"))
        runner.adoptResidents()
        let forwarder = Forwarder(
            name: engine.name + " mode=activate", ports: ForwardPorts(bulk: 0, load: port, closed: 0))
        try awaitServers(forwarder)
        return forwarder
    }

    // MARK: Bare forwarders

    func pasta(_ path: String, _ version: String) throws -> Forwarder {
        let ports = Self.freePorts()
        return try started("pasta \(version)", ports, ["pasta", "passt"]) {
            _ = try runner.startResident(
                Command(
                    path: path,
                    arguments: [
                        "--foreground", "--config-net", "-t",
                        "\(address)/\(ports.bulk):\(Self.bulk),\(ports.load):\(Self.load),\(ports.closed):\(Self.closed)",
                        "-u", "none", "-T", "none", "-U", "none", "--", "/bin/sh", "-c", try servers(Self.bulk, Self.load),
                    ], environment: holder.environment))
        }
    }

    func slirp4netns(_ path: String, _ version: String, _ index: Int) throws -> Forwarder {
        let ports = Self.freePorts()
        return try started("slirp4netns \(version)", ports, ["slirp4netns"]) {
            let pod = try holder.hold(["--namespaces", "user,net", "--no-capabilities", "--hold"])
            let socket = workspace.path + "/slirp\(index)"
            _ = try runner.startResident(
                Command(
                    path: path,
                    arguments: [
                        "-c", "--mtu=65520", "--enable-sandbox", "--enable-seccomp", "--disable-host-loopback", "-a",
                        socket,
                        "\(pod.pid)", "tap0",
                    ], environment: holder.environment))
            _ = try runner.startResident(
                Command(
                    path: "/usr/bin/nsenter",
                    arguments: [
                        "-U", "--preserve-credentials", "-n", "-t", "\(pod.pid)", "/bin/sh", "-c",
                        try servers(Self.bulk, Self.load),
                    ], environment: holder.environment))
            for (host, guest) in [
                (ports.bulk, Self.bulk), (ports.load, Self.load), (ports.closed, Self.closed),
            ] {
                try request(
                    socket,
                    #"{"execute":"add_hostfwd","arguments":{"proto":"tcp","host_addr":"\#(address)","host_port":\#(host),"guest_port":\#(guest)}}"#
                )
            }
        }
    }

    func rootlesskit(_ path: String, _ version: String, _ index: Int) throws -> Forwarder {
        let ports = Self.freePorts()
        var environment = holder.environment
        // It starts slirp4netns by name: the newer with the newer.
        if let folder = tools.newerFolder, path.hasPrefix(folder) {
            environment["PATH"] = folder + "/bin:" + (environment["PATH"] ?? "")
        }
        return try started("rootlesskit \(version)", ports, ["rootlesskit", "exe"]) {
            _ = try runner.startResident(
                Command(
                    path: path,
                    arguments: [
                        "--state-dir", workspace.path + "/rootlesskit\(index)", "--net=slirp4netns", "--mtu=65520",
                        "--disable-host-loopback", "--copy-up=/etc", "--port-driver=builtin", "-p",
                        "\(address):\(ports.bulk):\(Self.bulk)/tcp", "-p", "\(address):\(ports.load):\(Self.load)/tcp",
                        "-p", "\(address):\(ports.closed):\(Self.closed)/tcp",
                        "/bin/sh", "-c",
                        try servers(Self.bulk, Self.load),
                    ], environment: environment))
        }
    }

    // MARK: Parts

    private func servers(_ bulk: Int, _ load: Int) throws -> String {
        "\(try tools.iperf()) -s -p \(bulk) >/dev/null 2>&1 & exec \(tools.programFolder)/net-load serve \(load)"
    }

    private func shell(_ text: String, _ environment: [String: String]) -> Command {
        Command(path: "/bin/sh", arguments: ["-c", text], environment: environment)
    }

    /// Runs `body` and finds which of the new processes are the ones that carry the bytes; then waits until both
    /// servers answer through the ports.
    private func started(
        _ name: String, _ ports: ForwardPorts, _ carriers: [String], _ body: () throws -> Void
    ) throws -> Forwarder {
        let before = runner.descendants()
        try body()
        runner.adoptResidents()
        var forwarder = Forwarder(name: name, ports: ports)
        try awaitServers(forwarder)
        forwarder.carriers = runner.descendants().subtracting(before).filter { pid in
            let comm = ((try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) ?? "").trimmingCharacters(
                in: .newlines)
            return carriers.contains { comm.hasPrefix($0) }
        }
        guard !forwarder.carriers.isEmpty else {
            throw BenchError(
                "no process called \(carriers.joined(separator: " or ")) was started, though its ports answer")
        }
        return forwarder
    }

    private func awaitServers(_ forwarder: Forwarder) throws {
        let deadline = cbench_now_ns() + 10_000_000_000
        let checks = ["rr", "bulk"].compactMap(ForwardLoad.named).filter(forwarder.offers)
        for check in checks {
            while true {
                guard
                    var command = try check.client(
                        tools, forwarder.ports, from: .local, seconds: 1, holder.environment)
                else { break }
                // A single exchange is enough here.
                command.arguments = command.arguments.map { $0 == "1.0" ? "0.01" : $0 }
                command.timeLimitSeconds = 5
                let result = try runner.run(command, capturesOutput: true)
                if result.status == 0 { break }
                guard cbench_now_ns() < deadline else {
                    throw BenchError("nothing answers behind its port: \(ProcessRunner.reason(result))")
                }
                try runner.pause(milliseconds: 50)
            }
        }
    }

    private func request(_ socket: String, _ text: String) throws {
        let deadline = cbench_now_ns() + 5_000_000_000
        var answer = [CChar](repeating: 0, count: 4096)
        while true {
            let error = cbench_unix_request(socket, text, &answer, Int32(answer.count))
            let reply = String(decoding: answer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if error == 0, reply.contains("return") { return }
            guard cbench_now_ns() < deadline else { throw BenchError("its API answered `\(reply)`, error \(error)") }
            try runner.pause(milliseconds: 20)
        }
    }

    /// The folder that a container needs to run iperf3, and its command line there. A newer one brings its libraries along
    /// and finds them by the folder's name; the installed one needs the host's /usr.
    private func iperfInContainer() throws -> (folder: String, command: [String]) {
        let iperf = try tools.iperf()
        if let folder = tools.newerFolder, iperf.hasPrefix(folder + "/") { return (folder, [iperf]) }
        guard iperf.hasPrefix("/usr/") else {
            throw BenchError("\(iperf) is not visible in containers: choose an iperf3 below /usr or of the newer peers")
        }
        return ("/usr", [try Self.dynamicLinker(), iperf])
    }

    /// The system's dynamic linker by a name that holds where only the host's /usr is visible.
    private static func dynamicLinker() throws -> String {
        for name in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
            let resolved = URL(fileURLWithPath: name).resolvingSymlinksInPath().path
            if resolved.hasPrefix("/usr/"), FileManager.default.fileExists(atPath: resolved) { return resolved }
        }
        throw BenchError("iperf3 cannot be run in a container: the dynamic linker is not below /usr")
    }
}
