// SPDX-License-Identifier: Apache-2.0
//
// Plans and launches one container as the engine does, in a process of its own (a test process has threads, and threads
// may not enter a user namespace), and prints how often each part allocated: `plan N`, `launch N`, `child N`.
import CAllocationCount
import CLinux
import ContainerRuntime
import LinuxSystem
import SystemPackage

func run() throws {
    let directory = "/tmp/launch-probe-\(Process.id)"
    try Directory.makeAll(directory + "/root")
    try Directory.makeAll(directory + "/empty")
    defer { try? FileTree.remove(directory) }
    let holder = UserNamespaceHolder(directory: directory)
    defer { holder.stop() }
    try holder.join()

    var spec = ContainerSpec(root: .directory("/"), mountPoint: directory + "/root")
    spec.newNamespaces = [.user, .mount, .pid, .network, .ipc, .uts, .cgroup]
    spec.idMap = try holder.nestedMap()
    spec.mounts = DefaultMounts.list(
        shm: .new(bytes: 1 << 20), hasOwnPID: true, hasOwnIPC: true, hasOwnNetwork: true, terminalGroup: 5)
    spec.maskedPaths = DefaultPaths.masked
    spec.readOnlyPaths = DefaultPaths.readOnly
    spec.hostname = "probe"
    spec.process.arguments = ["true"]
    spec.process.environment = ["PATH=/usr/bin:/bin", "container=samara"]
    spec.process.seccomp = try SeccompProfile.podmanDefault(
        capabilities: spec.process.capabilities.bounding, cache: directory)
    let null = try File.open("/dev/null", O_RDWR)

    _ = try checked(samara_count_allocations_of_init())
    let start = samara_allocation_count()
    let plan = LaunchPlan(spec, name: "probe", base: directory, emptyDirectory: directory + "/empty")
    let planned = samara_allocation_count()
    let launched = try Launch.start(plan, streams: .init(input: null.raw, output: null.raw, error: null.raw))
    let ended = samara_allocation_count()
    guard try Process.wait(launched.descriptor()) == .exited(0) else { throw Errno.badMessage }
    let lines = "plan \(planned - start)\nlaunch \(ended - planned)\nchild \(samara_allocations_of_init())\n"
    try File.writeAll(1, Array(lines.utf8))
}

do { try run() } catch {
    try? File.writeAll(2, Array("LaunchProbe: \(error)\n".utf8))
    Process.exitNow(1)
}
