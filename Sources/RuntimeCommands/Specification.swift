// SPDX-License-Identifier: Apache-2.0
import Arguments
import CLinux
import ContainerRuntime
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

func specCommand() -> Command<RuntimeContext> {
    Command("spec", summary: "Write a config.json to start from") {
        .init(
            usage: "[options]",
            flags: [
                .string("bundle", short: "b", default: ".", help: "Directory of the bundle"),
                .bool("rootless", help: "For a user without privileges"),
            ], positional: .none
        ) { _, arguments in
            let path = arguments.string("bundle") + "/config.json"
            let json = DefaultConfig.json(isRootless: arguments.bool("rootless"))
            do {
                try File.write(path, json.serialized(indent: 2) + [10], flags: O_CREAT | O_EXCL)
            } catch let error as Errno {
                throw error == .fileExists
                    ? RuntimeError("config.json exists already in `\(arguments.string("bundle"))`; remove it first")
                    : RuntimeError("write", path, error)
            }
            return 0
        }
    }
}

func featuresCommand() -> Command<RuntimeContext> {
    Command("features", summary: "Print what this runtime supports") {
        .init(usage: "", positional: .none) { _, _ in
            writeOut(Features.json.serializedText(indent: 2) + "\n")
            return 0
        }
    }
}

/// The document of features.md: decided by the program, not by the host.
private enum Features {
    static var json: JSON {
        func texts(_ list: [String]) -> JSON { .array(list.map { .string($0) }) }
        return [
            "ociVersionMin": "1.0.0",
            "ociVersionMax": .string(RuntimeConfig.specificationVersion),
            "hooks": texts(RuntimeHooks.Kind.allCases.map(\.rawValue)),
            "mountOptions": texts(MountWords.all),
            "linux": [
                "namespaces": texts(RuntimeNamespace.Kind.allCases.map(\.rawValue).sorted()),
                "capabilities": texts(CapabilitySets.names(CapabilitySets.all.bounding)),
                "cgroup": ["v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true],
                "seccomp": [
                    "enabled": true,
                    "actions": texts([
                        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                        "SCMP_ACT_KILL_THREAD",
                        "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
                    ]),
                    "operators": texts([
                        "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                        "SCMP_CMP_NE",
                    ]),
                    "archs": texts([
                        "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64",
                    ]),
                    "knownFlags": texts([
                        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
                    ]),
                    "supportedFlags": texts([
                        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
                    ]),
                ],
                "apparmor": ["enabled": true], "selinux": ["enabled": true], "intelRdt": ["enabled": false],
                "mountExtensions": ["idmap": ["enabled": true]],
            ],
        ]
    }
}

/// What `spec` writes: a shell with the default mounts and devices.
enum DefaultConfig {
    static func json(isRootless: Bool) -> JSON {
        func texts(_ list: [String]) -> JSON { .array(list.map { .string($0) }) }
        func mount(_ destination: String, _ type: String, _ source: String, _ options: [String]) -> JSON {
            [
                "destination": .string(destination), "type": .string(type), "source": .string(source),
                "options": texts(options),
            ]
        }
        let capabilities = texts(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])
        var namespaces = ["pid", "ipc", "uts", "mount", "cgroup"]
        namespaces.append(isRootless ? "user" : "network")
        var linux: JSONObject = [
            "namespaces": .array(namespaces.map { ["type": .string($0)] }),
            "maskedPaths": texts(DefaultPaths.masked), "readonlyPaths": texts(DefaultPaths.readOnly),
        ]
        if isRootless {
            let (user, group) = Identity.effective
            func map(_ id: UInt32) -> JSON { [["containerID": 0, "hostID": .int(Int64(id)), "size": 1]] }
            linux["uidMappings"] = map(user)
            linux["gidMappings"] = map(group)
        } else {
            linux["resources"] = ["devices": [["allow": false, "access": "rwm"]]]
        }
        let sys =
            isRootless
            ? mount("/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"])
            : mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])
        let terminals =
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] + (isRootless ? [] : ["gid=5"])
        var mounts = [
            mount("/proc", "proc", "proc", []),
            mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", terminals),
            mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
            sys,
        ]
        if !isRootless {
            mounts.append(mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]))
        }
        return [
            "ociVersion": .string(RuntimeConfig.specificationVersion),
            "process": [
                "terminal": true, "user": ["uid": 0, "gid": 0], "args": ["sh"],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"], "cwd": "/",
                "capabilities": ["bounding": capabilities, "effective": capabilities, "permitted": capabilities],
                "rlimits": [["type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024]], "noNewPrivileges": true,
            ],
            "root": ["path": "rootfs", "readonly": true], "hostname": "samara", "mounts": .array(mounts),
            "linux": .object(linux),
        ]
    }
}
