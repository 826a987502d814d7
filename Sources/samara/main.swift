// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import LinuxSystem
import CLinux

func smoke() {
    do {
        let base = CommandLine.arguments[1]
        try Directory.makeAll("\(base)/c/upper"); try Directory.makeAll("\(base)/c/work"); try Directory.makeAll("\(base)/c/merged"); try Directory.makeAll("\(base)/run"); try Directory.makeAll("\(base)/empty")
        try UserNamespaceHolder(directory: "\(base)/run").join()
        var spec = ContainerSpec(root: .overlay(lower: ["\(base)/l"], upper: "\(base)/c/upper", work: "\(base)/c/work"), mountPoint: "\(base)/c/merged")
        spec.newNamespaces = [.user, .mount, .pid, .network, .ipc, .uts, .cgroup]
        spec.idMap = try IDMap.identity()
        spec.hostname = "smoke"
        spec.mounts = [Mount(.filesystem(type: "proc", options: []), at: "/proc"), Mount(.filesystem(type: "tmpfs", options: [("mode", "755"), ("size", "65536k")]), at: "/dev"),
          Mount(.filesystem(type: "devpts", options: [("newinstance", nil), ("ptmxmode", "0666"), ("mode", "0620")]), at: "/dev/pts"),
          Mount(.device(name: "null"), at: "/dev/null"),
          Mount(.filesystem(type: "sysfs", options: []), at: "/sys")]
        spec.maskedPaths = ["/proc/kcore", "/proc/acpi", "/sys/firmware"]
        spec.readOnlyPaths = ["/proc/sys", "/sys"]
        spec.process.arguments = Array(CommandLine.arguments[2...])
        spec.process.environment = ["PATH=/bin:/usr/bin"]
        spec.process.seccomp = try SeccompProfile.podmanDefault(capabilities: CapabilitySets.podmanDefault.bounding).compiled(cache: "\(base)/run")
        let plan = LaunchPlan(spec, name: "smoke", base: base, emptyDirectory: "\(base)/empty")
        let i = dup(0), o = dup(1), e = dup(2)
        let p = try Launch.start(plan, streams: .init(input: i, output: o, error: e))
        let status = try Process.wait(p.pidfd)
        exit(status.code)
    } catch let error as LaunchError { print("Error:", error.message); exit(error.exitCode) }
    catch { print("Error: \(error)") ; exit(125) }
}
smoke()
