// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

/// From the flags of `run` and `create` to the engine's request. Reads the files that flags name; asks no engine.
struct ContainerTranslation {
    let arguments: ParsedArguments
    /// The caller's environment.
    let hostEnvironment: [String]
    /// What `CreateCommand` records.
    let commandLine: [String]

    func request() throws -> ContainerRequest {
        try checkConflicts()
        var request = ContainerRequest()
        request.image = arguments.positional[0]
        request.command = Array(arguments.positional.dropFirst())
        request.name = arguments.stringIfSet("name")
        request.replacesExisting = arguments.bool("replace")
        request.entrypoint = try arguments.stringIfSet("entrypoint").map(EntrypointText.words)
        request.workingDirectory = arguments.stringIfSet("workdir")
        request.user = arguments.stringIfSet("user")
        request.stopSignal = try arguments.stringIfSet("stop-signal").map { text in
            String(try SignalNames.parse(text))
        }
        request.volumes = arguments.strings("volume")
        request.mounts = arguments.strings("mount")
        request.tmpfs = arguments.strings("tmpfs")
        request.ports = arguments.strings("publish")
        request.publishesAll = arguments.bool("publish-all")
        request.exposed = arguments.strings("expose")
        request.cidFile = arguments.stringIfSet("cidfile")
        try setPod(&request)
        try setNetwork(&request)
        try setEnvironment(&request)
        try setProcess(&request.settings)
        try setMetadata(&request.settings)
        try setIsolation(&request.settings)
        try setLife(&request.settings)
        if arguments.bool("rootfs") {
            request.settings.rootDirectory = request.image
            request.image = ""
        }
        return request
    }

    private func checkConflicts() throws(Failure) {
        if arguments.bool("replace"), arguments.stringIfSet("name") == nil {
            throw Failure("cannot replace container without --name being set")
        }
        if arguments.bool("no-hosts"), arguments.isSet("add-host") {
            throw Failure("--no-hosts and --add-host cannot be set together")
        }
        if arguments.isSet("pod"), arguments.isSet("pod-id-file") {
            throw Failure("cannot specify both pod and pod-id-file")
        }
        if arguments.bool("rm"), let policy = arguments.stringIfSet("restart"), policy != "no", policy != "never",
            !policy.isEmpty
        {
            throw Failure("the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"")
        }
        if arguments.bool("privileged"), arguments.strings("security-opt").contains("no-new-privileges") {
            throw Failure("--privileged and --security-opt=no-new-privileges cannot be used together")
        }
        _ = try PullPolicy(parsing: arguments.string("pull"))
    }

    private func setPod(_ request: inout ContainerRequest) throws(Failure) {
        if let path = arguments.stringIfSet("pod-id-file") {
            request.pod = String(try TextFile.read(path).prefix { !$0.isNewline })
            return
        }
        guard let pod = arguments.stringIfSet("pod"), !pod.isEmpty else { return }
        if pod.hasPrefix("new:") {
            request.pod = String(pod.dropFirst(4))
            request.createsPod = true
            if request.pod?.isEmpty == true { throw Failure("new pod name must be at least one character") }
        } else {
            request.pod = pod
        }
    }

    private func setNetwork(_ request: inout ContainerRequest) throws(Failure) {
        request.network = try NetworkFlag.single(arguments.strings("network"))
        if request.network == "none" || request.network?.hasPrefix("container:") == true,
            arguments.isSet("dns") || arguments.isSet("dns-option") || arguments.isSet("dns-search")
        {
            throw Failure("conflicting options: dns and the network mode: \(request.network ?? "")")
        }
        let (servers, search) = (arguments.strings("dns"), arguments.strings("dns-search"))
        for server in servers { try NetworkFlag.checkAddress(server, flag: "dns") }
        for entry in arguments.strings("add-host") { try NetworkFlag.checkHost(entry) }
        request.settings.dnsServers = servers
        request.settings.dnsSearch = search
        request.settings.dnsOptions = arguments.strings("dns-option")
        request.settings.addedHosts = arguments.strings("add-host")
        request.settings.hasOwnHostsFile = arguments.bool("no-hosts")
    }

    private func setEnvironment(_ request: inout ContainerRequest) throws(Failure) {
        var variables = EnvironmentVariables(host: hostEnvironment)
        if arguments.bool("http-proxy") {
            for name in ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"] {
                try variables.add(name)
                try variables.add(name.uppercased())
            }
        }
        if arguments.bool("env-host") { variables.list += hostEnvironment.filter { $0.contains("=") } }
        for path in arguments.strings("env-file") { try variables.add(fileAt: path) }
        for text in arguments.strings("env") { try variables.add(text) }
        request.environment = variables.list
        request.unsetEnvironment = arguments.strings("unsetenv")
        request.clearsEnvironment = arguments.bool("unsetenv-all")
    }

    private func setProcess(_ settings: inout ContainerRecord) throws {
        settings.hasTerminal = arguments.bool("tty")
        settings.isInteractive = arguments.bool("interactive")
        settings.usesInit = arguments.bool("init")
        settings.groups = arguments.strings("group-add")
        settings.stopTimeout = Int64(clamping: arguments.uint("stop-timeout"))
        settings.runTimeout = Int64(clamping: arguments.uint("timeout"))
        let umask = arguments.string("umask")
        guard let mask = UInt32(umask, radix: 8), mask <= 0o777 else {
            throw Failure("invalid umask \(umask): must be octal digits up to 0777: invalid argument")
        }
        settings.umask = mask
        settings.limits = arguments.strings("ulimit")
    }

    private func setMetadata(_ settings: inout ContainerRecord) throws(Failure) {
        settings.hostname = arguments.stringIfSet("hostname")
        settings.labels = try LabelFlags.labels(arguments)
        var annotations = KeyValueList()
        for text in arguments.strings("annotation") { try annotations.addComplete(text, flag: "annotation") }
        settings.annotations = annotations.pairs
        settings.createCommand = commandLine
        settings.cidFile = arguments.stringIfSet("cidfile")
    }

    private func setIsolation(_ settings: inout ContainerRecord) throws(Failure) {
        settings.capabilitiesAdded = arguments.strings("cap-add")
        settings.capabilitiesDropped = arguments.strings("cap-drop")
        settings.isPrivileged = arguments.bool("privileged")
        settings.isReadOnly = arguments.bool("read-only")
        settings.hasReadOnlyTmpfs = arguments.bool("read-only-tmpfs")
        settings.sharesHostPID = try NamespaceFlag.sharesHost(arguments.string("pid"), "pid")
        settings.sharesHostIPC = try NamespaceFlag.sharesHost(arguments.string("ipc"), "ipc")
        settings.sharesHostUTS = try NamespaceFlag.sharesHost(arguments.string("uts"), "uts")
        if settings.sharesHostUTS, settings.hostname != nil {
            throw Failure(
                "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration"
            )
        }
        settings.shmSize = try ShmSize.bytes(arguments.string("shm-size"))
        settings.sysctls = try SysctlFlag.pairs(arguments.strings("sysctl"))
        for option in arguments.strings("security-opt") { try SecurityOption.apply(option, to: &settings) }
    }

    private func setLife(_ settings: inout ContainerRecord) throws(Failure) {
        settings.isAutoRemoved = arguments.bool("rm")
        settings.restartPolicy = try RestartPolicy.normalised(arguments.string("restart"))
        try LogFlags.apply(driver: arguments.string("log-driver"), options: arguments.strings("log-opt"), to: &settings)
    }
}
