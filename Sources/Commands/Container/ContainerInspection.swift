// SPDX-License-Identifier: Apache-2.0
import Engine
import JSON
import Presentation

/// `container inspect`: one object per container, in Podman's shape, from what the records have.
struct ContainerInspection {
    let listed: ListedContainer
    let paths: StorePaths
    let logPath: String
    let style: MomentStyle

    private var record: ContainerRecord { listed.record }
    private var state: ContainerState { listed.state }

    /// `template` sees Go's field names, which differ from the JSON keys here.
    static let aliases = [
        "ID": "Id", "HostIP": "HostIp", "Healthcheck": "Health", "DomainName": "Domainname", "ImageID": "Image",
        "Src": "Source", "Dst": "Destination",
    ]
    static let maps: Set<String> = [
        "Labels", "Annotations", "Ports", "PortBindings", "Networks", "Tmpfs", "Sysctls", "Data",
    ]

    var template: TemplateValue {
        TemplateValue(json, typeName: "define.InspectContainerData", maps: Self.maps, aliases: Self.aliases)
    }

    var json: JSON {
        let words = listed.command
        let directory = listed.isInfra ? paths.pod(record.podID ?? "") : paths.container(record.id)
        let etc = record.network == .pod ? paths.pod(record.podID ?? "") + "/etc" : directory
        var object = JSONObject()
        object["Id"] = .string(record.id)
        object["Created"] = style.text(Moment(record.created))
        object["Path"] = .string(words.first ?? "")
        object["Args"] = .strings(Array(words.dropFirst()))
        object["State"] = stateJSON
        object["Image"] = .string(record.imageID)
        object["ImageName"] = .string(record.imageName)
        object["Rootfs"] = .string(record.rootDirectory ?? "")
        object["Pod"] = .string(record.podID ?? "")
        object["ResolvConfPath"] = .string(etc + "/resolv.conf")
        object["HostnamePath"] = .string(etc + "/hostname")
        object["HostsPath"] = .string(record.hasOwnHostsFile ? "" : etc + "/hosts")
        object["StaticDir"] = .string(directory)
        object["OCIRuntime"] = .string("samara")
        object["Name"] = .string(record.name)
        object["RestartCount"] = .int(state.restarts)
        object["Driver"] = .string("overlay")
        object["MountLabel"] = .string("")
        object["ProcessLabel"] = .string("")
        object["AppArmorProfile"] = .string("")
        object["ExecIDs"] = .array([])
        object["GraphDriver"] = graphDriver(directory)
        object["Mounts"] = .array(record.mounts.filter { $0.kind != .tmpfs }.map(mountJSON))
        object["Dependencies"] = .array([])
        object["NetworkSettings"] = networkSettings
        object["Namespace"] = .string("")
        object["IsInfra"] = .bool(listed.isInfra)
        object["IsService"] = .bool(false)
        object["Config"] = config
        object["HostConfig"] = hostConfig
        return .object(object)
    }

    // MARK: Sections

    private var stateJSON: JSON {
        let isRunning = state.status == .running || state.status == .stopping
        let isAlive = isRunning || state.status == .paused
        return [
            "OciVersion": "1.2.0", "Status": .string(state.status.rawValue), "Running": .bool(isRunning),
            "Paused": .bool(state.status == .paused), "Restarting": false, "OOMKilled": false, "Dead": false,
            "Pid": .int(isAlive ? Int64(state.process?.pid ?? 0) : 0),
            "ConmonPid": .int(isAlive ? Int64(state.monitor?.pid ?? 0) : 0), "ExitCode": .int(Int64(state.exitCode)),
            "Error": .string(state.error), "StartedAt": style.text(state.started.map(Moment.init) ?? .zero),
            "FinishedAt": style.text(state.finished.map(Moment.init) ?? .zero),
            "Health": ["Status": "", "FailingStreak": 0, "Log": nil],
        ]
    }

    private func graphDriver(_ directory: String) -> JSON {
        var data = JSONObject()
        if record.rootDirectory == nil, !listed.isInfra {
            data["LowerDir"] = .string(record.layers.map { "\(paths.root)/layers/\($0)/diff" }.joined(separator: ":"))
            data["UpperDir"] = .string(directory + "/diff")
            data["WorkDir"] = .string(directory + "/work")
        }
        return ["Name": "overlay", "Data": .object(data)]
    }

    private func mountJSON(_ mount: MountRecord) -> JSON {
        var object = JSONObject()
        object["Type"] = .string(mount.kind.rawValue)
        if mount.kind == .volume { object["Name"] = .string(mount.source) }
        object["Source"] = .string(mount.kind == .volume ? paths.volume(mount.source) + "/_data" : mount.source)
        object["Destination"] = .string(mount.destination)
        object["Driver"] = .string(mount.kind == .volume ? "local" : "")
        object["Mode"] = .string("")
        object["Options"] = .strings(mount.options)
        object["RW"] = .bool(!mount.isReadOnly)
        object["Propagation"] = .string(mount.options.last { Self.propagations.contains($0) } ?? "rprivate")
        return .object(object)
    }

    private static let propagations: Set<String> = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]

    private var networkSettings: JSON {
        let addresses = PodAddresses(record.networkOptions)
        let hasAddress = record.network == .private && (state.status == .running || state.status == .paused)
        var object = JSONObject()
        object["EndpointID"] = .string("")
        object["Gateway"] = .string(hasAddress ? addresses.gateway4 : "")
        object["IPAddress"] = .string(hasAddress ? addresses.ipv4 : "")
        object["IPPrefixLen"] = .int(hasAddress ? addresses.prefixLength4 : 0)
        object["IPv6Gateway"] = .string(hasAddress ? addresses.gateway6 : "")
        object["GlobalIPv6Address"] = .string(hasAddress ? addresses.ipv6 : "")
        object["GlobalIPv6PrefixLen"] = .int(hasAddress ? addresses.prefixLength6 : 0)
        object["MacAddress"] = .string(hasAddress ? addresses.hardwareAddress : "")
        object["Bridge"] = .string("")
        object["SandboxID"] = .string("")
        object["HairpinMode"] = .bool(false)
        object["LinkLocalIPv6Address"] = .string("")
        object["LinkLocalIPv6PrefixLen"] = .int(0)
        object["Ports"] = .object(PortText.bindings(listed.ports, exposed: record.exposedPorts))
        object["SandboxKey"] = .string(sandboxKey)
        object["Networks"] = .object([:])
        return .object(object)
    }

    /// A file of the container's network namespace, there as long as the process is.
    private var sandboxKey: String {
        guard state.status == .running || state.status == .paused, let process = state.process else { return "" }
        return "/proc/\(process.pid)/ns/net"
    }

    private var config: JSON {
        var object = JSONObject()
        object["Hostname"] = .string(record.hostname ?? String(record.id.prefix(12)))
        object["Domainname"] = .string("")
        object["User"] = .string(record.user)
        object["AttachStdin"] = .bool(false)
        object["AttachStdout"] = .bool(false)
        object["AttachStderr"] = .bool(false)
        object["Tty"] = .bool(record.hasTerminal)
        object["OpenStdin"] = .bool(record.isInteractive)
        object["StdinOnce"] = .bool(false)
        object["Env"] = .strings(record.environment)
        object["Cmd"] = .stringsOrNull(record.command)
        object["Image"] = .string(record.imageName)
        object["Volumes"] = .null
        object["WorkingDir"] = .string(record.workingDirectory)
        object["Entrypoint"] = .stringsOrNull(record.entrypoint)
        object["OnBuild"] = .null
        object["Labels"] = record.labels.isEmpty ? .null : .sortedMap(record.labels)
        object["Annotations"] = record.annotations.isEmpty ? .null : .sortedMap(record.annotations)
        object["StopSignal"] = .string(SignalNames.name(record.stopSignal))
        object["CreateCommand"] = .strings(record.createCommand)
        object["Umask"] = .string(octal(record.umask))
        object["Timeout"] = .int(record.runTimeout)
        object["StopTimeout"] = .int(record.stopTimeout)
        object["Passwd"] = .bool(true)
        return .object(object)
    }

    private func octal(_ mask: UInt32) -> String {
        let digits = String(mask, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    private var hostConfig: JSON {
        let restart = record.restartPolicy.split(separator: ":", maxSplits: 1)
        var object = JSONObject()
        object["Binds"] = .strings(record.mounts.filter { $0.kind != .tmpfs }.map(bind))
        object["CgroupManager"] = .string("cgroupfs")
        object["CgroupMode"] = .string("private")
        object["ContainerIDFile"] = .string(record.cidFile ?? "")
        object["LogConfig"] = [
            "Type": .string(record.logDriver), "Config": nil, "Path": .string(logPath), "Tag": "",
            "Size": .string(
                record.logSizeLimit == 0
                    ? "0B" : HumanSize.text(bytes: record.logSizeLimit, precision: 4, separator: "")),
        ]
        object["NetworkMode"] = .string(networkMode)
        object["PortBindings"] = .object(PortText.bindings(listed.ports))
        object["RestartPolicy"] = [
            "Name": .string(restart.first.map(String.init) ?? "no"),
            "MaximumRetryCount": .int(restart.count == 2 ? Int64(restart[1]) ?? 0 : 0),
        ]
        object["AutoRemove"] = .bool(record.isAutoRemoved)
        object["Annotations"] = record.annotations.isEmpty ? .null : .sortedMap(record.annotations)
        object["VolumeDriver"] = .string("")
        object["VolumesFrom"] = .null
        object["CapAdd"] = .strings(record.capabilitiesAdded)
        object["CapDrop"] = .strings(record.capabilitiesDropped)
        object["Dns"] = .strings(record.dnsServers)
        object["DnsOptions"] = .strings(record.dnsOptions)
        object["DnsSearch"] = .strings(record.dnsSearch)
        object["ExtraHosts"] = .strings(record.addedHosts)
        object["GroupAdd"] = .strings(record.groups)
        object["IpcMode"] = .string(mode(record.sharesHostIPC, default: "shareable"))
        object["Cgroup"] = .string("")
        object["Cgroups"] = .string("default")
        object["Links"] = .null
        object["PidMode"] = .string(mode(record.sharesHostPID, default: "private"))
        object["Privileged"] = .bool(record.isPrivileged)
        object["PublishAllPorts"] = .bool(false)
        object["ReadonlyRootfs"] = .bool(record.isReadOnly)
        object["SecurityOpt"] = .strings(securityOptions)
        object["Tmpfs"] = tmpfs
        object["UTSMode"] = .string(mode(record.sharesHostUTS, default: "private"))
        object["UsernsMode"] = .string("")
        object["ShmSize"] = .int(record.shmSize)
        object["Runtime"] = .string("samara")
        object["ConsoleSize"] = .array([0, 0])
        object["Isolation"] = .string("")
        object["Sysctls"] = .sortedMap(record.sysctls)
        object["Ulimits"] = .array(record.limits.map(limitJSON))
        object["Init"] = .bool(record.usesInit)
        return .object(object)
    }

    private func bind(_ mount: MountRecord) -> String {
        let options = [mount.isReadOnly ? "ro" : "rw"] + mount.options.filter { $0 != "ro" && $0 != "rw" }
        return "\(mount.source):\(mount.destination):\(options.joined(separator: ","))"
    }

    private func mode(_ sharesHost: Bool, default text: String) -> String { sharesHost ? "host" : text }

    private var networkMode: String {
        switch record.network {
        // What scripts compare with; the network itself is a tap and samara-net.
        case .private: "pasta"
        case .none: "none"
        case .host: "host"
        case .pod: "container:\(listed.infraID)"
        case .container(let id): "container:\(id)"
        }
    }

    private var securityOptions: [String] {
        var options: [String] = []
        if record.noNewPrivileges { options.append("no-new-privileges") }
        if record.isSeccompUnconfined { options.append("seccomp=unconfined") }
        if !record.maskedPaths.isEmpty { options.append("mask=" + record.maskedPaths.joined(separator: ":")) }
        if !record.unmaskedPaths.isEmpty { options.append("unmask=" + record.unmaskedPaths.joined(separator: ":")) }
        return options
    }

    private var tmpfs: JSON {
        var object = JSONObject()
        for mount in record.mounts where mount.kind == .tmpfs {
            object[mount.destination] = .string(mount.options.joined(separator: ","))
        }
        return .object(object)
    }

    /// `nofile=1024:2048`; -1 is no limit.
    private func limitJSON(_ text: String) -> JSON {
        let (name, value) = KeyValueList.split(text)
        let numbers = (value ?? "").split(separator: ":").map { Int64($0) ?? -1 }
        let soft = numbers.first ?? -1
        return [
            "Name": .string("RLIMIT_" + name.uppercased()), "Soft": .int(soft),
            "Hard": .int(numbers.count > 1 ? numbers[1] : soft),
        ]
    }
}
