// SPDX-License-Identifier: Apache-2.0
import Arguments
import ContainerRuntime
import Engine
import JSON
import LinuxSystem
import Presentation

func infoCommand() -> Command<Session> {
    Command("info", summary: "Display Samara system information") {
        CommandDeclaration(
            description: """
                Display information pertaining to the host, current storage stats, and build of Samara.

                Useful for the user and when reporting issues.
                """,
            usage: "[options]", examples: ["samara info", "samara info --format '{{.Host.Arch}}'"],
            flags: [.string("format", short: "f", help: "Change the output format to JSON or a Go template")],
            positional: .none,
            run: { session, arguments in
                let format = arguments.string("format")
                let report = try SystemReport(try session.engine(arguments)).json
                if ReportFormat.isJSON(format) {
                    try session.print(FormattedOutput.json(report, indent: 2))
                } else if arguments.isSet("format") {
                    let value = TemplateValue(report, typeName: "*define.Info", aliases: SystemReport.aliases)
                    try FormattedOutput.value(value, format: format, name: "info", into: session)
                } else {
                    try session.print(YAMLText.document(report))
                }
                return 0
            })
    }
}

func systemGroup() -> Command<Session> {
    Command("system", summary: "Manage samara") {
        .group(description: "Manage samara") {
            [systemCheckCommand(), diskUsageCommand(), infoCommand(), systemPruneCommand()]
        }
    }
}

/// What `info` reports.
struct SystemReport {
    let json: JSON

    /// Go's names for the members.
    static let aliases: [String: String] = [
        "Host": "host", "Store": "store", "Version": "version", "Arch": "arch", "CgroupManager": "cgroupManager",
        "CgroupsVersion": "cgroupVersion", "CgroupVersion": "cgroupVersion", "CPUs": "cpus",
        "EventLogger": "eventLogger",
        "Hostname": "hostname", "IDMappings": "idMappings", "Kernel": "kernel", "LogDriver": "logDriver",
        "MemFree": "memFree", "MemTotal": "memTotal", "NetworkBackend": "networkBackend", "OCIRuntime": "ociRuntime",
        "OS": "os", "RemoteSocket": "remoteSocket", "RootlessNetworkCmd": "rootlessNetworkCmd",
        "ServiceIsRemote": "serviceIsRemote", "Security": "security", "Rootless": "rootless", "Uptime": "uptime",
        "Distribution": "distribution", "Name": "name", "Path": "path", "Codename": "codename",
        "ContainerStore": "containerStore", "ImageStore": "imageStore", "Number": "number", "Paused": "paused",
        "Running": "running", "Stopped": "stopped", "GraphDriverName": "graphDriverName", "GraphRoot": "graphRoot",
        "RunRoot": "runRoot", "VolumePath": "volumePath", "APIVersion": "APIVersion",
        "SELinuxEnabled": "selinuxEnabled",
        "AppArmorEnabled": "apparmorEnabled", "SECCOMPEnabled": "seccompEnabled", "SwapFree": "swapFree",
        "SwapTotal": "swapTotal", "GIDMap": "gidmap", "UIDMap": "uidmap", "ContainerID": "container_id",
        "HostID": "host_id", "Size": "size", "Exists": "exists", "SlirpNetNS": "slirp4netns", "Pasta": "pasta",
        "Executable": "executable", "Package": "package",
    ]

    init(_ engine: Engine) throws {
        let containers = try engine.containers()
        let images = try engine.images.list()
        let isRootless = Identity.effective.0 != 0
        // For the id maps of containers; a machine where that is impossible is what `info` is asked about.
        try? engine.enterUserNamespace()
        json = [
            "host": SystemReport.host(isRootless: isRootless),
            "store": SystemReport.store(engine.paths, containers, images.count), "version": Version.json,
        ]
    }

    private static func store(_ paths: StorePaths, _ containers: [Container], _ images: Int) -> JSON {
        func count(_ statuses: ContainerStatus...) -> JSON {
            .int(Int64(containers.count { statuses.contains($0.state.status) }))
        }
        return [
            "configFile": "",
            "containerStore": [
                "number": .int(Int64(containers.count)), "paused": count(.paused),
                "running": count(.running, .stopping),
                "stopped": count(.exited, .created),
            ],
            "graphDriverName": "overlay", "graphRoot": .string(paths.root),
            "imageStore": ["number": .int(Int64(images))],
            "runRoot": .string(paths.run), "transientStore": false, "volumePath": .string(paths.volumes),
        ]
    }

    private static func host(isRootless: Bool) -> JSON {
        let memory = MemoryInformation()
        let program = SelfProtection.programPath
        var object = JSONObject()
        object["arch"] = .string(Version.architecture)
        object["cgroupManager"] = .string("cgroupfs")
        object["cgroupVersion"] = .string(File.exists("/sys/fs/cgroup/cgroup.controllers") ? "v2" : "v1")
        object["cpus"] = .int(
            Int64(text("/proc/stat").split(separator: "\n").count { $0.hasPrefix("cpu") && !$0.hasPrefix("cpu ") }))
        object["distribution"] = distribution()
        object["eventLogger"] = .string("none")
        object["hostname"] = .string(text("/proc/sys/kernel/hostname"))
        object["idMappings"] = ["gidmap": idMap("gid"), "uidmap": idMap("uid")]
        object["kernel"] = .string(text("/proc/sys/kernel/osrelease"))
        object["logDriver"] = .string("k8s-file")
        object["memFree"] = .int(memory.bytes("MemFree"))
        object["memTotal"] = .int(memory.bytes("MemTotal"))
        object["networkBackend"] = .string("samara-net")
        object["ociRuntime"] = [
            "name": "samara", "package": "", "path": .string(program),
            "version": .string("samara version \(Version.current)"),
        ]
        object["os"] = .string("linux")
        // The names under which tools look for rootless networking helpers; neither is used.
        object["pasta"] = ["executable": "", "package": "", "version": ""]
        object["remoteSocket"] = ["exists": false, "path": ""]
        object["rootlessNetworkCmd"] = .string("samara-net")
        object["security"] = [
            "apparmorEnabled": false, "capabilities": .string(""), "rootless": .bool(isRootless),
            "seccompEnabled": true, "seccompProfilePath": "", "selinuxEnabled": false,
        ]
        object["serviceIsRemote"] = .bool(false)
        object["slirp4netns"] = ["executable": "", "package": "", "version": ""]
        object["swapFree"] = .int(memory.bytes("SwapFree"))
        object["swapTotal"] = .int(memory.bytes("SwapTotal"))
        object["uptime"] = .string(uptime())
        return .object(object)
    }

    private static func text(_ path: String) -> String {
        // What the host does not tell is reported as empty.
        let bytes = (try? File.read(path, limit: 1 << 20)) ?? []
        return String(decoding: bytes, as: UTF8.self).trimmedLine
    }

    private static func uptime() -> String {
        let seconds = Int64(text("/proc/uptime").prefix { $0 != "." }) ?? 0
        return GoDuration.text(nanoseconds: seconds * 1_000_000_000)
    }

    /// os-release(5).
    private static func distribution() -> JSON {
        var values: [String: String] = [:]
        for line in text("/etc/os-release").split(separator: "\n") {
            let (key, value) = KeyValueList.split(String(line))
            values[key] = value?.filter { $0 != "\"" }
        }
        return [
            "codename": .string(values["VERSION_CODENAME"] ?? ""), "distribution": .string(values["ID"] ?? "unknown"),
            "version": .string(values["VERSION_ID"] ?? "unknown"),
        ]
    }

    /// The maps of this process, which are those of containers once the namespace is entered.
    private static func idMap(_ kind: String) -> JSON {
        .array(
            text("/proc/self/\(kind)_map").split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ").compactMap { Int64($0) }
                guard fields.count == 3 else { return nil }
                return ["container_id": .int(fields[0]), "host_id": .int(fields[1]), "size": .int(fields[2])]
            })
    }
}

/// /proc/meminfo: proc_meminfo(5).
private struct MemoryInformation {
    private var kibibytes: [Substring: Int64] = [:]

    init() {
        let text = String(decoding: (try? File.read("/proc/meminfo", limit: 1 << 16)) ?? [], as: UTF8.self)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let value = Int64(words[1]) else { continue }
            kibibytes[words[0].dropLast()] = value
        }
    }

    func bytes(_ name: String) -> Int64 { (kibibytes[Substring(name)] ?? 0) * 1024 }
}

extension String {
    /// Without line feeds and spaces at the end.
    var trimmedLine: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
