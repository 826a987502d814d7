// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// A launch prepared completely before clone.
public struct LaunchPlan: ~Copyable {
    private var arena: Arena
    var child: ChildPlan
    var cloneFlags: UInt64
    var idMap: IDMap?
    /// What failure sentences call the container.
    let name: String

    /// The descriptors a program without terminal gets as 0, 1 and 2; borrowed until the launch returns.
    public struct StandardStreams: Sendable {
        public var input: Int32
        public var output: Int32
        public var error: Int32
        public init(input: Int32, output: Int32, error: Int32) {
            self.input = input
            self.output = output
            self.error = error
        }
    }

    /// Plans a container with its own root.
    ///
    /// - Parameters:
    ///   - base: an ancestor directory of the overlay's directories.
    ///   - startsInBase: it is the working directory of the process that launches.
    ///   - emptyDirectory: an existing empty directory for masks.
    public init(
        _ spec: ContainerSpec, name: String, base: String, startsInBase: Bool = false, emptyDirectory: String,
        dieWithParent: Bool = true
    ) {
        var arena = Arena()
        var child = LaunchPlan.processPart(spec.process, &arena)
        child.dieWithParent = dieWithParent
        child.mountPoint = arena.string(spec.mountPoint)
        switch spec.root {
        case .directory(let path): child.rootDirectory = arena.string(path)
        case .overlay(let lower, let upper, let work):
            func relative(_ path: String) -> String {
                path.hasPrefix(base + "/") ? String(path.dropFirst(base.utf8.count + 1)) : path
            }
            if !startsInBase { child.overlayBase = arena.string(base) }
            child.overlayLower = arena.table(lower.map { arena.string(relative($0)) })
            child.overlayUpper = arena.string(relative(upper))
            child.overlayWork = arena.string(relative(work))
            var options = ""
            options.reserveCapacity(512)
            options += "userxattr,lowerdir="
            for (index, layer) in lower.enumerated() {
                if index > 0 { options += ":" }
                options += relative(layer)
            }
            options += ",upperdir="
            options += relative(upper)
            options += ",workdir="
            options += relative(work)
            // mount(2): the data argument is one page.
            if options.utf8.count < 4000 { child.overlayOptions = arena.string(options) }
        }
        child.isRootReadOnly = spec.isRootReadOnly
        child.mounts = arena.table(spec.mounts) { LaunchPlan.step($0, &$1) }
        LaunchPlan.planCovers(spec, &child, &arena)
        child.markerFile = spec.markerFile.map { arena.string(LaunchPlan.relative($0)) }
        child.deviceDirectories = arena.table(spec.deviceDirectories) { $1.string($0) }
        child.deviceNodes = arena.table(spec.devices) {
            DeviceNode(source: $1.string("/dev/" + $0), name: $1.string($0))
        }
        child.sysctls = arena.table(
            spec.sysctls.map {
                SysctlStep(
                    path: arena.string("proc/sys/" + $0.name.split(separator: ".").joined(separator: "/")),
                    value: arena.string($0.value), valueLength: $0.value.utf8.count)
            })
        child.emptyDirectory = arena.string(emptyDirectory)
        if let hostname = spec.hostname {
            child.hostname = arena.string(hostname)
            child.hostnameLength = hostname.utf8.count
        }
        child.waitsForIDMap = spec.idMap != nil
        child.startsAsRoot = spec.startsAsRoot
        self.cloneFlags = spec.newNamespaces.rawValue
        self.idMap = spec.idMap
        self.name = name
        self.child = child
        self.arena = arena
    }

    /// Frees the memory of a plan that will not be launched again.
    public mutating func discard() { arena.discard() }

    /// Plans a further process in a container whose namespaces the caller has joined.
    public init(process: ProcessSpec, name: String, dieWithParent: Bool = true) {
        var arena = Arena()
        child = LaunchPlan.processPart(process, &arena)
        child.dieWithParent = dieWithParent
        cloneFlags = 0
        idMap = nil
        self.name = name
        self.arena = arena
    }

    private static func processPart(_ process: ProcessSpec, _ arena: inout Arena) -> ChildPlan {
        let path = process.environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) }
        let environment = arena.vector(process.environment, spare: 1)
        var child = ChildPlan(
            workingDirectory: arena.string(process.workingDirectory.isEmpty ? "/" : process.workingDirectory),
            user: arena.string(process.user), capabilities: process.capabilities,
            arguments: arena.vector((process.usesInit ? [InitProcess.name] : []) + process.arguments),
            environment: environment,
            searchPath: arena.string(path ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            scratch: arena.allocate(ScratchLayout.total)
                .bindMemory(to: UInt8.self, capacity: ScratchLayout.total))
        child.makesWorkingDirectory = process.makesWorkingDirectory
        if !process.environment.contains(where: { $0.hasPrefix("HOME=") }) {
            child.homeSlot = environment + process.environment.count
        }
        child.additionalGroups = arena.table(process.additionalGroups.map { arena.string($0) })
        child.userCapabilities = process.userCapabilities
        child.highestCapability = CapabilitySets.highest
        child.noNewPrivileges = process.noNewPrivileges
        child.usesInit = process.usesInit
        if let seccomp = process.seccomp {
            let bytes = arena.allocate(seccomp.instructions.count)
            seccomp.instructions.withUnsafeBytes {
                bytes.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(bytes), byteCount: $0.count)
            }
            child.seccompFilter = UnsafePointer(bytes.assumingMemoryBound(to: sock_filter.self))
            child.seccompLength = UInt16(seccomp.instructions.count / MemoryLayout<sock_filter>.stride)
        }
        child.limits = arena.table(
            process.limits.map { LimitStep(resource: $0.resource, soft: $0.soft, hard: $0.hard) })
        child.umask = process.umask
        child.oomScore = process.oomScoreAdjustment.map { arena.string(String($0)) }
        child.hasTerminal = process.hasTerminal
        child.ignoredSignals = Process.ignoredSignals
        child.preservedDescriptors = Int32(process.preservedDescriptors)
        return child
    }
}
