// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// Kernel namespaces a container gets anew: the CLONE_NEW* flags of `namespaces(7)`.
public struct NamespaceSet: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let mount = NamespaceSet(rawValue: 0x0002_0000)
    public static let cgroup = NamespaceSet(rawValue: 0x0200_0000)
    public static let uts = NamespaceSet(rawValue: 0x0400_0000)
    public static let ipc = NamespaceSet(rawValue: 0x0800_0000)
    public static let user = NamespaceSet(rawValue: 0x1000_0000)
    public static let pid = NamespaceSet(rawValue: 0x2000_0000)
    public static let network = NamespaceSet(rawValue: 0x4000_0000)
}

/// Where the container's root filesystem comes from.
public enum RootFilesystem: Sendable {
    /// overlayfs: `lower` topmost layer first; `upper` and `work` on one filesystem; `userxattr` is always set,
    /// because a user namespace may not write `trusted.*`.
    case overlay(lower: [String], upper: String, work: String)
    /// A directory, bind-mounted.
    case directory(String)
}

/// One mount of the container, in order; the vocabulary of the OCI runtime-spec.
public struct Mount: Sendable {
    public enum Source: Sendable {
        /// A new filesystem of a type, with `key=value` or flag options.
        case filesystem(type: String, options: [(String, String?)])
        /// A path of the mount namespace the launch starts from; `recursive` takes submounts along.
        case bind(path: String, recursive: Bool)
        /// A file of that namespace: as `bind`, without asking what the path is.
        case file(path: String)
        /// The container's /dev: a tmpfs with the spec's `devices` and `deviceDirectories`.
        case devices(options: [(String, String?)])
    }

    public enum Propagation: UInt64, Sendable {
        case `private` = 0x0004_0000
        case slave = 0x0008_0000
        case shared = 0x0010_0000
    }

    public var source: Source
    /// Absolute path in the container; resolved inside the root whatever links the image has there.
    public var destination: String
    public var isReadOnly = false
    public var noSuid = false
    public var noDevices = false
    public var noExecute = false
    public var propagation: Propagation = .private
    /// A name in the new /dev, directly below it, and listed right behind the `devices` mount: made where the launch
    /// then works, so that nothing has to be looked up.
    public var isInDevices = false

    public init(_ source: Source, at destination: String) {
        self.source = source
        self.destination = destination
    }
}

/// A limit of `setrlimit(2)`.
public struct ResourceLimit: Sendable, Equatable {
    public var resource: Int32
    public var soft: UInt64
    public var hard: UInt64
    public init(resource: Int32, soft: UInt64, hard: UInt64) {
        self.resource = resource
        self.soft = soft
        self.hard = hard
    }
}

/// The program to execute and the identity it gets.
public struct ProcessSpec: Sendable {
    public var arguments: [String] = []
    /// KEY=VALUE; HOME is added from the container's passwd when missing.
    public var environment: [String] = []
    public var workingDirectory = "/"
    /// Make `workingDirectory` if the image lacks it, as Podman does for the image's own.
    public var makesWorkingDirectory = true
    /// `user[:group]`, names or numbers, looked up in the container's own passwd and group; empty is root.
    public var user = ""
    /// Groups of --group-add, names or numbers.
    public var additionalGroups: [String] = []
    public var hasTerminal = false
    public var capabilities: CapabilitySets = .podmanDefault
    /// What a user other than root keeps of them: only what --cap-add named.
    public var userCapabilities: UInt64 = 0
    public var noNewPrivileges = false
    /// Start the program as the child of an init, see `InitProcess`.
    public var usesInit = false
    /// A compiled filter; nil runs unconfined.
    public var seccomp: SeccompProgram?
    public var limits: [ResourceLimit] = []
    public var umask: UInt32 = 0o022
    public var oomScoreAdjustment: Int?
    /// Descriptors 3… to keep open in the program.
    public var preservedDescriptors = 0
    public init() {}
}

/// Everything a launch needs to know about a container; prepared by the engine, or decoded from config.json.
public struct ContainerSpec: Sendable {
    public var newNamespaces: NamespaceSet = []
    /// Id maps written for a new user namespace.
    public var idMap: IDMap?
    /// The launching process has user and group 0 in its user namespace.
    public var startsAsRoot = false
    public var root: RootFilesystem
    /// An existing directory, outside the container, on which the root is assembled.
    public var mountPoint: String
    public var isRootReadOnly = false
    public var mounts: [Mount] = []
    /// Nodes of the host's /dev to bind into the container's, because a user namespace cannot make one.
    public var devices = DefaultMounts.devices
    /// Directories that the new /dev has for the mounts below it.
    public var deviceDirectories = DefaultMounts.deviceDirectories
    public var maskedPaths: [String] = []
    public var readOnlyPaths: [String] = []
    /// A file that must exist, empty if the image and the layers below it have none.
    public var markerFile: String?
    public var hostname: String?
    /// `net.ipv4.ip_forward` style names with values, only of namespaces this container owns.
    public var sysctls: [(name: String, value: String)] = []
    public var process = ProcessSpec()

    public init(root: RootFilesystem, mountPoint: String) {
        self.root = root
        self.mountPoint = mountPoint
    }
}
