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
    /// The same for mount(2).
    var data: CText?
    /// MOUNT_ATTR_* to set.
    var attributes: UInt64
    /// MS_PRIVATE, MS_SLAVE or MS_SHARED.
    var propagation: UInt64
    /// The destination, when it must be made, is a file and not a directory.
    var targetIsFile: Bool
    /// `destination` is a name in the new /dev, where the child then is.
    var isInDevices = false
    /// The kernel's own view, whose paths are covered later.
    var role = KernelTree.none
}

/// A file system of the kernel's making, in which no image and no other process puts a link: names below its root need
/// no careful resolution.
enum KernelTree: UInt8, BitwiseCopyable { case none, proc, sys }

/// A path that is made read-only or hidden.
struct CoverStep: BitwiseCopyable {
    /// Relative to `tree`'s root, or to the container's for `.none`.
    var path: CText
    var tree: KernelTree
    var isMask: Bool
    /// What a mask tries first.
    var isDirectory: Bool
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
    /// The launching process is root of its user namespace, so that the child is root of the nested one.
    var startsAsRoot = false

    // Root filesystem; nil mountPoint joins a container that has one already (exec).
    var mountPoint: CText?
    /// chdir here first: overlay options then are short relative paths (fsconfig values end at 255 bytes).
    var overlayBase: CText?
    var overlayLower = UnsafeBufferPointer<CText>(start: nil, count: 0)
    var overlayUpper: CText?
    var overlayWork: CText?
    /// For mount(2): the colon-separated form; nil if it is longer than a page holds.
    var overlayOptions: CText?
    var rootDirectory: CText?
    var isRootReadOnly = false
    var mounts = UnsafeBufferPointer<MountStep>(start: nil, count: 0)
    /// What the new /dev gets: directories for later mounts, and the host's nodes.
    var deviceDirectories = UnsafeBufferPointer<CText>(start: nil, count: 0)
    var deviceNodes = UnsafeBufferPointer<DeviceNode>(start: nil, count: 0)
    var sysctls = UnsafeBufferPointer<SysctlStep>(start: nil, count: 0)
    /// Read-only ones first.
    var covers = UnsafeBufferPointer<CoverStep>(start: nil, count: 0)
    var coversProc = false
    var coversSys = false
    var markerFile: CText?
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
