// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem
import Testing

@testable import Commands

/// The flags of one command line, as the command gets them.
func parse(_ line: [String]) throws -> ParsedArguments {
    guard case .invocation(let invocation) = try rootCommand().resolve(line) else {
        throw Failure("\(line) printed text")
    }
    return invocation.arguments
}

@Suite struct RunTranslation {
    private func request(_ line: String..., host: [String] = ["HOME=/home/u"]) throws -> ContainerRequest {
        try ContainerTranslation(
            arguments: try parse(["run"] + line), hostEnvironment: host, commandLine: ["samara", "run"] + line
        ).request()
    }

    @Test func commandBelongsToTheContainer() throws {
        let request = try request("--rm", "nginx", "ls", "--rm", "-l")
        #expect(request.image == "nginx")
        #expect(request.command == ["ls", "--rm", "-l"])
        #expect(request.settings.isAutoRemoved)
        #expect(request.settings.createCommand == ["samara", "run", "--rm", "nginx", "ls", "--rm", "-l"])
        #expect(request.name == nil && request.pod == nil && request.entrypoint == nil)
    }

    @Test func bundledShortFlags() throws {
        let arguments = try parse(["run", "-dit", "-eA=1", "nginx"])
        #expect(try attachRequest(arguments) == nil)
        let request = try request("-it", "-eA=1", "nginx")
        #expect(request.settings.hasTerminal && request.settings.isInteractive)
        #expect(request.environment == ["A=1"])
    }

    @Test(arguments: [
        ("", [] as [String]), ("/bin/sh", ["/bin/sh"]), ("[\"/bin/sh\",\"-c\"]", ["/bin/sh", "-c"]),
        ("[broken", ["[broken"]),
        ("sh -c", ["sh -c"]), ("[]", []),
    ])
    func entrypoint(text: String, words: [String]) throws {
        #expect(try request("--entrypoint", text, "nginx").entrypoint == words)
    }

    @Test func entrypointOfOtherThingsThanStrings() {
        #expect(throws: Failure.self) { try request("--entrypoint", "[1]", "nginx") }
    }

    @Test func environmentOrder() throws {
        let request = try request(
            "--env-host", "-e", "HOME=/x", "-e", "PATH", "--unsetenv", "B", "--unsetenv-all", "nginx",
            host: ["HOME=/home/u", "HTTP_PROXY=p", "PATH=/bin"])
        #expect(
            request.environment == [
                "HTTP_PROXY=p", "HOME=/home/u", "HTTP_PROXY=p", "PATH=/bin", "HOME=/x", "PATH=/bin",
            ])
        #expect(request.unsetEnvironment == ["B"])
        #expect(request.clearsEnvironment)
        #expect(try self.request("--http-proxy=false", "nginx", host: ["HTTP_PROXY=p"]).environment == [])
        #expect(try self.request("nginx", host: ["http_proxy=p", "X=1"]).environment == ["http_proxy=p"])
    }

    @Test func everythingElse() throws {
        let request = try request(
            "--name", "web", "--replace", "-v", "/a:/b:ro", "-v", "data:/data", "--tmpfs", "/t", "--mount",
            "type=bind,source=/a,target=/c",
            "-p", "8080:80,8443:443", "-P", "--expose", "99", "-w", "/w", "-u", "1:2", "-h", "box", "-l", "a=b",
            "--label", "c",
            "--annotation", "k=v", "--network", "none", "--add-host", "x:10.0.0.1", "--no-hosts=false",
            "--cidfile", "/tmp/c", "--stop-signal", "quit", "--stop-timeout", "3", "--read-only",
            "--read-only-tmpfs=false", "--init",
            "--cap-add", "net_raw", "--cap-drop", "ALL", "--pid", "host", "--ipc", "host", "--uts", "private",
            "--restart", "on-failure:3", "--log-driver", "json-file", "--log-opt", "max-size=10m", "--shm-size", "1m",
            "--group-add", "7", "--umask", "077", "--sysctl", "net.a=1", "--ulimit", "nofile=1:2", "--timeout", "9",
            "--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "--security-opt",
            "mask=/a:/b",
            "--security-opt", "unmask=ALL", "-q", "nginx")
        let settings = request.settings
        #expect(request.name == "web" && request.replacesExisting)
        #expect(request.volumes == ["/a:/b:ro", "data:/data"])
        #expect(request.tmpfs == ["/t"] && request.mounts == ["type=bind,source=/a,target=/c"])
        #expect(request.ports == ["8080:80", "8443:443"] && request.publishesAll && request.exposed == ["99"])
        #expect(request.workingDirectory == "/w" && request.user == "1:2" && settings.hostname == "box")
        #expect(settings.labels.map { "\($0.key)=\($0.value)" } == ["a=b", "c="])
        #expect(settings.annotations.map { "\($0.key)=\($0.value)" } == ["k=v"])
        #expect(request.network == "none" && settings.addedHosts == ["x:10.0.0.1"] && !settings.hasOwnHostsFile)
        #expect(request.cidFile == "/tmp/c" && settings.cidFile == "/tmp/c")
        #expect(request.stopSignal == "3" && settings.stopTimeout == 3 && settings.runTimeout == 9)
        #expect(settings.isReadOnly && !settings.hasReadOnlyTmpfs && settings.usesInit)
        #expect(settings.capabilitiesAdded == ["net_raw"] && settings.capabilitiesDropped == ["ALL"])
        #expect(settings.sharesHostPID && settings.sharesHostIPC && !settings.sharesHostUTS)
        #expect(settings.restartPolicy == "on-failure:3")
        #expect(settings.logDriver == "json-file" && settings.logSizeLimit == 10_485_760)
        #expect(settings.shmSize == 1_048_576 && settings.umask == 0o077 && settings.groups == ["7"])
        #expect(settings.sysctls.map { "\($0.key)=\($0.value)" } == ["net.a=1"])
        #expect(settings.limits == ["nofile=1:2"])
        #expect(settings.noNewPrivileges && settings.isSeccompUnconfined)
        #expect(settings.maskedPaths == ["/a", "/b"] && settings.unmaskedPaths == ["ALL"])
    }

    @Test func defaults() throws {
        let settings = try request("nginx").settings
        #expect(settings.shmSize == 67_108_864)
        #expect(settings.umask == 0o022 && settings.stopTimeout == 10 && settings.hasReadOnlyTmpfs)
        #expect(settings.restartPolicy == "no" && settings.logDriver == "k8s-file" && settings.hostname == nil)
    }

    @Test func pods() throws {
        #expect(try request("--pod", "p", "nginx").pod == "p")
        let new = try request("--pod", "new:p", "-p", "80:80", "nginx")
        #expect(new.pod == "p" && new.createsPod && new.ports == ["80:80"])
        #expect(throws: Failure.self) { try request("--pod", "new:", "nginx") }
        #expect(throws: Failure.self) { try request("--pod", "p", "--pod-id-file", "/f", "nginx") }
    }

    @Test func rootDirectory() throws {
        let request = try request("--rootfs", "/r", "sh")
        #expect(request.settings.rootDirectory == "/r" && request.image.isEmpty && request.command == ["sh"])
    }

    @Test(arguments: [
        (["--replace"], "cannot replace container without --name being set"),
        (["--no-hosts", "--add-host", "a:1.2.3.4"], "--no-hosts and --add-host cannot be set together"),
        (
            ["--rm", "--restart=always"],
            "the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\""
        ),
        (["--pull=sometimes"], "unsupported pull policy \"sometimes\""),
        (["--stop-signal=NOPE"], "invalid signal: NOPE"),
        (["--add-host=a:b"], "invalid IP address in add-host: \"a:b\""),
        (["--dns=here"], "here is not an ip address"),
        (["--dns=1.1.1.1", "--network=none"], "conflicting options: dns and the network mode: none"),
        (
            ["--pid=container:x"],
            "invalid pid namespace \"container:x\": must be \"host\" or \"private\": invalid argument"
        ),
        (
            ["--uts=host", "-hx"],
            "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration"
        ),
        (["--security-opt=frob"], "invalid --security-opt 2: \"frob\""),
        (["--umask=9"], "invalid umask 9: must be octal digits up to 0777: invalid argument"),
        (["--shm-size=x"], "unable to translate --shm-size: invalid size: 'x'"),
        (["--restart=maybe"], "\"maybe\" is not a valid restart policy: invalid argument"),
        (["--sysctl=a"], "invalid sysctl \"a\": must be of the form KEY=VALUE"),
    ])
    func refuses(flags: [String], message: String) throws {
        let arguments = try parse(["run"] + flags + ["nginx"])
        #expect(throws: Failure(message)) {
            try ContainerTranslation(arguments: arguments, hostEnvironment: [], commandLine: []).request()
        }
    }

    @Test(arguments: ["1.2.3.4", "::", "::1", "fe80::1%eth0", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"])
    func addresses(text: String) throws { try NetworkFlag.checkAddress(text, flag: "dns") }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.256", "1.2.3.4.5", ":", ":::", "1:2:3:4:5:6:7", "1::2::3", "12345::", "g::",
        "1:2:3:4:5:6:7:8:9",
    ])
    func badAddresses(text: String) {
        #expect(throws: Failure.self) { try NetworkFlag.checkAddress(text, flag: "dns") }
    }
}

@Suite struct Attaching {
    @Test func foreground() throws {
        let request = try #require(
            try attachRequest(try parse(["run", "-i", "--sig-proxy=false", "--detach-keys=q", "nginx"])))
        #expect(request.forwardsInput && !request.forwardsSignals && request.detachKeys == "q")
        #expect(try attachRequest(try parse(["run", "nginx"]))?.forwardsInput == false)
        #expect(
            try attachRequest(try parse(["run", "-a", "stdin,stdout", "-a", "stderr", "nginx"]))?.forwardsInput == true)
    }

    @Test(arguments: [["-a", "frob"], ["-d", "-a", "stdout"], ["-a", "stdout"]])
    func refuses(flags: [String]) throws {
        let arguments = try parse(["run"] + flags + ["nginx"])
        #expect(throws: Failure.self) { try attachRequest(arguments) }
    }

    @Test func exec() throws {
        let arguments = try parse([
            "exec", "-it", "-u", "1", "-w", "/w", "-e", "A=1", "--privileged", "--preserve-fds", "2", "web", "sh", "-c",
            "x",
        ])
        let request = try execRequest(arguments, hostEnvironment: [])
        #expect(request.isInteractive && request.hasTerminal && request.isPrivileged && !request.isDetached)
        #expect(request.user == "1" && request.workingDirectory == "/w" && request.environment == ["A=1"])
        #expect(request.preservedDescriptors == 2)
        #expect(arguments.positional == ["web", "sh", "-c", "x"])
    }
}

@Suite struct PodTranslation {
    private func request(_ line: String...) throws -> PodRequest {
        try PodCreateFlags.request(try parse(["pod", "create"] + line), commandLine: ["samara"])
    }

    @Test func flags() throws {
        let request = try request(
            "--name", "mypod", "-p", "8080:80", "-p", "81:81/udp", "-l", "app=web", "--share", "+pid", "--infra-name",
            "i", "--hostname", "h",
            "--add-host", "a:1.2.3.4", "--dns", "1.1.1.1", "-v", "data:/data", "--pod-id-file", "/f", "--replace",
            "--exit-policy", "stop", "--restart", "always", "--network", "none", "--shm-size", "1g", "--sysctl", "a=b")
        #expect(request.name == "mypod" && request.replacesExisting && request.podIDFile == "/f")
        #expect(request.ports == ["8080:80", "81:81/udp"] && request.volumes == ["data:/data"])
        #expect(request.share == "+pid" && request.hasInfra == nil && request.network == "none")
        #expect(request.settings.labels.map { "\($0.key)=\($0.value)" } == ["app=web"])
        #expect(request.settings.infraName == "i" && request.settings.hostname == "h")
        #expect(request.settings.exitPolicy == "stop" && request.settings.restartPolicy == "always")
        #expect(request.settings.shmSize == 1 << 30 && request.settings.managesHosts)
        #expect(request.settings.createCommand == ["samara"])
    }

    @Test func name() throws {
        #expect(try request("mypod").name == "mypod")
        #expect(try request().name == nil)
        #expect(try request("--infra=false").hasInfra == false)
    }

    @Test(arguments: [
        ["--name", "a", "b"], ["--replace"], ["--infra=false", "-p", "80:80"], ["--exit-policy", "never"],
        ["--network", "a", "--network", "b"], ["--no-hosts", "--add-host", "a:1.2.3.4"],
    ])
    func refuses(flags: [String]) throws {
        let arguments = try parse(["pod", "create"] + flags)
        #expect(throws: Failure.self) { try PodCreateFlags.request(arguments, commandLine: []) }
    }
}

@Suite struct CommandTree {
    @Test(arguments: [
        "run", "create", "start", "stop", "restart", "kill", "rm", "ps", "exec", "attach", "logs", "inspect", "wait",
        "port", "load", "save", "images",
        "rmi", "tag", "untag", "history", "version", "info", "container run", "container ls", "container exists",
        "container inspect",
        "image ls", "image inspect", "image exists", "image rm", "pod create", "pod ps", "pod ls", "pod list",
        "pod inspect",
        "pod start", "pod stop", "pod restart", "pod kill", "pod rm", "pod exists", "pod logs", "volume create",
        "volume ls",
        "volume inspect", "volume rm", "volume exists", "volume prune", "system info",
    ])
    func everyCommandHasHelp(path: String) throws {
        guard case .text(let text) = try rootCommand().resolve(path.split(separator: " ").map(String.init) + ["--help"])
        else {
            Issue.record("no help for \(path)")
            return
        }
        #expect(text.contains("Usage:\n  samara "))
        #expect(text.contains("Description:\n"))
    }

    @Test func globalFlagsReachEveryCommand() throws {
        #expect(try parse(["--root", "/r", "pod", "ps"]).string("root") == "/r")
        #expect(try parse(["ps", "--runroot=/x"]).string("runroot") == "/x")
    }

    @Test(arguments: [
        ["--storage-driver", "vfs", "ps"], ["--cgroup-manager=systemd", "ps"], ["--frob", "ps"], ["ps", "extra"],
    ])
    func refuses(line: [String]) { #expect(throws: ArgumentError.self) { try parse(line) } }

    @Test func logLevels() {
        #expect(LogLevel.problem(with: "debug") == nil)
        #expect(LogLevel.problem(with: "ERROR") == nil)
        #expect(
            LogLevel.problem(with: "loud")
                == "Log Level \"loud\" is not supported, choose from: trace, debug, info, warn, warning, error, fatal, panic"
        )
    }

    @Test(arguments: [("-1", Int64(2_147_483)), ("0", 0), ("7", 7)])
    func stopTimeouts(text: String, seconds: Int64) throws {
        #expect(StopTimeout.seconds(try parse(["stop", "-t", text, "x"])) == seconds)
    }

    @Test func stopTimeoutIsTheContainersOwnUnlessGiven() throws {
        #expect(StopTimeout.seconds(try parse(["stop", "x"])) == nil)
        let error = #expect(throws: ArgumentError.self) { try parse(["stop", "-t", "x", "y"]) }
        #expect(
            error?.message
                == "invalid argument \"x\" for \"-t, --time\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\nSee 'samara stop --help'"
        )
    }

    @Test func archives() throws {
        #expect(ArchiveArguments.load(try parse(["load", "-i", "a.tar", "-q"])) == ["load", "-i", "a.tar", "-q"])
        #expect(
            try ArchiveArguments.save(try parse(["save", "-o", "a.tar", "--format", "oci-archive", "x", "y"]))
                == ["save", "--format", "oci-archive", "-o", "a.tar", "--", "x", "y"])
    }
}
