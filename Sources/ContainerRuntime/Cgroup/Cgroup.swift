// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// How this host has its control groups mounted: cgroups(7).
package enum CgroupLayout: Equatable, Sendable {
    /// One cgroup2 filesystem on /sys/fs/cgroup.
    case unified
    /// A tmpfs on /sys/fs/cgroup with a directory for each v1 controller; cgroup2 may be mounted beside them, and is
    /// only a place for processes.
    case legacy
    case none

    static let mountPoint = "/sys/fs/cgroup"

    package static func current() -> CgroupLayout {
        var status = statfs()
        guard statfs(mountPoint, &status) == 0 else { return .none }
        switch UInt32(truncatingIfNeeded: status.f_type) {
        case 0x6367_7270: return .unified  // CGROUP2_SUPER_MAGIC
        case 0x0102_1994: return .legacy  // TMPFS_MAGIC
        default: return .none
        }
    }
}

/// The control group of a container: one directory under cgroup v2, one for each controller under v1, none where the
/// user may make none.
package struct Cgroup: Sendable, Equatable {
    /// Absolute paths.
    package var directories: [String]
    /// The scope of systemd that the one directory is; nil for a group that is made by files.
    package var unit: String?

    package init(directories: [String], unit: String? = nil) {
        self.directories = directories
        self.unit = unit
    }

    private var isUnified: Bool { directories.count == 1 && File.exists(directories[0] + "/cgroup.controllers") }

    // MARK: Making

    /// Makes the container's groups and sets its limits.
    ///
    /// - Parameters:
    ///   - path: linux.cgroupsPath; relative and absent ones are below the caller's own group for rootless users.
    ///   - isRootless: what cannot be made is then left out, unless limits were asked for.
    package static func make(
        path: String?, id: String, resources: RuntimeResources, isRootless: Bool
    ) throws(RuntimeError) -> Cgroup {
        let layout = CgroupLayout.current()
        if let path, path.split(separator: "/").contains("..") {
            throw RuntimeError("linux.cgroupsPath: `\(path)` must not contain `..`")
        }
        if let path, path.contains(":"), !path.hasPrefix("/") {
            throw RuntimeError("linux.cgroupsPath: `\(path)` is a systemd path; it needs --systemd-cgroup")
        }
        var cgroup = Cgroup(directories: [])
        do throws(RuntimeError) {
            switch layout {
            case .unified: try cgroup.makeUnified(path, id, isRootless, resources)
            case .legacy: try cgroup.makeLegacy(path, id, isRootless)
            case .none: throw RuntimeError("no cgroup filesystem is mounted on \(CgroupLayout.mountPoint)")
            }
        } catch {
            cgroup.remove()
            guard isRootless, !resources.hasLimits else {
                throw isRootless && resources.hasLimits
                    ? RuntimeError("cannot honour linux.resources without a delegated cgroup: \(error.message)") : error
            }
            return Cgroup(directories: [])
        }
        do throws(RuntimeError) {
            try cgroup.apply(resources, deviceRules: !isRootless)
        } catch {
            cgroup.remove()
            throw error
        }
        return cgroup
    }

    /// The same by systemd: as a scope around the process `pid`, which is in it afterwards.
    package static func makeScope(
        path: String?, id: String, resources: RuntimeResources, annotations: [(name: String, value: String)],
        isRootless: Bool, _ pid: Int32
    ) throws(RuntimeError) -> Cgroup {
        guard CgroupLayout.current() == .unified else {
            throw RuntimeError(
                "systemd cgroups need cgroup v2 alone on \(CgroupLayout.mountPoint); use the cgroupfs manager here")
        }
        let scope = try SystemdScope(path: path, id: id, isRootless: isRootless)
        let directory = try scope.start(pid, resources, annotations, isRootless: isRootless)
        let cgroup = Cgroup(directories: [directory], unit: scope.unit)
        do throws(RuntimeError) { try cgroup.apply(resources, deviceRules: !isRootless) } catch {
            cgroup.remove()
            throw error
        }
        return cgroup
    }

    private mutating func makeUnified(
        _ path: String?, _ id: String, _ isRootless: Bool, _ resources: RuntimeResources
    ) throws(RuntimeError) {
        let own = Cgroup.ownPath(controller: "") ?? "/"
        let relative: String =
            if let path, path.hasPrefix("/") { path } else { (isRootless ? own : "") + "/" + (path ?? id) }
        var directory = CgroupLayout.mountPoint
        for component in relative.split(separator: "/") {
            // From the top down: a controller is available only where the parent passes it on.
            enableControllers(in: directory)
            directory += "/" + component
            try makeDirectory(directory)
        }
        if directory == CgroupLayout.mountPoint { throw RuntimeError("linux.cgroupsPath: must not be the root cgroup") }
        directories = [directory]
    }

    /// Passes on every controller that is offered, one by one, because one that cannot be (threaded, busy) must not
    /// keep the others away. What is missing afterwards is an error only if a limit needs it.
    private func enableControllers(in directory: String) {
        guard let offered = try? File.read(directory + "/cgroup.controllers", limit: 4096) else { return }
        let enabled = (try? File.read(directory + "/cgroup.subtree_control", limit: 4096)) ?? []
        let present = Set(enabled.split(separator: 32).map { $0.filter { $0 > 32 } })
        for name in offered.split(separator: 32).map({ $0.filter { $0 > 32 } })
        where !name.isEmpty && !present.contains(name) {
            try? File.write(directory + "/cgroup.subtree_control", [UInt8(ascii: "+")] + name, flags: 0)
        }
    }

    private mutating func makeLegacy(_ path: String?, _ id: String, _ isRootless: Bool) throws(RuntimeError) {
        let names = (try? Directory.names(CgroupLayout.mountPoint)) ?? []
        for name in names.sorted() where name != "unified" {
            let mount = CgroupLayout.mountPoint + "/" + name
            // Links such as cpu -> cpu,cpuacct name a hierarchy a second time.
            guard let status = try? File.status(mount, follow: false), status.isDirectory else { continue }
            guard File.exists(mount + "/cgroup.procs") else { continue }
            let own = Cgroup.ownPath(controller: name) ?? "/"
            let base = path.map { $0.hasPrefix("/") ? $0 : own + "/" + $0 } ?? own + "/" + id
            let directory = mount + base.split(separator: "/").map { "/" + $0 }.joined()
            try makeAll(directory, below: mount)
            if name.split(separator: ",").contains("cpuset") { inheritCPUSet(directory, mount) }
            directories.append(directory)
        }
        if directories.isEmpty {
            throw RuntimeError("no cgroup controller is mounted below \(CgroupLayout.mountPoint)")
        }
    }

    private mutating func makeAll(_ directory: String, below mount: String) throws(RuntimeError) {
        var current = mount
        for component in directory.dropFirst(mount.utf8.count).split(separator: "/") {
            current += "/" + component
            try makeDirectory(current)
        }
    }

    private func makeDirectory(_ directory: String) throws(RuntimeError) {
        do { try Directory.make(directory) } catch .fileExists {} catch {
            throw RuntimeError("create the cgroup", directory, error)
        }
    }

    /// A v1 cpuset accepts processes only when it has processors and memory nodes: cpuset(7).
    private func inheritCPUSet(_ directory: String, _ mount: String) {
        var current = mount
        for component in directory.dropFirst(mount.utf8.count).split(separator: "/") {
            let child = current + "/" + component
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let value = try? File.read(child + "/" + file, limit: 4096), value.count > 1 { continue }
                if let value = try? File.read(current + "/" + file, limit: 4096) {
                    try? File.write(child + "/" + file, value, flags: 0)
                }
            }
            current = child
        }
    }

    /// This process's group in a hierarchy (empty: v2), from `/proc/self/cgroup`.
    private static func ownPath(controller: String) -> String? {
        guard let bytes = try? File.read("/proc/self/cgroup", limit: 1 << 20) else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let names = fields[1].split(separator: ",").map { $0.hasPrefix("name=") ? $0.dropFirst(5) : $0 }
            if controller.isEmpty
                ? fields[0] == "0" : names.contains(where: { controller.split(separator: ",").contains($0) })
            {
                return fields[2] == "/" ? "" : String(fields[2])
            }
        }
        return nil
    }

    // MARK: Processes

    /// Moves the process `pid` into every group.
    package func add(_ pid: Int32) throws(RuntimeError) {
        for directory in directories {
            try describing("move the process into the cgroup", directory) { () throws(Errno) in
                try File.write(directory + "/cgroup.procs", Array("\(pid)".utf8), flags: 0)
            }
        }
    }

    /// Host pids in the group and the groups below it.
    package func processes() -> [Int32] {
        guard let directory = directories.first else { return [] }
        return Array(Set(Cgroup.processes(below: directory))).sorted()
    }

    private static func processes(below directory: String) -> [Int32] {
        let bytes = (try? File.read(directory + "/cgroup.procs", limit: 4 << 20)) ?? []
        var pids = bytes.split(separator: 10).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
        for name in (try? Directory.names(directory)) ?? [] {
            let child = directory + "/" + name
            if (try? File.status(child, follow: false).isDirectory) == true { pids += processes(below: child) }
        }
        return pids
    }

    /// Sends `signal` to every process of the group; false where there is no group.
    package func signalAll(_ signal: Int32) -> Bool {
        guard let directory = directories.first else { return false }
        if signal == SIGKILL, isUnified,
            (try? File.write(directory + "/cgroup.kill", [UInt8(ascii: "1")], flags: 0)) != nil
        {
            return true
        }
        for pid in processes() {
            if let identity = ProcessIdentity(pid: pid), let pidfd = try? identity.open() {
                try? Process.signal(pidfd, signal)
            }
        }
        return true
    }

    // MARK: Freezing

    private var freezer: String? {
        isUnified ? directories.first : directories.first { $0.hasPrefix(CgroupLayout.mountPoint + "/freezer/") }
    }

    package var isFrozen: Bool {
        guard let freezer else { return false }
        if isUnified {
            let events = (try? File.read(freezer + "/cgroup.events", limit: 4096)) ?? []
            return String(decoding: events, as: UTF8.self).split(separator: "\n").contains("frozen 1")
        }
        return (try? File.read(freezer + "/freezer.state", limit: 64))?.starts(with: Array("FRO".utf8)) == true
    }

    /// Stops or continues every process of the group and waits until that has happened.
    package func setFrozen(_ frozen: Bool) throws(RuntimeError) {
        guard let freezer else {
            throw RuntimeError("cannot \(frozen ? "pause" : "resume"): the container has no cgroup that can be frozen")
        }
        let (file, value) =
            isUnified ? ("cgroup.freeze", frozen ? "1" : "0") : ("freezer.state", frozen ? "FROZEN" : "THAWED")
        try describing(frozen ? "freeze the cgroup" : "thaw the cgroup", freezer) { () throws(Errno) in
            try File.write(freezer + "/" + file, Array(value.utf8), flags: 0)
        }
        // The kernel has no call that waits for it; a task in an uninterruptible call takes until that ends.
        let deadline = samara_monotonic_milliseconds() + 10_000
        while isFrozen != frozen {
            if samara_monotonic_milliseconds() > deadline {
                throw RuntimeError("the cgroup `\(freezer)` did not \(frozen ? "freeze" : "thaw") within 10 s")
            }
            Process.sleep(milliseconds: 1)
        }
    }

    // MARK: Removing

    /// Removes the groups from the leaves up. A group stays busy for a moment after its last process ended.
    package func remove() {
        if let unit {
            let isRootless = Identity.effective.0 != 0 || UserNamespace.isNested
            if var manager = try? SystemdBus.connect(isRootless: isRootless) { manager.stop(unit) }
        }
        for directory in directories { Cgroup.removeTree(directory) }
    }

    private static func removeTree(_ directory: String) {
        for name in (try? Directory.names(directory)) ?? [] {
            let child = directory + "/" + name
            if (try? File.status(child, follow: false).isDirectory) == true { removeTree(child) }
        }
        for _ in 0..<100 {
            do {
                try File.unlink(directory, flags: AT_REMOVEDIR)
                return
            } catch .resourceBusy { Process.sleep(milliseconds: 5) } catch { return }
        }
    }
}
