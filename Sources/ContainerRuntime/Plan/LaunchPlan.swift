// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

typealias CText = UnsafePointer<CChar>

/// One mount as the child performs it; every pointer is into the arena.
struct MountStep: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case filesystem, bind, recursiveBind, devices }
    var kind: Kind
    /// Filesystem type or source path.
    var source: CText
    /// Without leading slashes, relative to the root.
    var destination: CText
    /// Pairs of key and value for fsconfig(2); a nil value is a flag.
    var options: UnsafeBufferPointer<MountOption>
    /// MOUNT_ATTR_* to set.
    var attributes: UInt64
    /// MS_PRIVATE, MS_SLAVE or MS_SHARED.
    var propagation: UInt64
    /// The destination, when it must be made, is a file and not a directory.
    var targetIsFile: Bool
}

/// One of the host's device nodes, bound into the container's /dev.
struct DeviceNode: BitwiseCopyable {
    /// `/dev/null`
    var source: CText
    /// `null`
    var name: CText
}

struct MountOption: BitwiseCopyable {
    var key: CText
    var value: CText?
}

struct SysctlStep: BitwiseCopyable {
    /// `proc/sys/net/ipv4/…`, relative to the root.
    var path: CText
    var value: CText
    var valueLength: Int
}

struct LimitStep: BitwiseCopyable {
    var resource: Int32
    var soft: UInt64
    var hard: UInt64
}

/// What the child reads: plain values and pointers into the arena, nothing that counts references.
struct ChildPlan {
    /// SOCK_SEQPACKET to the parent: failure records and the terminal go up, "the id map is written" comes down.
    var syncSocket: Int32 = -1
    /// The parent's end of it, which the child closes: its own copy would keep the end of file away.
    var parentSyncSocket: Int32 = -1
    var waitsForIDMap = false

    // Root filesystem; nil mountPoint joins a container that has one already (exec).
    var mountPoint: CText?
    /// chdir here first: overlay options then are short relative paths (fsconfig values end at 255 bytes).
    var overlayBase: CText?
    var overlayLower = UnsafeBufferPointer<CText>(start: nil, count: 0)
    var overlayUpper: CText?
    var overlayWork: CText?
    /// The colon-separated form for kernels without "lowerdir+" (before 6.5).
    var overlayLegacyOptions: CText?
    var rootDirectory: CText?
    var isRootReadOnly = false
    var mounts = UnsafeBufferPointer<MountStep>(start: nil, count: 0)
    /// What the new /dev gets: directories for later mounts, and the host's nodes.
    var deviceDirectories = UnsafeBufferPointer<CText>(start: nil, count: 0)
    var deviceNodes = UnsafeBufferPointer<DeviceNode>(start: nil, count: 0)
    var sysctls = UnsafeBufferPointer<SysctlStep>(start: nil, count: 0)
    var maskedPaths = UnsafeBufferPointer<CText>(start: nil, count: 0)
    var readOnlyPaths = UnsafeBufferPointer<CText>(start: nil, count: 0)
    /// An empty directory of the host that masks directories.
    var emptyDirectory: CText?
    var hostname: CText?
    var hostnameLength = 0

    // Process.
    var workingDirectory: CText
    var makesWorkingDirectory = false
    var user: CText
    var additionalGroups = UnsafeBufferPointer<CText>(start: nil, count: 0)
    var capabilities: CapabilitySets
    /// What a user other than root keeps: only what was asked for by name.
    var userCapabilities: UInt64 = 0
    var highestCapability: Int32 = 40
    var noNewPrivileges = false
    var seccompFilter: UnsafePointer<sock_filter>?
    var seccompLength: UInt16 = 0
    var limits = UnsafeBufferPointer<LimitStep>(start: nil, count: 0)
    var umask: UInt32 = 0o022
    var oomScore: CText?
    var hasTerminal = false
    var standardInput: Int32 = -1
    var standardOutput: Int32 = -1
    var standardError: Int32 = -1
    var preservedDescriptors: Int32 = 0
    /// Execute this very program, with the container's arguments behind its own name.
    var usesInit = false
    var dieWithParent = true
    /// Bit n - 1 for signal n that this process ignores: only these must be reset before execve.
    var ignoredSignals: UInt64 = 0
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    var environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    /// The vector's empty slot for HOME; nil when the environment has one.
    var homeSlot: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    /// The value of PATH for programs named without a slash.
    var searchPath: CText
    /// Room for the child's file reading and path building; see `ScratchLayout`.
    var scratch: UnsafeMutablePointer<UInt8>
}

/// How the child divides its scratch memory, in bytes.
enum ScratchLayout {
    static let path = 0
    static let pathSize = 4096 + 256
    static let home = 8 << 10
    static let homeSize = 4096
    static let groups = 16 << 10
    static let groupsCount = 1024
    static let reading = 32 << 10
    static let readingSize = 32 << 10
    static let total = 64 << 10
}

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
    ///   - emptyDirectory: an existing empty directory for masks.
    public init(
        _ spec: ContainerSpec, name: String, base: String, emptyDirectory: String, dieWithParent: Bool = true
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
            child.overlayBase = arena.string(base)
            child.overlayLower = arena.table(lower.map { arena.string(relative($0)) })
            child.overlayUpper = arena.string(relative(upper))
            child.overlayWork = arena.string(relative(work))
            let joined = lower.map(relative).joined(separator: ":")
            child.overlayLegacyOptions = arena.string(
                "userxattr,lowerdir=\(joined),upperdir=\(relative(upper)),workdir=\(relative(work))")
        }
        child.isRootReadOnly = spec.isRootReadOnly
        child.mounts = arena.table(spec.mounts.map { LaunchPlan.step($0, &arena) })
        child.deviceDirectories = arena.table(spec.deviceDirectories.map { arena.string($0) })
        child.deviceNodes = arena.table(
            spec.devices.map { DeviceNode(source: arena.string("/dev/" + $0), name: arena.string($0)) })
        child.sysctls = arena.table(
            spec.sysctls.map {
                SysctlStep(
                    path: arena.string("proc/sys/" + $0.name.split(separator: ".").joined(separator: "/")),
                    value: arena.string($0.value), valueLength: $0.value.utf8.count)
            })
        child.maskedPaths = arena.table(spec.maskedPaths.map { arena.string(LaunchPlan.relative($0)) })
        child.readOnlyPaths = arena.table(spec.readOnlyPaths.map { arena.string(LaunchPlan.relative($0)) })
        child.emptyDirectory = arena.string(emptyDirectory)
        if let hostname = spec.hostname {
            child.hostname = arena.string(hostname)
            child.hostnameLength = hostname.utf8.count
        }
        child.waitsForIDMap = spec.idMap != nil
        self.cloneFlags = spec.newNamespaces.rawValue
        self.idMap = spec.idMap
        self.name = name
        self.child = child
        self.arena = arena
    }

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

    private static func relative(_ path: String) -> String {
        let trimmed = path.drop { $0 == "/" }
        return trimmed.isEmpty ? "." : String(trimmed)
    }

    private static func step(_ mount: Mount, _ arena: inout Arena) -> MountStep {
        var attributes: UInt64 = 0
        if mount.isReadOnly { attributes |= UInt64(MOUNT_ATTR_RDONLY) }
        if mount.noSuid { attributes |= UInt64(MOUNT_ATTR_NOSUID) }
        if mount.noDevices { attributes |= UInt64(MOUNT_ATTR_NODEV) }
        if mount.noExecute { attributes |= UInt64(MOUNT_ATTR_NOEXEC) }
        var options: [MountOption] = []
        var targetIsFile = false
        let kind: MountStep.Kind
        let source: String
        switch mount.source {
        case .filesystem(let type, let pairs):
            kind = .filesystem
            source = type
            options = pairs.map { MountOption(key: arena.string($0.0), value: $0.1.map { arena.string($0) }) }
        case .bind(let path, let recursive):
            kind = recursive ? .recursiveBind : .bind
            source = path
            targetIsFile = (try? File.status(path).isDirectory) == false
        case .devices(let pairs):
            kind = .devices
            source = "tmpfs"
            options = pairs.map { MountOption(key: arena.string($0.0), value: $0.1.map { arena.string($0) }) }
        }
        return MountStep(
            kind: kind, source: arena.string(source), destination: arena.string(relative(mount.destination)),
            options: arena.table(options), attributes: attributes, propagation: mount.propagation.rawValue,
            targetIsFile: targetIsFile)
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
