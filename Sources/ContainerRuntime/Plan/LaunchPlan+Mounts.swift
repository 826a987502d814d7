// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// From mounts as a specification names them to the steps that the child performs.
extension LaunchPlan {
    static func relative(_ path: String) -> String {
        let trimmed = path.drop { $0 == "/" }
        return trimmed.isEmpty ? "." : String(trimmed)
    }

    static func step(_ mount: Mount, _ arena: inout Arena) -> MountStep {
        var attributes: UInt64 = 0
        if mount.isReadOnly { attributes |= UInt64(MOUNT_ATTR_RDONLY) }
        if mount.noSuid { attributes |= UInt64(MOUNT_ATTR_NOSUID) }
        if mount.noDevices { attributes |= UInt64(MOUNT_ATTR_NODEV) }
        if mount.noExecute { attributes |= UInt64(MOUNT_ATTR_NOEXEC) }
        var options: [(String, String?)] = []
        var targetIsFile = false
        var role = KernelTree.none
        let kind: MountStep.Kind
        let source: String
        switch mount.source {
        case .filesystem(let type, let pairs):
            kind = .filesystem
            source = type
            options = pairs
            if type == "proc" { role = .proc }
            if type == "sysfs" { role = .sys }
        case .bind(let path, let recursive):
            kind = recursive ? .recursiveBind : .bind
            source = path
            targetIsFile = (try? File.status(path).isDirectory) == false
        case .file(let path):
            kind = .bind
            source = path
            targetIsFile = true
        case .devices(let pairs):
            kind = .devices
            source = "tmpfs"
            options = pairs
        }
        let destination = mount.isInDevices ? String(mount.destination.dropFirst(5)) : relative(mount.destination)
        return MountStep(
            kind: kind, source: arena.string(source), destination: arena.string(destination),
            options: arena.table(options) { option, arena in
                var value: CText?
                if let text = option.1 { value = arena.string(text) }
                return MountOption(key: arena.string(option.0), value: value)
            },
            data: arena.options(options), attributes: attributes,
            propagation: mount.propagation.rawValue, targetIsFile: targetIsFile, isInDevices: mount.isInDevices,
            role: role)
    }

    private static func hasTwoDots(_ path: String) -> Bool {
        var previous: UInt8 = 0
        for byte in path.utf8 {
            if byte == UInt8(ascii: "."), previous == byte { return true }
            previous = byte
        }
        return false
    }

    /// Paths below a new proc or sysfs are covered from its root; those elsewhere, or where something else is mounted
    /// on or below /sys, are looked up in the container's root.
    static func planCovers(_ spec: ContainerSpec, _ child: inout ChildPlan, _ arena: inout Arena) {
        func isNew(_ role: KernelTree, _ path: String) -> Bool {
            var found = false
            for (index, mount) in spec.mounts.enumerated()
            where mount.destination == path || mount.destination.hasPrefix(path + "/") {
                if found || child.mounts[index].role != role { return false }
                found = true
            }
            return found
        }
        let (hasProc, hasSys) = (isNew(.proc, "/proc"), isNew(.sys, "/sys"))
        var steps: [CoverStep] = []
        steps.reserveCapacity(spec.readOnlyPaths.count + spec.maskedPaths.count)
        func add(_ path: String, isMask: Bool) {
            var tree = KernelTree.none
            var below = relative(path)
            // Up from there is the container's root again.
            let isPlain = !hasTwoDots(path)
            if isPlain, hasProc, path.hasPrefix("/proc/") {
                (tree, below) = (.proc, relative(String(path.dropFirst(6))))
            }
            if isPlain, hasSys, path.hasPrefix("/sys/") { (tree, below) = (.sys, relative(String(path.dropFirst(5)))) }
            if tree == .proc { child.coversProc = true }
            if tree == .sys { child.coversSys = true }
            steps.append(
                CoverStep(
                    path: arena.string(below), tree: tree, isMask: isMask,
                    isDirectory: isMask && DefaultPaths.directories.contains(path)))
        }
        for path in spec.readOnlyPaths { add(path, isMask: false) }
        for path in spec.maskedPaths { add(path, isMask: true) }
        child.covers = arena.table(steps)
    }
}
