// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A low-level runtime, given a bundle with what Podman would ask for: crun, runc, samara-runtime.
struct Runtime {
    /// With the version: "crun 1.28".
    let name: String
    let path: String
    let globalArguments: [String]
    let environment: [String: String]

    static func find(_ tools: Tools, _ options: Options, _ workspace: Workspace, _ runner: ProcessRunner) throws -> (
        runtimes: [Runtime], absent: [AbsentPeer]
    ) {
        var runtimes: [Runtime] = []
        var absent: [AbsentPeer] = []
        let asked = try workspace.environment(home: "runtime")
        func add(_ name: String, _ path: String, _ arguments: [String]) throws {
            let home = "runtime-\(runtimes.count)"
            let root = try workspace.directory(home + "/root")
            runtimes.append(
                Runtime(
                    name: name, path: path, globalArguments: arguments + ["--root", root],
                    environment: try workspace.environment(home: home)))
        }
        for (program, paths, arguments) in [
            ("crun", nil, ["--cgroup-manager=disabled"]), ("runc", nil, ["--rootless=true"]),
            ("samara-runtime", tools.samara("samara-runtime").map { [$0] } ?? [], []),
        ] {
            let found = try PeerTool.find(program, at: paths, tools, options) { try runner.version(of: $0, asked) }
            for tool in found.found { try add(tool.name, tool.path, arguments) }
            absent += found.absent
        }
        return (runtimes, absent)
    }

    func command(bundle: String, id: String) -> Command {
        Command(path: path, arguments: globalArguments + ["run", "--bundle", bundle, id], environment: environment)
    }
}

/// An OCI bundle: config.json beside a root file system.
enum Bundle {
    /// - Parameter mapsRange: false maps the user alone, which needs no newuidmap.
    static func make(
        _ name: String, root: String, mapsRange: Bool, arguments: [String], seccompProfile: String?,
        _ workspace: Workspace
    ) throws -> String {
        let directory = try workspace.directory(name)
        let configuration = try JSONSerialization.data(
            withJSONObject: try configuration(root, mapsRange, arguments, seccompProfile),
            options: [.prettyPrinted, .sortedKeys])
        try configuration.write(to: URL(fileURLWithPath: directory + "/config.json"))
        return directory
    }

    /// As Podman writes it for `run --network none`, without a memory or pids limit: there are no cgroups.
    private static func configuration(
        _ root: String, _ mapsRange: Bool, _ arguments: [String], _ seccompProfile: String?
    ) throws -> [String: Any] {
        let capabilities = defaultCapabilities
        func mount(_ destination: String, _ type: String, _ source: String, _ options: [String]) -> [String: Any] {
            ["destination": destination, "type": type, "source": source, "options": options]
        }
        func map(_ own: UInt32, _ range: (first: Int, count: Int)?) -> [[String: Int]] {
            [["containerID": 0, "hostID": Int(own), "size": 1]]
                + (range.map { [["containerID": 1, "hostID": $0.first, "size": $0.count]] } ?? [])
        }
        let user = NSUserName()
        let users = mapsRange ? UserNamespace.subordinateRange("/etc/subuid", user) : nil
        let groups = mapsRange ? UserNamespace.subordinateRange("/etc/subgid", user) : nil
        var terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
        if groups != nil { terminals.append("gid=5") }
        var linux: [String: Any] = [
            "namespaces": ["user", "mount", "pid", "network", "ipc", "uts", "cgroup"].map { ["type": $0] },
            "uidMappings": map(getuid(), users), "gidMappings": map(getgid(), groups),
            "maskedPaths": [
                "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
                "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap",
                "/sys/firmware",
                "/sys/fs/selinux",
            ],
            "readonlyPaths": [
                "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        ]
        if let seccompProfile { linux["seccomp"] = try seccomp(seccompProfile) }
        return [
            "ociVersion": "1.0.2", "hostname": "bench", "root": ["path": root, "readonly": false],
            "process": [
                "terminal": false, "user": ["uid": 0, "gid": 0], "cwd": "/", "args": arguments,
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "capabilities": ["bounding": capabilities, "effective": capabilities, "permitted": capabilities],
            ] as [String: Any],
            "mounts": [
                mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
                mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/dev/pts", "devpts", "devpts", terminals),
                mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
                mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
            ],
            "linux": linux,
        ]
    }

    private static let defaultCapabilities = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
        "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
    ]

    /// The engines' profile with its conditions resolved, as an engine does before it calls a runtime.
    private static func seccomp(_ path: String) throws -> [String: Any] {
        guard let data = FileManager.default.contents(atPath: path),
            let profile = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let rules = profile["syscalls"] as? [[String: Any]]
        else { throw BenchError("\(path) is not a seccomp profile") }
        func names(_ rule: [String: Any], _ condition: String, _ key: String) -> [String] {
            (rule[condition] as? [String: Any])?[key] as? [String] ?? []
        }
        #if arch(x86_64)
            let (architecture, architectures) = ("amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
        #else
            let (architecture, architectures) = ("arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
        #endif
        let applying = rules.filter { rule in
            let wantedArchitectures = names(rule, "includes", "arches")
            let wantedCapabilities = names(rule, "includes", "caps")
            return (wantedArchitectures.isEmpty || wantedArchitectures.contains(architecture))
                && wantedCapabilities.allSatisfy(defaultCapabilities.contains)
                && !names(rule, "excludes", "caps").contains(where: defaultCapabilities.contains)
                && !names(rule, "excludes", "arches").contains(architecture)
        }
        return [
            "defaultAction": profile["defaultAction"] ?? "SCMP_ACT_ERRNO",
            "defaultErrnoRet": profile["defaultErrnoRet"] ?? 38,
            "architectures": architectures,
            "syscalls": applying.map { rule in
                rule.filter { ["names", "action", "args", "errnoRet"].contains($0.key) && !($0.value is NSNull) }
            },
        ]
    }
}
